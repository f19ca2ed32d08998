import { setImmediate as nextTurn } from 'node:timers/promises'
import type { LiveStream } from '../engine/api.ts'
import type { Place } from '../engine/cursor.ts'

/** After how many steps in a row that gave nothing the event loop has a turn: a step may be over in a microtask. */
const STEPS_A_TURN = 64

/** What a stream does, one step after another, until it is over. */
export interface Work<Item> {
  /** Gives the next item, or says that nothing can be given yet, that there is nothing more to do now, or ever. */
  step(): Promise<Item | 'again' | 'idle' | 'over'>
  /** Resolves when there may be something to do, and when the signal of `open` aborts. */
  wait(): Promise<void>
  /** Called once or more when the stream has ended, whyever. */
  release(): void
}

export interface LiveStreamOptions<Item> {
  /** Begins the work at once. The signal aborts when the stream has ended. */
  readonly open: (signal: AbortSignal) => Work<Item>
  readonly place: () => Place | null
  /** Ends the stream with its reason. */
  readonly closing?: AbortSignal | undefined
}

/**
 * A stream that does its work while somebody asks for its items. Calls of `next` are answered one after another; `return`
 * waits for none of them.
 *
 * Written by hand instead of as an async generator, since a generator that waits cannot be ended from outside: `return`
 * has to stop the wait at once, also before the first item was asked for.
 */
export function liveStream<Item extends object>(options: LiveStreamOptions<Item>): LiveStream<Item> {
  const { place, closing } = options
  const closed = new AbortController()
  const { step, wait, release: stop } = options.open(closed.signal)
  let last: Promise<unknown> = Promise.resolve()
  let idle = false
  let over = false
  let returned = false
  let caughtUp = Promise.withResolvers<void>()
  if (closing?.aborted) closed.abort()
  closing?.addEventListener('abort', () => closed.abort(), { once: true, signal: closed.signal })

  async function pull(): Promise<IteratorResult<Item, undefined>> {
    for (let steps = 1; !closed.signal.aborted && !over; steps += 1) {
      const given = await step()
      if (given === 'over') over = true
      else if (given === 'idle') await idleUntilWoken()
      else if (given !== 'again') return { done: false, value: given }
      if (steps % STEPS_A_TURN === 0) await nextTurn()
    }
    return end()
  }

  async function idleUntilWoken(): Promise<void> {
    idle = true
    caughtUp.resolve()
    await wait()
    idle = false
    caughtUp = Promise.withResolvers()
  }

  function release(): void {
    stop()
    closed.abort()
    caughtUp.resolve()
  }

  function end(): IteratorResult<Item, undefined> {
    release()
    if (!over && !returned && closing?.aborted) {
      returned = true
      throw closing.reason
    }
    return { done: true, value: undefined }
  }

  return {
    next() {
      const result = last.then(pull)
      last = result.catch(release)
      return result
    },
    async return() {
      returned = true
      return end()
    },
    place,
    caughtUp: () => (idle || closed.signal.aborted ? Promise.resolve() : caughtUp.promise),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
