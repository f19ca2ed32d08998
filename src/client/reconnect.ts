import { backOff, type BackOffOptions, wait } from './backOff.ts'
import { type Answer, errorIn, isRetryable, type KernClientError } from './errors.ts'
import type { Operation } from './http.ts'
import type { Transport } from './transport.ts'

/** A connection that was lost, and will be made anew. */
export interface Retry {
  /** Why the last one ended. */
  readonly error: KernClientError
  /** How many have failed in a row. */
  readonly failures: number
  /** How long until the next, in milliseconds. */
  readonly delayMs: number
}

export interface RetryOptions extends BackOffOptions {
  /** How many connections in a row may fail. */
  readonly retries: number
  readonly onRetry: ((retry: Retry) => void) | undefined
}

/** What is asked for, and who is told. */
export interface Subscriber {
  /** What to ask for now: where to go on may have changed since the last connection. */
  operation(): Operation
  /** @param size how long the text of the answer was, in characters */
  next(data: Answer['data'], size: number): void
  /** It is complete, or failed for good. */
  end(error?: KernClientError): void
}

/** A subscription that outlives its connections. */
export interface Subscription {
  /** Connects. It must not be connected. */
  open(): void
  /** Releases the connection; nobody is told of anything any more, unless it is opened again. */
  close(): void
}

/**
 * After how many milliseconds a connection has not failed at being made, even if nothing came. None takes so long to be
 * taken for dead.
 */
const STEADY_MS = 60_000

export function createSubscription(transport: Transport, subscriber: Subscriber, options: RetryOptions): Subscription {
  let failures = 0
  let release = (): void => {}
  const open = (): void => {
    const opened = Date.now()
    let live = true
    const close = transport.open(subscriber.operation(), {
      next: ({ data, errors }, size) => {
        if (!live) return
        if (errors) return retry(errorIn(errors))
        failures = 0
        subscriber.next(data, size)
      },
      end: (error) => {
        if (!live) return
        if (Date.now() - opened > STEADY_MS) failures = 0
        if (error) retry(error)
        else subscriber.end()
      },
    })
    release = () => {
      live = false
      close()
    }
  }
  const retry = (error: KernClientError): void => {
    release()
    if (!isRetryable(error) || failures >= options.retries) return subscriber.end(error)
    const delayMs = Math.max(backOff(options, ++failures), error.details.retryAfterMs ?? 0)
    release = wait(delayMs, open)
    options.onRetry?.({ error, failures, delayMs })
  }
  return { open, close: () => release() }
}
