import type { StreamedEvent } from '../engine/api.ts'
import type { Place } from '../engine/cursor.ts'
import type { Reader } from '../engine/reader.ts'
import { type EventRecord, isFinal, isFinalEvent, type RunRecord } from '../engine/records.ts'
import type { Feed } from './feed.ts'
import type { Types } from './types.ts'

/** How many events are read at once. */
export const PAGE = 200

/** How many of the newest events of a run are kept while somebody follows it, and how many characters of JSON their data may have. */
const KEPT = { events: 256, characters: 1_048_576 }

/** An event as a stream gives it, and how far the stream has come with it. */
export interface Placed {
  readonly event: StreamedEvent
  readonly place: Place | null
}

/** What is read of a run at once. */
export interface TailPage {
  readonly events: readonly Placed[]
  /** The `seq` up to which all was looked at. */
  readonly upTo: number
  /** Whether there may be more at once. */
  readonly more: boolean
  /** Whether nothing will ever follow. */
  readonly over: boolean
}

/**
 * The newest events of a run, as one viewer may see them, in memory: whoever follows the run reads them from here, and the
 * rows are asked once for all of them.
 */
export interface RunTail {
  /** Of the run in its session. */
  readonly number: number
  /** The `seq` of the newest event that is known of. */
  newest(): number
  /** The run as it was just read. */
  learn(run: RunRecord): void
  /** The run was deleted. */
  gone(): void
  /** The events after a place: these types of them, null for all. */
  read(afterSeq: number, types: Types): Promise<TailPage>
}

export interface RunTailOptions {
  readonly reader: Pick<Reader, 'events'>
  readonly feed: Pick<Feed, 'version' | 'share' | 'hear'>
  readonly run: RunRecord
  /** From where the first follower reads. */
  readonly start: number
}

export function createRunTail({ reader, feed, run, start }: RunTailOptions): RunTail {
  const { runId, number } = run
  /** Without a gap: the last of them is event `newest`, and the first comes right after `newest - kept.length`. */
  const kept: Placed[] = []
  const sizes: number[] = []
  let characters = 0
  let newest = Math.max(start, run.lastSeq - KEPT.events)
  /** The version of the feed as of which the newest event is known. */
  let fresh = 0
  let end = isFinal(run.status) ? run.lastSeq : Number.POSITIVE_INFINITY
  let isGone = false
  const oldest = () => newest - kept.length

  async function page(afterSeq: number, types: Types, limit = PAGE): Promise<Placed[]> {
    const events = await reader.events(runId, { afterSeq, limit, types })
    return events.map((event) => inTurn(event, number))
  }

  /** @returns whether everything is known then that was told of before */
  async function readNewer(): Promise<boolean> {
    const told = feed.version()
    if (newest >= end || isGone || fresh >= told) return true
    await feed.share('newer', async () => {
      const version = feed.version()
      const events = await page(newest, null)
      // Another read may have been under way at the same time.
      for (const placed of events) if (placed.event.seq === newest + 1) append(placed)
      if (events.length < PAGE) fresh = Math.max(fresh, version)
    })
    return fresh >= told
  }

  function append(placed: Placed): void {
    const { seq, type } = placed.event
    newest = seq
    kept.push(placed)
    sizes.push(sizeOf(placed))
    characters += sizes.at(-1) ?? 0
    if (isFinalEvent(type)) end = seq
    while (kept.length > KEPT.events || characters > KEPT.characters) dropOldest()
  }

  function dropOldest(): void {
    kept.shift()
    characters -= sizes.shift() ?? 0
  }

  /** Keeps more of what there was before, for others that come from not far behind. */
  async function readOlder(): Promise<void> {
    await feed.share('older', async () => {
      const until = oldest()
      const from = Math.max(0, newest - KEPT.events)
      const events = await page(from, null, until - from)
      for (const placed of events.reverse()) {
        const size = sizeOf(placed)
        if (placed.event.seq !== oldest() || characters + size > KEPT.characters) break
        kept.unshift(placed)
        sizes.unshift(size)
        characters += size
      }
    })
  }

  /** What lies before all that is kept. */
  async function readRows(afterSeq: number, types: Types): Promise<TailPage> {
    return await feed.share(`${afterSeq} ${types?.join()}`, async () => {
      // Known before the read begins, so that nothing before it is committed later.
      const known = oldest()
      const events = await page(afterSeq, types)
      const last = events.at(-1)?.event.seq ?? afterSeq
      const upTo = events.length === PAGE ? last : Math.max(last, known)
      return { events, upTo, more: true, over: false }
    })
  }

  return {
    number,
    newest: () => newest,
    learn({ status, lastSeq }) {
      if (isFinal(status)) end = lastSeq
      if (lastSeq > newest) feed.hear(runId)
    },
    gone() {
      isGone = true
      feed.hear(runId)
    },
    async read(afterSeq, types) {
      const near = afterSeq >= newest - KEPT.events && characters < KEPT.characters
      if (afterSeq < oldest() && near) await readOlder()
      if (afterSeq < oldest()) return await readRows(afterSeq, types)
      const all = await readNewer()
      if (afterSeq < oldest()) return { events: [], upTo: afterSeq, more: true, over: false }
      const events = kept.slice(afterSeq - oldest())
      const wanted = types ? events.filter(({ event: { type } }) => types.includes(type)) : events
      const upTo = Math.max(afterSeq, newest)
      return { events: wanted, upTo, more: !all, over: isGone || upTo >= end }
    },
  }
}

/** An event in its turn, for who is told of no other run. */
function inTurn(event: EventRecord, number: number): Placed {
  const { runId, seq } = event
  const spot = { number, seq }
  return { event: { ...event, spot, resume: { runId, seq } }, place: { ...spot, queued: 0 } }
}

function sizeOf({ event: { data } }: Placed): number {
  return data === undefined ? 0 : JSON.stringify(data).length
}
