import { type Clock, type Duration, durationMs } from '../clock.ts'

/** A clock that stands still until it is told how much time has passed. */
export interface TestClock extends Clock {
  /** Lets time pass, at once: everything that is due by then happens at the new time. */
  advance(duration: Duration): void
  /** Lets time pass until then; does nothing if that is over. */
  advanceTo(time: Date): void
}

interface Timer {
  readonly due: number
  readonly fire: () => void
}

/** @param start the time that it shows first */
export function createTestClock(start: Date): TestClock {
  let now = start.getTime()
  const timers = new Set<Timer>()

  function wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const abort = () => {
        timers.delete(timer)
        reject(signal?.reason)
      }
      const timer: Timer = {
        due: now + ms,
        fire() {
          timers.delete(timer)
          signal?.removeEventListener('abort', abort)
          resolve()
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      timers.add(timer)
    })
  }

  function advanceTo(time: number): void {
    now = Math.max(now, time)
    const due = [...timers].filter((timer) => timer.due <= now).sort((a, b) => a.due - b.due)
    for (const timer of due) timer.fire()
  }

  return {
    now: () => new Date(now),
    sleep: wait,
    idle: wait,
    advance: (duration) => advanceTo(now + durationMs('the time to advance the clock by', duration)),
    advanceTo: (time) => advanceTo(time.getTime()),
  }
}
