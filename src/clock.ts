import { setTimeout as delay } from 'node:timers/promises'
import { KernError, shown } from './errors.ts'

/** Where time comes from. Passed in, so that tests need not wait. */
export interface Clock {
  /** The time now. */
  now(): Date
  /** Resolves after `ms` milliseconds; rejects with the signal's reason if it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** The same, but a process that has nothing else to do does not stay alive for it. */
  idle(ms: number, signal?: AbortSignal): Promise<void>
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  sleep: (ms, signal) => wait(ms, signal, true),
  idle: (ms, signal) => wait(ms, signal, false),
}

async function wait(ms: number, signal: AbortSignal | undefined, ref: boolean): Promise<void> {
  signal?.throwIfAborted()
  try {
    await delay(ms, undefined, signal ? { signal, ref } : { ref })
  } catch (error) {
    // The timer rejects with an error of its own; what the caller aborted with says more.
    signal?.throwIfAborted()
    throw error
  }
}

/** A length of time: milliseconds, or text such as `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** The longest that a timer of the platform can wait (2^31 − 1 ms, nearly 25 days). */
export const MAX_DURATION_MS = 2_147_483_647

/** The longest wait that is kept in the database and not by a timer: 3,650 days. */
export const MAX_DURABLE_MS = 315_360_000_000

/**
 * Reads a duration as milliseconds.
 *
 * @param name what the duration is of, for the error
 * @param max the longest that is allowed, in milliseconds
 * @throws KernError DEFINITION_INVALID if it is neither form, negative, or longer than `max`
 */
export function durationMs(name: string, value: Duration, max: number = MAX_DURATION_MS): number {
  const ms = typeof value === 'number' ? value : parse(value)
  if (!Number.isFinite(ms) || ms < 0 || ms > max) {
    throw new KernError(
      'DEFINITION_INVALID',
      `${name} is ${shown(value)}: allowed are milliseconds from 0 to ${max}, or text such as '250ms', '30s', '5m', '2h', '1d'`,
    )
  }
  return ms
}

function parse(text: unknown): number {
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) : null
  const unit = UNITS[match?.[2] ?? '']
  return match && unit !== undefined ? Number(match[1]) * unit : Number.NaN
}
