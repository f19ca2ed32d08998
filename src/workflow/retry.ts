import type { Duration } from '../clock.ts'
import { KernError } from '../errors.ts'
import type { RetryPolicy } from './definition.ts'
import { MAX_ATTEMPTS, readCount, readDuration, readFunction, readOptions, refused } from './validate.ts'

/** How often a step is tried, and how long to wait between attempts. */
export interface RetryOptions {
  /** How often the step is tried in all, 1 to 1,000. Needed if anything else of the policy is given. @default 1 */
  readonly maxAttempts?: number | undefined
  /** Whether every wait is `delay`, or each is twice the one before, with jitter. @default 'fixed' */
  readonly backoff?: 'fixed' | 'exponential' | undefined
  /** The wait before the second attempt. @default '1s' */
  readonly delay?: Duration | undefined
  /** The longest wait between two attempts. @default '1m' */
  readonly maxDelay?: Duration | undefined
  /** Whether this error is worth another attempt. @default every error is, but NonRetryableError */
  readonly retryIf?: ((error: unknown) => boolean) | undefined
}

const DEFAULT_RETRY: RetryPolicy = Object.freeze({
  maxAttempts: 1,
  backoff: 'fixed',
  delayMs: 1_000,
  maxDelayMs: 60_000,
  retryIf: null,
})

const RETRY_KEYS = [
  'maxAttempts',
  'backoff',
  'delay',
  'maxDelay',
  'retryIf',
] as const satisfies readonly (keyof RetryOptions)[]

/** Reads a retry policy; the default one where none is given. @throws KernError DEFINITION_INVALID */
export function readRetry(named: string, given: unknown): RetryPolicy {
  if (given === undefined) return DEFAULT_RETRY
  const options = readOptions(`retry of ${named}`, given, RETRY_KEYS)
  const idle = RETRY_KEYS.find((key) => options[key] !== undefined)
  if (options.maxAttempts === undefined && idle !== undefined) {
    throw new KernError(
      'DEFINITION_INVALID',
      `retry of ${named} has ${idle} but no maxAttempts, which is 1 by default: nothing would be retried`,
    )
  }
  const policy: RetryPolicy = Object.freeze({
    maxAttempts:
      readCount(`retry.maxAttempts of ${named}`, options.maxAttempts, MAX_ATTEMPTS) ?? DEFAULT_RETRY.maxAttempts,
    backoff: readBackoff(named, options.backoff),
    delayMs: readDuration(`retry.delay of ${named}`, options.delay) ?? DEFAULT_RETRY.delayMs,
    maxDelayMs: readDuration(`retry.maxDelay of ${named}`, options.maxDelay) ?? DEFAULT_RETRY.maxDelayMs,
    retryIf:
      options.retryIf === undefined
        ? null
        : readFunction<NonNullable<RetryPolicy['retryIf']>>(`retry.retryIf of ${named}`, options.retryIf),
  })
  if (policy.delayMs > policy.maxDelayMs) {
    const allowed = `allowed is at most maxDelay, which is ${policy.maxDelayMs} ms`
    throw refused(`retry.delay of ${named}`, options.delay ?? policy.delayMs, allowed)
  }
  return policy
}

function readBackoff(named: string, value: unknown): RetryPolicy['backoff'] {
  if (value === undefined) return DEFAULT_RETRY.backoff
  if (value !== 'fixed' && value !== 'exponential') {
    throw refused(`retry.backoff of ${named}`, value, "allowed are 'fixed' and 'exponential'")
  }
  return value
}
