import type { Clock } from '../clock.ts'

/** Does work again and again until the signal aborts, after `ms` milliseconds each, or after what the work says. */
export async function every(
  ms: number,
  work: () => Promise<number | void>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  let pause = ms
  while (!signal.aborted) {
    await clock.idle(pause, signal).catch(() => undefined)
    if (!signal.aborted) pause = (await work()) ?? ms
  }
}

/** Waits for a promise, but not longer than `ms`. */
export async function within(promise: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  const timer = new AbortController()
  await Promise.race([promise, clock.sleep(ms, timer.signal).catch(() => undefined)])
  timer.abort()
}

/**
 * Asks for work that is done once at a time: while it is under way, it is asked for at most once more, since it may have
 * looked already where something has changed since.
 */
export function soon(work: () => Promise<void>): () => void {
  let again = false
  let running = false
  const run = async () => {
    running = true
    do {
      again = false
      await work()
    } while (again)
    running = false
  }
  return () => {
    again = true
    if (!running) void run()
  }
}
