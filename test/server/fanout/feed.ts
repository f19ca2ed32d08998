import { setImmediate as nextTurn } from 'node:timers/promises'
import type { LiveStream } from '../../../src/engine/api.ts'
import { type EventSpot, isBehind, type Place } from '../../../src/engine/cursor.ts'

/** What was committed: event `seq` of run `number`. */
export interface Row extends EventSpot {
  /** No event of the run follows. */
  readonly isLast: boolean
  readonly text: string
}

export interface FeedEvent extends Row {
  /** Null for what has no place. */
  readonly spot: EventSpot | null
  readonly cursor: string
}

/** The events of a session in memory, and streams of them as the engine has them. */
export interface Feed {
  readonly rows: readonly Row[]
  commit(...rows: Row[]): void
  /** Tells all streams that have caught up something that is in no row. */
  stir(text: string): void
  /** Streams end when they have given all rows. */
  end(): void
  /** Streams fail when they would read next. */
  fail(error: Error): void
  open(options: FeedOptions): LiveStream<FeedEvent>
  /** How many streams are open. */
  count(): number
}

export interface FeedOptions {
  /** The cursor of an event. */
  readonly after?: string | null | undefined
  readonly isWanted?: (row: Row) => boolean
  /** False for streams whose events have no place: they begin with what comes. */
  readonly isOrdered?: boolean
}

const START: Place = { number: 0, seq: 0, queued: 0 }

export function cursorOf({ number, seq, queued }: Place): string {
  return `${number}.${seq}.${queued}`
}

function placeOf(cursor: string | null | undefined): Place {
  if (cursor === null || cursor === undefined) return START
  const [number = 1, seq = 0, queued = 0] = cursor.split('.').map(Number)
  return { number, seq, queued }
}

/** @param random numbers from 0 to 1, by which reads take their time and early events their place among others */
export function createFeed(random: () => number = () => 0): Feed {
  const rows: Row[] = []
  const wakes = new Set<() => void>()
  const stirs = new Set<(text: string) => void>()
  let isOver = false
  let failure: Error | null = null
  let open = 0

  const wakeAll = (): void => {
    for (const wake of wakes) wake()
  }
  const find = (number: number, seq: number) => rows.find((row) => row.number === number && row.seq === seq)

  /** What follows a place, as far as it is committed: the next one in order, or one that is told before its turn. */
  function after(place: Place): { readonly row: Row; readonly place: Place } | undefined {
    const isFinished = place.number === 0 || find(place.number, place.seq)?.isLast === true
    const inTurn = isFinished ? find(place.number + 1, 1) : find(place.number, place.seq + 1)
    const early = find(Math.max(place.queued, place.number) + 1, 1)
    if (early && early !== inTurn && (!inTurn || random() < 0.5)) {
      return { row: early, place: { ...place, queued: early.number } }
    }
    return inTurn && { row: inTurn, place: { number: inTurn.number, seq: inTurn.seq, queued: place.queued } }
  }

  function openStream({ after: cursor, isWanted = () => true, isOrdered = true }: FeedOptions): LiveStream<FeedEvent> {
    let place = placeOf(cursor)
    if (!isOrdered) {
      const last = rows.at(-1)
      if (last) place = { ...last, queued: 0 }
    }
    const pending: string[] = []
    let [isClosed, isIdle] = [false, false]
    let caughtUp = Promise.withResolvers<void>()
    let wake: () => void = () => undefined
    let last: Promise<unknown> = Promise.resolve()
    open += 1
    const take = (text: string) => {
      pending.push(text)
      wake()
    }
    stirs.add(take)

    function close(): void {
      if (isClosed) return
      isClosed = true
      open -= 1
      stirs.delete(take)
      wakes.delete(wake)
      wake()
      caughtUp.resolve()
    }

    function given(row: Row): FeedEvent {
      const spot = isOrdered ? { number: row.number, seq: row.seq } : null
      return { ...row, spot, cursor: cursorOf(place) }
    }

    async function pull(): Promise<IteratorResult<FeedEvent, undefined>> {
      while (!isClosed) {
        if (failure) {
          close()
          throw failure
        }
        for (let turns = Math.floor(random() * 3); turns > 0; turns -= 1) await nextTurn()
        const next = after(place)
        if (next) {
          const isRepeat = isBehind(place, next.row)
          place = next.place
          if (!isRepeat && isWanted(next.row)) return { done: false, value: given(next.row) }
          continue
        }
        const text = pending.shift()
        if (text !== undefined)
          return { done: false, value: { ...given({ ...place, isLast: false, text }), spot: null } }
        if (isOver) break
        await idle()
      }
      close()
      return { done: true, value: undefined }
    }

    async function idle(): Promise<void> {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      wakes.add(wake)
      isIdle = true
      caughtUp.resolve()
      await woken
      wakes.delete(wake)
      isIdle = false
      caughtUp = Promise.withResolvers()
    }

    return {
      next() {
        const result = last.then(pull)
        last = result.catch(() => undefined)
        return result
      },
      async return() {
        close()
        return { done: true, value: undefined }
      },
      place: () => (isOrdered ? place : null),
      caughtUp: () => (isIdle || isClosed ? Promise.resolve() : caughtUp.promise),
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  return {
    rows,
    commit(...more) {
      rows.push(...more)
      wakeAll()
    },
    stir: (text) => {
      for (const take of stirs) take(text)
    },
    end() {
      isOver = true
      wakeAll()
    },
    fail(error) {
      failure = error
      wakeAll()
    },
    open: openStream,
    count: () => open,
  }
}

/** Rows of one run, from the first number to the last. */
export function run(from: number, to: number, text = 'event'): Row[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    const seq = from + index
    return { number: 1, seq, isLast: false, text: `${text} ${seq}` }
  })
}
