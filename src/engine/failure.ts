import { isKernError, type KernError, NonRetryableError } from '../errors.ts'
import type { RunError } from './records.ts'

/** How much of an error's message is kept, in UTF-16 code units. */
const MAX_MESSAGE = 16_384

/** A step failed for good: it ends the run unless a container says otherwise. */
export class StepFailure extends Error {
  readonly failure: RunError

  constructor(failure: RunError) {
    super(failure.message)
    this.failure = failure
  }
}

/** The run is to stop where it is. `reason` is the KernError that its signal was aborted with. */
export class Interrupted extends Error {
  readonly reason: KernError

  constructor(reason: KernError) {
    super(reason.message)
    this.reason = reason
  }
}

/** Turns anything that was thrown into what is stored about it. Never throws itself. */
export function describeFailure(thrown: unknown, stepPath: string | null): RunError {
  return {
    name: text(read(thrown, 'name')) ?? 'Error',
    code: isKernError(thrown) ? thrown.code : text(read(thrown, 'code')),
    message: messageOf(thrown),
    stepPath,
    retryable: mayRetry(thrown),
  }
}

/** Whether another attempt makes sense at all; the step's own `retryIf` is asked besides. */
export function mayRetry(thrown: unknown): boolean {
  if (thrown instanceof NonRetryableError) return false
  return isKernError(thrown) ? thrown.retryable : true
}

function messageOf(thrown: unknown): string {
  const own = read(thrown, 'message')
  if (typeof own === 'string') return clean(own)
  try {
    return clean(typeof thrown === 'object' ? (JSON.stringify(thrown) ?? String(thrown)) : String(thrown))
  } catch {
    return 'a value that cannot be shown was thrown'
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? clean(value) : null
}

/** Postgres stores neither NUL nor lone surrogates; both become U+FFFD. */
function clean(value: string): string {
  return value.slice(0, MAX_MESSAGE).toWellFormed().replaceAll('\0', '\uFFFD')
}

/** Reads a property of what was thrown, which may be anything, also an object whose getters throw. */
function read(thrown: unknown, key: string): unknown {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  try {
    return Reflect.get(thrown, key)
  } catch {
    return undefined
  }
}
