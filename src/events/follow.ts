import type { LiveStream, StreamedEvent } from '../engine/api.ts'
import type { EventCursor, Place } from '../engine/cursor.ts'
import type { Hub, Topic } from '../engine/ports.ts'
import { createAlarm } from './alarm.ts'
import { liveStream } from './liveStream.ts'
import { createPendingProgress } from './progress.ts'
import type { Placed } from './runTail.ts'
import { hasProgress, type Types } from './types.ts'

/** What a source has read: the events, whether there may be more at once, and whether nothing will ever follow. */
export interface Batch {
  readonly events: readonly Placed[]
  /** How far the source has come after them; null where its events have no order. */
  readonly place: Place | null
  readonly more: boolean
  readonly over: boolean
}

/** Where a stream begins, and how it goes on from there. */
export interface Source {
  /** Of which it gives progress. */
  readonly topic: Topic
  /** The newest events that lie before it, of the runs that have some. */
  readonly from: readonly EventCursor[]
  /** Where it begins; null where its events have no order. */
  readonly place: Place | null
  /** Calls `ring` whenever there may be something to read, until the returned function is called. */
  readonly listen: (ring: () => void) => () => void
  /** Reads what follows what it read before: at least the types that are asked for, and all if progress is. */
  readonly read: () => Promise<Batch>
}

export interface FollowOptions {
  readonly hub: Pick<Hub, 'listenToProgress'>
  readonly types: Types
  /** Ends the stream with its reason. */
  readonly closing?: AbortSignal | undefined
}

/**
 * Reads, waits to be woken, reads again. It listens before it reads, so a commit between the two is not missed, and each
 * read begins after the last, so nothing comes twice. Of progress a slow reader is given only the newest of each step, and
 * while there is something to read, one between two reads: so neither holds up the other, however busy the run is.
 */
export function follow(source: Source, { hub, types, closing }: FollowOptions): LiveStream<StreamedEvent> {
  const { topic, from, read } = source
  const wanted = types && new Set(types)
  const progress = hasProgress(types) ? createPendingProgress(from) : null
  let batch: Batch = { events: [], place: source.place, more: false, over: false }
  let given = 0
  let place = source.place
  /** The cursor of what has no place of its own. */
  let resume = place ? from[0] : undefined
  let justRead = false

  /** The next event of the batch, if it has one more. */
  function nextOf(): StreamedEvent | undefined {
    const next = batch.events[given]
    if (!next) {
      place = batch.place
      return undefined
    }
    given += 1
    place = next.place
    if (place) resume = next.event.resume
    progress?.passed(next.event)
    return next.event
  }

  return liveStream<StreamedEvent>({
    closing,
    place: () => place,
    open(signal) {
      const alarm = createAlarm(signal)
      const stops = [source.listen(alarm.ring)]
      if (progress) {
        stops.push(
          hub.listenToProgress(topic, (newer) => {
            progress.offer(newer)
            alarm.stir()
          }),
        )
      }

      async function step(): Promise<StreamedEvent | 'again' | 'idle' | 'over'> {
        const event = nextOf()
        if (event) return !wanted || wanted.has(event.type) ? event : 'again'
        if (batch.over) return 'over'
        if (!justRead && alarm.answered()) {
          batch = await read()
          given = 0
          justRead = true
          if (batch.more) alarm.ring()
          return 'again'
        }
        justRead = false
        const newest = progress?.take()
        if (newest) return { ...newest, spot: null, resume: resume ?? { runId: newest.runId, seq: newest.seq } }
        return alarm.isRung() ? 'again' : 'idle'
      }

      return { step, wait: alarm.wait, release: () => stops.forEach((stop) => stop()) }
    },
  })
}
