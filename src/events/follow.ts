import type { Clock } from '../clock.ts'
import type { EventCursor } from '../engine/cursor.ts'
import type { Hub, Topic } from '../engine/ports.ts'
import type { EventRecord, RunEventType } from '../engine/records.ts'
import { createAlarm } from './alarm.ts'
import { createPendingProgress } from './progress.ts'

/** Which events a stream gives; null for all. */
export type Types = readonly RunEventType[] | null

/** What a reader found: the events, whether there may be more at once, and whether nothing will ever follow. */
export interface Batch {
  readonly events: readonly EventRecord[]
  readonly more: boolean
  readonly over: boolean
}

/** Where a stream begins, and how it goes on from there. */
export interface Source {
  readonly topic: Topic
  /** The newest events that lie before it, of the runs that have some. */
  readonly from: readonly EventCursor[]
  /** Reads what follows what it read before: at least the types that are given, those of {@link readTypes}. */
  readonly read: () => Promise<Batch>
}

export interface FollowOptions {
  readonly hub: Hub
  readonly clock: Clock
  readonly types: Types
  /** Ends the stream with its reason. */
  readonly closing?: AbortSignal | undefined
}

/**
 * The types that have to be read for those that are asked for. Progress is in no row, but its place among the events is
 * known only to who has seen them all.
 */
export function readTypes(types: Types): Types {
  return hasProgress(types) ? null : types
}

function hasProgress(types: Types): boolean {
  return types?.includes('STEP_PROGRESS') ?? true
}

/**
 * Reads, waits to be woken, reads again. It listens before it reads, so a commit between the two is not missed, and each
 * read begins after the last, so nothing comes twice. Of progress a slow reader is given only the newest of each step, and
 * while there is something to read, one between two reads: so neither holds up the other, however busy the run is.
 *
 * Written by hand instead of as an async generator, since a generator that waits cannot be ended from outside: `return`
 * has to stop the wait at once, also before the first event was asked for.
 */
export function follow({ topic, from, read }: Source, options: FollowOptions): AsyncIterableIterator<EventRecord> {
  const { hub, clock, types, closing } = options
  const closed = new AbortController()
  const wanted = types && new Set(types)
  const buffer: EventRecord[] = []
  const progress = hasProgress(types) ? createPendingProgress(from) : null
  const alarm = createAlarm(clock, closed.signal)
  let justRead = false
  let over = false
  let returned = false
  const stops = [hub.listen(topic, alarm.ring)]
  if (progress) {
    stops.push(
      hub.listenToProgress(topic, (newer) => {
        progress.offer(newer)
        alarm.stir()
      }),
    )
  }
  if (closing?.aborted) closed.abort()
  closing?.addEventListener('abort', () => closed.abort(), { once: true, signal: closed.signal })

  async function pull(): Promise<IteratorResult<EventRecord, undefined>> {
    while (!closed.signal.aborted) {
      const event = buffer.shift()
      if (event) {
        progress?.passed(event)
        if (!wanted || wanted.has(event.type)) return { done: false, value: event }
      } else if (over) break
      else if (!justRead && alarm.answered()) {
        await fill()
        justRead = true
      } else {
        justRead = false
        const newest = progress?.take()
        if (newest) return { done: false, value: newest }
        await alarm.wait()
      }
    }
    return end()
  }

  async function fill(): Promise<void> {
    const { events, more, over: isOver } = await read()
    buffer.push(...events)
    over = isOver
    if (more) alarm.ring()
  }

  function release(): void {
    for (const stop of stops) stop()
    closed.abort()
  }

  function end(): IteratorResult<EventRecord, undefined> {
    release()
    if (!over && !returned && closing?.aborted) {
      returned = true
      throw closing.reason
    }
    return { done: true, value: undefined }
  }

  const leave = () => {
    returned = true
    return end()
  }
  return iterator({ pull, leave, failed: release })
}

interface Pulling {
  readonly pull: () => Promise<IteratorResult<EventRecord, undefined>>
  /** Ends the wait of a `pull` that is under way. */
  readonly leave: () => IteratorResult<EventRecord, undefined>
  readonly failed: () => void
}

/** Calls of `next` are answered one after another; `return` waits for none of them. */
function iterator({ pull, leave, failed }: Pulling): AsyncIterableIterator<EventRecord> {
  let last: Promise<unknown> = Promise.resolve()
  return {
    next() {
      const result = last.then(pull)
      last = result.catch(failed)
      return result
    },
    async return() {
      return leave()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
