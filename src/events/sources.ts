import type { Clock } from '../clock.ts'
import type { StreamedEvent } from '../engine/api.ts'
import type { EventCursor, Place } from '../engine/cursor.ts'
import type { EventsOfSession, Reader } from '../engine/reader.ts'
import { isFinalEvent, RUN_EVENT_TYPES } from '../engine/records.ts'
import { KernError, shown } from '../errors.ts'
import type { Feed } from './feed.ts'
import type { Batch, Source } from './follow.ts'
import { PAGE, type Placed, type RunTail } from './runTail.ts'
import type { Types } from './types.ts'

/** How long after the end of a run its last events may still come to light, in milliseconds: clocks differ too. */
export const LATE_MS = 10_000

export interface RunSourceOptions {
  readonly runId: string
  /** The event after which it begins. */
  readonly seq: number
  readonly types: Types
}

/** The events of one run. The final one is read even if its type was not asked for: it ends the stream. */
export function runSource(feed: Feed, tail: RunTail, { runId, seq, types }: RunSourceOptions): Source {
  const { number } = tail
  const read = types && [...new Set([...types, ...RUN_EVENT_TYPES.filter(isFinalEvent)])]
  let afterSeq = seq
  return {
    topic: { runId },
    from: [{ runId, seq }],
    place: { number, seq, queued: 0 },
    listen: feed.follow,
    async read() {
      const { events, upTo, more, over } = await tail.read(afterSeq, read)
      afterSeq = upTo
      return { events, place: { number, seq: upTo, queued: 0 }, more, over }
    },
  }
}

export interface SessionSourceOptions {
  readonly sessionId: string
  /** Where it begins; null at the beginning. */
  readonly from: SessionPlace | null
  readonly types: Types
  readonly reader: Pick<Reader, 'sessionEvents' | 'sessions'>
  /** When the session was made: one that was deleted may be made again, with other runs of the same numbers. */
  readonly createdAt: Date
}

/** A place in a session, by the run in whose events it is. */
export interface SessionPlace {
  readonly cursor: EventCursor
  readonly place: Place
}

/**
 * The events of all runs of a session. Only one run of it is executed at a time, so the order of number and `seq` is the
 * order in which they were committed. What waits for its turn is told of between them, by its first event alone: the rest
 * comes in its turn.
 */
export function sessionSource(feed: Feed, options: SessionSourceOptions): Source {
  const { sessionId, from, types, reader, createdAt } = options
  let place: Place = from?.place ?? { number: 0, seq: 0, queued: 0 }
  let runId = from?.cursor.runId
  return {
    topic: { sessionId },
    from: from ? [from.cursor] : [],
    place,
    listen: feed.follow,
    async read() {
      const { number, seq, queued } = place
      const after = place
      const found = await feed.share(`${number} ${seq} ${queued} ${types?.join()} ${createdAt.getTime()}`, async () => {
        const page = await reader.sessionEvents(sessionId, after, { limit: PAGE, types })
        // After it, so that nothing is given of a session that has taken the place of this one.
        const [session] = await reader.sessions([sessionId])
        if (session?.createdAt.getTime() === createdAt.getTime()) return page
        throw new KernError('NOT_FOUND', `session ${shown(sessionId)} was deleted`)
      })
      const { events, end } = placedIn(found, { place, runId })
      place = end.place
      runId = end.runId
      return { events, place, more: found.more, over: false }
    },
  }
}

interface Standing {
  readonly place: Place
  /** The run in whose events the place is; undefined before the first. */
  readonly runId: string | undefined
}

function placedIn(
  { events, queued, upTo }: EventsOfSession,
  start: Standing,
): { readonly events: readonly Placed[]; readonly end: Standing } {
  const placed: Placed[] = []
  let { place, runId } = start
  const move = (spot: { readonly number: number; readonly seq: number }, beyond = place.queued) => {
    place = { number: spot.number, seq: spot.seq, queued: Math.max(beyond, spot.number) }
  }
  for (const { number, event } of events) {
    runId = event.runId
    move({ number, seq: event.seq })
    placed.push({ event: { ...event, spot: { number, seq: event.seq }, resume: cursorAt(place, runId) }, place })
  }
  if (upTo) {
    runId = upTo.runId
    move(upTo)
  }
  for (const { number, event } of queued) {
    move(place, number)
    // The run that has its turn is always there.
    const resume = cursorAt(place, runId ?? event.runId)
    placed.push({ event: { ...event, spot: { number, seq: event.seq }, resume }, place })
  }
  return { events: placed, end: { place, runId } }
}

function cursorAt({ number, seq, queued }: Place, runId: string): EventCursor {
  return queued > number ? { runId, seq, queued } : { runId, seq }
}

export interface WorkflowSourceOptions {
  readonly workflowId: string
  readonly types: Types
  readonly reader: Pick<Reader, 'liveRuns' | 'events'>
  readonly clock: Clock
}

/** The events of every run of a workflow that is not over, from where it stands now. */
export async function workflowSource(
  feed: Feed,
  { workflowId, types, reader, clock }: WorkflowSourceOptions,
): Promise<Source> {
  let since = clock.now().getTime() - LATE_MS
  const live = () => {
    // To the second, so that others ask for the same.
    const from = Math.floor(since / 1_000) * 1_000
    return feed.share(`live ${from}`, () => reader.liveRuns({ workflowId }, new Date(from)))
  }
  const from = (await live()).map(({ runId, lastSeq }) => ({ runId, seq: lastSeq }))
  const seen = new Map(from.map(({ runId, seq }) => [runId, seq]))

  /** The events of a run up to one that is known of. */
  async function eventsOf(runId: string, upTo: number): Promise<Placed[]> {
    const afterSeq = seen.get(runId) ?? 0
    seen.set(runId, upTo)
    const query = { afterSeq, limit: upTo - afterSeq, types }
    const found = await feed.share(`${runId} ${afterSeq} ${upTo} ${types?.join()}`, () => reader.events(runId, query))
    return found
      .filter(({ seq }) => seq <= upTo)
      .map((event): StreamedEvent => ({ ...event, spot: null, resume: { runId, seq: event.seq } }))
      .map((event) => ({ event, place: null }))
  }

  async function read(): Promise<Batch> {
    const now = clock.now().getTime()
    const runs = await live()
    const events: Placed[] = []
    for (const { runId, lastSeq } of runs) {
      if (lastSeq > (seen.get(runId) ?? 0)) events.push(...(await eventsOf(runId, lastSeq)))
    }
    since = Math.max(since, now - LATE_MS)
    const known = new Set(runs.map(({ runId }) => runId))
    for (const runId of seen.keys()) {
      if (!known.has(runId)) seen.delete(runId)
    }
    return { events, place: null, more: false, over: false }
  }
  return { topic: { workflowId }, from, place: null, listen: feed.follow, read }
}
