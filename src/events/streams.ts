import type { Clock } from '../clock.ts'
import type { EventStreams, Workflows } from '../engine/api.ts'
import { decodeEventCursor, type EventCursor } from '../engine/cursor.ts'
import type { EventPosition, Hub, Reader, ReaderFor, Topic } from '../engine/ports.ts'
import {
  type EventRecord,
  isFinalEvent,
  isFinal,
  RUN_EVENT_TYPES,
  type RunEventType,
  type RunRecord,
} from '../engine/records.ts'
import { KernError, shown } from '../errors.ts'
import { follow } from './follow.ts'

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
  const stream = (topic: Topic, read: () => Promise<Batch>) => follow({ hub, clock, topic, closing, read })
  return {
    async run(viewer, { runId, after, types }) {
      const reader = readerFor(viewer)
      const [run] = await reader.runs([runId])
      if (!run) throw new KernError('NOT_FOUND', `there is no run ${shown(runId)}`)
      const start = after == null ? 0 : positionIn(run, decodeEventCursor(after))
      return stream({ runId }, readRun(reader, { runId, start, types: types ?? null }))
    },
    async session(viewer, { sessionId, after, types }) {
      const reader = readerFor(viewer)
      const [session] = await reader.sessions([sessionId])
      if (!session) throw new KernError('NOT_FOUND', `there is no session ${shown(sessionId)}`)
      const start =
        after == null ? { number: 0, seq: 0 } : await positionInSession(reader, sessionId, decodeEventCursor(after))
      return stream({ sessionId }, readSession(reader, { sessionId, start, types: types ?? null }))
    },
    async workflow(viewer, { workflowId, types }) {
      if (!workflows.get(workflowId)) throw new KernError('NOT_FOUND', `no workflow ${shown(workflowId)} is served`)
      const reader = readerFor(viewer)
      return stream({ workflowId }, await readWorkflow(reader, { workflowId, types: types ?? null, clock }))
    },
  }
}

/** What a reader found: the events, whether there may be more at once, and whether nothing will ever follow. */
interface Batch {
  readonly events: readonly EventRecord[]
  readonly more: boolean
  readonly over: boolean
}

type Types = readonly RunEventType[] | null

function positionIn(run: RunRecord, cursor: EventCursor): number {
  if (cursor.runId === run.runId && cursor.seq <= run.lastSeq) return cursor.seq
  const fault =
    cursor.runId === run.runId ? `event ${cursor.seq}, but the newest is ${run.lastSeq}` : `run ${cursor.runId}`
  throw new KernError('CURSOR_INVALID', `after is of ${fault}: allowed is the cursor of an event of run ${run.runId}`)
}

async function positionInSession(reader: Reader, sessionId: string, cursor: EventCursor): Promise<EventPosition> {
  const [run] = await reader.runs([cursor.runId])
  if (run?.sessionId === sessionId) return { number: run.number, seq: positionIn(run, cursor) }
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
  const wanted = types && new Set(types)
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
    return { events: events.filter(({ type }) => !wanted || wanted.has(type)), more, over }
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
  /** Ends all streams with its reason, an UNAVAILABLE error. @default never */
  readonly closing?: AbortSignal | undefined
}

/** Follows every run of the workflow that is not over, from where it stands now. */
async function readWorkflow(
  reader: Reader,
  { workflowId, types, clock }: WorkflowQuery,
): Promise<() => Promise<Batch>> {
  let since = new Date(clock.now().getTime() - LATE_MS)
  const seen = new Map((await reader.liveRuns(workflowId, since)).map(({ runId, lastSeq }) => [runId, lastSeq]))
  return async () => {
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
}
