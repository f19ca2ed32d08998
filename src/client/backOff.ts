/** How long to wait before another try. */
export interface BackOffOptions {
  /** The longest wait before the first retry, in milliseconds; it doubles with each that fails. */
  readonly retryMs: number
  /** The longest wait of all, in milliseconds. */
  readonly maxRetryMs: number
}

/**
 * The wait before a retry, in milliseconds. Anywhere between nothing and the longest: a server that comes back would
 * otherwise be met by all of its clients at once.
 *
 * @param failures how many tries have failed in a row, from 1
 */
export function backOff({ retryMs, maxRetryMs }: BackOffOptions, failures: number): number {
  return Math.random() * Math.min(maxRetryMs, retryMs * 2 ** (failures - 1))
}

/** What is asked of the global object; only browsers have it. */
interface Connectivity {
  addEventListener?(type: 'online', listener: () => void): void
  removeEventListener?(type: 'online', listener: () => void): void
}

/**
 * Calls back after so many milliseconds, or as soon as the browser is online again.
 *
 * @returns stops waiting
 */
export function wait(ms: number, then: () => void): () => void {
  // Types of the global object differ between browsers and Node, and one project may have both.
  const { addEventListener, removeEventListener } = globalThis as Connectivity
  const stop = (): void => {
    clearTimeout(timer)
    removeEventListener?.('online', done)
  }
  const done = (): void => {
    stop()
    then()
  }
  const timer = setTimeout(done, ms)
  addEventListener?.('online', done)
  return stop
}
