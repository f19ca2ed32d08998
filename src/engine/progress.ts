import type { Clock } from '../clock.ts'
import type { Json } from '../json.ts'

/** The shortest time between two publications, in milliseconds. */
export const PROGRESS_MS = 100

/** The partial outputs of one step, of which not each is worth telling, nor reading. */
export interface Progress {
  push(value: unknown): void
  /** The newest value, published or not; the last published one if that cannot be read. Undefined if there was none. */
  newest(): Json | undefined
  /** Nothing is published from now on. */
  end(): void
}

export interface ProgressOptions {
  readonly clock: Clock
  /** A pushed value as it may be published; undefined if it may not. Called only for what is published or asked for. */
  readonly read: (value: unknown) => Json | undefined
  readonly publish: (value: Json) => void
}

/**
 * Publishes the first value at once, and after that the newest one every {@link PROGRESS_MS} milliseconds, where there is a
 * newer one.
 */
export function createProgress({ clock, read, publish }: ProgressOptions): Progress {
  const over = new AbortController()
  let pushed: unknown
  /** Whether it was pushed after the last one that was read. */
  let fresh = false
  let readable: Json | undefined
  let publishing = false

  async function publishFresh(): Promise<void> {
    publishing = true
    try {
      while (fresh) {
        fresh = false
        const value = read(pushed)
        if (value !== undefined) {
          readable = value
          publish(value)
        }
        await clock.sleep(PROGRESS_MS, over.signal)
      }
    } finally {
      publishing = false
    }
  }

  return {
    push(value) {
      if (over.signal.aborted) return
      pushed = value
      fresh = true
      // Only the end of the step ends its sleep early.
      if (!publishing) publishFresh().catch(() => undefined)
    },
    newest() {
      const value = fresh ? read(pushed) : undefined
      return value === undefined ? readable : value
    },
    end: () => over.abort(),
  }
}
