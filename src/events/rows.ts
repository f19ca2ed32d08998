import type { ReaderFor } from '../engine/reader.ts'
import type { RunRecord, SessionRecord } from '../engine/records.ts'
import type { Viewer } from '../viewer.ts'
import { batched } from './batched.ts'

/** Reads single runs and sessions, as they are when it is asked or later. Those that many ask for are read together. */
export interface Rows {
  run(viewer: Viewer, runId: string): Promise<RunRecord | null>
  session(viewer: Viewer, sessionId: string): Promise<SessionRecord | null>
}

export function createRows(readerFor: ReaderFor): Rows {
  const runs = perViewer((viewer) => batched((runIds) => readerFor(viewer).runs(runIds)))
  const sessions = perViewer((viewer) => batched((sessionIds) => readerFor(viewer).sessions(sessionIds)))
  return {
    run: (viewer, runId) => runs(viewer, runId),
    session: (viewer, sessionId) => sessions(viewer, sessionId),
  }
}

type Read<Value> = (key: string) => Promise<Value | null>

/** Keeps what is made for a viewer while it is asked for something. */
function perViewer<Value>(make: (viewer: Viewer) => Read<Value>) {
  const present = new Map<string, { readonly read: Read<Value>; asked: number }>()
  return async (viewer: Viewer, key: string): Promise<Value | null> => {
    const id = JSON.stringify([viewer.userId, viewer.scopes])
    const own = present.get(id) ?? { read: make(viewer), asked: 0 }
    present.set(id, own)
    own.asked += 1
    try {
      return await own.read(key)
    } finally {
      own.asked -= 1
      if (own.asked === 0) present.delete(id)
    }
  }
}
