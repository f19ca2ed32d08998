import type { Clock } from '../clock.ts'
import type { Hub, Topic } from '../engine/ports.ts'
import type { EventRecord } from '../engine/records.ts'

/** How often a stream looks at the rows although nobody woke it, in milliseconds: another process may have written. */
const SAFETY_POLL_MS = 1_000

export interface FollowOptions {
  readonly hub: Hub
  readonly clock: Clock
  readonly topic: Topic
  /** Ends the stream with its reason. */
  readonly closing?: AbortSignal | undefined
  /** Reads what follows what it read before. */
  readonly read: () => Promise<{
    readonly events: readonly EventRecord[]
    readonly more: boolean
    readonly over: boolean
  }>
}

/**
 * Reads, waits to be woken, reads again. It listens before it reads, so a commit between the two is not missed, and each
 * read begins after the last, so nothing comes twice.
 *
 * Written by hand instead of as an async generator, since a generator that waits cannot be ended from outside: `return`
 * has to stop the wait at once, also before the first event was asked for.
 */
export function follow({ hub, clock, topic, closing, read }: FollowOptions): AsyncIterableIterator<EventRecord> {
  const closed = new AbortController()
  const buffer: EventRecord[] = []
  let over = false
  let returned = false
  let woken = true
  let wake: () => void = () => undefined
  const stop = hub.listen(topic, () => {
    woken = true
    wake()
  })
  if (closing?.aborted) closed.abort()
  closing?.addEventListener('abort', () => closed.abort(), { once: true, signal: closed.signal })

  async function pull(): Promise<IteratorResult<EventRecord, undefined>> {
    for (;;) {
      if (closed.signal.aborted) return end()
      const event = buffer.shift()
      if (event) return { done: false, value: event }
      if (over) return end()
      if (!woken) await sleep()
      if (closed.signal.aborted) return end()
      woken = false
      const batch = await read()
      if (closed.signal.aborted) return end()
      buffer.push(...batch.events)
      over = batch.over
      if (batch.more) woken = true
    }
  }

  async function sleep(): Promise<void> {
    const timer = new AbortController()
    const either = AbortSignal.any([timer.signal, closed.signal])
    const change = new Promise<void>((resolve) => {
      wake = resolve
    })
    await Promise.race([change, clock.sleep(SAFETY_POLL_MS, either).catch(() => undefined)])
    timer.abort()
  }

  function end(): IteratorResult<EventRecord, undefined> {
    stop()
    closed.abort()
    if (!over && !returned && closing?.aborted) {
      returned = true
      throw closing.reason
    }
    return { done: true, value: undefined }
  }

  // Calls of `next` are answered one after another.
  let last: Promise<unknown> = Promise.resolve()
  return {
    next() {
      const result = last.then(pull)
      last = result.catch(() => {
        stop()
        closed.abort()
      })
      return result
    },
    async return() {
      returned = true
      return end()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
