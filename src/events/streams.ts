import type { Clock } from '../clock.ts'
import type { EventStreams, Workflows } from '../engine/api.ts'
import { decodeEventCursor, type EventCursor } from '../engine/cursor.ts'
import type { Hub } from '../engine/ports.ts'
import type { EventPosition, Reader, ReaderFor } from '../engine/reader.ts'
import { type EventRecord, isFinalEvent, isFinal, RUN_EVENT_TYPES, type RunRecord } from '../engine/records.ts'
import { KernError, shown } from '../errors.ts'
import { type Batch, follow, readTypes, type Source, type Types } from './follow.ts'

/** How many events are read at once. */
const PAGE = 200

/** How long after the end of a run its last events may still come to light, in milliseconds: clocks differ too. */
const LATE_MS = 10_000

export interface StreamDeps {
  readonly hub: Hub
  readonly readerFor: ReaderFor
  readonly workflows: Workflows
  readonly clock: Clock
  /** Ends all streams with its reason, an UNAVAILABLE error. @default never */
  readonly closing?: AbortSignal | undefined
}

export function createEventStreams({ hub, readerFor, workflows, clock, closing }: StreamDeps): EventStreams {
  const stream = (types: Types | undefined, source: Source) =>
    follow(source, { hub, clock, closing, types: types ?? null })
  return {
    async run(viewer, { runId, after, types }) {
      const reader = readerFor(viewer)
      const [run] = await reader.runs([runId])
      if (!run) throw new KernError('NOT_FOUND', `there is no run ${shown(runId)}`)
      const seq = after == null ? 0 : positionIn(run, decodeEventCursor(after))
      const read = readRun(reader, { runId, start: seq, types: readTypes(types ?? null) })
      return stream(types, { topic: { runId }, from: [{ runId, seq }], read })
    },
    async session(viewer, { sessionId, after, types }) {
      const reader = readerFor(viewer)
      const [session] = await reader.sessions([sessionId])
      if (!session) throw new KernError('NOT_FOUND', `there is no session ${shown(sessionId)}`)
      const cursor = after == null ? null : decodeEventCursor(after)
      const start = cursor ? await positionInSession(reader, sessionId, cursor) : { number: 0, seq: 0 }
      const read = readSession(reader, { sessionId, start, types: readTypes(types ?? null) })
      return stream(types, { topic: { sessionId }, from: cursor ? [cursor] : [], read })
    },
    async workflow(viewer, { workflowId, types }) {
      if (!workflows.get(workflowId)) throw new KernError('NOT_FOUND', `no workflow ${shown(workflowId)} is served`)
      const source = await followRuns(readerFor(viewer), { workflowId, types: readTypes(types ?? null), clock })
      return stream(types, source)
    },
    partialOutput: hub.partialOutput,
  }
}

function positionIn(run: RunRecord, cursor: EventCursor): number {
  if (cursor.runId === run.runId && cursor.seq <= run.lastSeq) return cursor.seq
  const fault =
    cursor.runId === run.runId ? `event ${cursor.seq}, but the newest is ${run.lastSeq}` : `run ${cursor.runId}`
  throw new KernError('CURSOR_INVALID', `after is of ${fault}: allowed is the cursor of an event of run ${run.runId}`)
}

async function positionInSession(reader: Reader, sessionId: string, cursor: EventCursor): Promise<EventPosition> {
  const [run] = await reader.runs([cursor.runId])
  if (!run) {
    const message = `run ${cursor.runId}, of which after is, is not kept any more: begin without it, at the oldest event that is`
    throw new KernError('CURSOR_EXPIRED', message)
  }
  if (run.sessionId === sessionId) return { number: run.number, seq: positionIn(run, cursor) }
  throw new KernError(
    'CURSOR_INVALID',
    `after is of run ${cursor.runId}: allowed is the cursor of an event of session ${shown(sessionId)}`,
  )
}

/** The final event is read even if its type was not asked for: it ends the stream. */
function readRun(
  reader: Reader,
  { runId, start, types }: { runId: string; start: number; types: Types },
): () => Promise<Batch> {
  const read = types && [...new Set([...types, ...RUN_EVENT_TYPES.filter(isFinalEvent)])]
  let afterSeq = start
  let wasOver = false
  return async () => {
    const events = await reader.events(runId, { afterSeq, limit: PAGE, types: read })
    afterSeq = events.at(-1)?.seq ?? afterSeq
    const over = events.some(({ type }) => isFinalEvent(type)) || (events.length === 0 && wasOver)
    // The end may have been committed after the events were read: only what is read once it is known is all there is.
    wasOver = events.length === 0 && (await isOver(reader, runId))
    const more = events.length === PAGE || wasOver
    return { events, more, over }
  }
}

/** With nothing after the cursor, the run may be over, or gone. */
async function isOver(reader: Reader, runId: string): Promise<boolean> {
  const [run] = await reader.runs([runId])
  return !run || isFinal(run.status)
}

interface SessionQuery {
  readonly sessionId: string
  readonly start: EventPosition
  readonly types: Types
}

/**
 * Only one run of a session is executed at a time, so the order of run and `seq` is the order in which its steps were
 * committed. What a later run has while it is queued comes when its turn does.
 */
function readSession(reader: Reader, { sessionId, start, types }: SessionQuery): () => Promise<Batch> {
  let position = start
  return async () => {
    const events = await reader.sessionEvents(sessionId, position, { limit: PAGE, types })
    const last = events.at(-1)
    if (last) {
      const [run] = await reader.runs([last.runId])
      if (run) position = { number: run.number, seq: last.seq }
    }
    return { events, more: events.length === PAGE, over: false }
  }
}

interface WorkflowQuery {
  readonly workflowId: string
  readonly types: Types
  readonly clock: Clock
}

/** Follows every run of the workflow that is not over, from where it stands now. */
async function followRuns(reader: Reader, { workflowId, types, clock }: WorkflowQuery): Promise<Source> {
  let since = new Date(clock.now().getTime() - LATE_MS)
  const from = (await reader.liveRuns(workflowId, since)).map(({ runId, lastSeq }) => ({ runId, seq: lastSeq }))
  const seen = new Map(from.map(({ runId, seq }) => [runId, seq]))
  const read = async (): Promise<Batch> => {
    const now = clock.now()
    const live = await reader.liveRuns(workflowId, since)
    const news = live.filter(({ runId, lastSeq }) => lastSeq > (seen.get(runId) ?? 0))
    const events: EventRecord[] = []
    for (const { runId, lastSeq } of news) {
      events.push(
        ...(
          await reader.events(runId, { afterSeq: seen.get(runId) ?? 0, limit: lastSeq - (seen.get(runId) ?? 0), types })
        ).filter(({ seq }) => seq <= lastSeq),
      )
      seen.set(runId, lastSeq)
    }
    since = new Date(Math.max(since.getTime(), now.getTime() - LATE_MS))
    const known = new Set(live.map(({ runId }) => runId))
    for (const runId of seen.keys()) {
      if (!known.has(runId)) seen.delete(runId)
    }
    return { events, more: false, over: false }
  }
  return { topic: { workflowId }, from, read }
}
