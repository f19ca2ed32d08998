import type { Clock } from '../clock.ts'

/** How often a stream looks at the rows although nobody woke it, in milliseconds: another process may have written. */
const SAFETY_POLL_MS = 1_000

/** Tells a stream when to look at the rows: at its beginning, when it is woken, and after a while although nobody woke it. */
export interface Alarm {
  /** There may be something to read. */
  ring(): void
  /** Ends the wait that is under way, with nothing to read. */
  stir(): void
  /** Whether there may be something to read. Whoever is told so reads it. */
  answered(): boolean
  /** Resolves when it rings, at once if it has, when it stirs, and when the signal aborts. */
  wait(): Promise<void>
}

export function createAlarm(clock: Clock, signal: AbortSignal): Alarm {
  let rung = true
  let poll: AbortController | null = null
  let resolve: () => void = () => undefined
  const stir = () => resolve()
  const ring = () => {
    rung = true
    stir()
  }
  signal.addEventListener('abort', stir, { once: true })
  return {
    ring,
    stir,
    answered() {
      if (!rung) return false
      rung = false
      poll?.abort()
      poll = null
      return true
    },
    async wait() {
      if (rung) return
      // It runs since the last look at the rows, however often something stirred.
      if (!poll) {
        poll = new AbortController()
        clock.sleep(SAFETY_POLL_MS, AbortSignal.any([poll.signal, signal])).then(ring, () => undefined)
      }
      await new Promise<void>((next) => {
        resolve = next
      })
    },
  }
}
