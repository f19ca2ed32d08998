/**
 * Every code that a Kern error can carry, with what it means to a caller. The table is closed: a failure that fits no
 * row is a fault of Kern and is reported as INTERNAL.
 *
 * `retryable` tells whether the same call may succeed later without being changed.
 */
export const ERROR_CODES = {
  NOT_FOUND: { retryable: false, meaning: 'the named thing does not exist, or the viewer may not know that it does' },
  INPUT_INVALID: { retryable: false, meaning: 'a value given by the caller is malformed or out of range' },
  CONFLICT: {
    retryable: false,
    meaning: 'the call contradicts the present state, or an earlier call with the same key',
  },
  FORBIDDEN: { retryable: false, meaning: 'the viewer may not do this' },
  LIMIT_EXCEEDED: { retryable: true, meaning: 'a stated limit was reached' },
  CURSOR_INVALID: { retryable: false, meaning: 'a cursor is malformed, or belongs to another list or run' },
  CURSOR_EXPIRED: { retryable: false, meaning: 'what a cursor points at was deleted since: begin without one' },
  UNAVAILABLE: { retryable: true, meaning: 'the database did not answer, or this process is stopping' },
  DEFINITION_INVALID: { retryable: false, meaning: 'a workflow or step is defined wrongly' },
  DEFINITION_CHANGED: {
    retryable: false,
    meaning: 'recorded steps of a run do not exist in the definition served now',
  },
  POISONED: { retryable: false, meaning: 'too many processes died while they executed a run' },
  CONFIG_INVALID: { retryable: false, meaning: 'a setting is unknown or malformed' },
  DATABASE_LOCKED: { retryable: true, meaning: 'the embedded data folder is open in another process' },
  SCHEMA_OUTDATED: { retryable: false, meaning: 'the database was not migrated to the schema of this version' },
  VALUE_NOT_STORABLE: { retryable: false, meaning: 'a value is not JSON, or would not be read back as it was given' },
  VALUE_TOO_LARGE: { retryable: false, meaning: 'a value is larger than the limit' },
  STEP_FAILED: { retryable: true, meaning: 'a step threw' },
  STEP_TIMEOUT: { retryable: true, meaning: 'an attempt of a step took longer than its timeout' },
  RUN_TIMEOUT: { retryable: false, meaning: 'a run took longer than its timeout' },
  OUTPUT_INVALID: { retryable: true, meaning: 'what a step returned does not fit its output schema' },
  STATE_INVALID: { retryable: false, meaning: 'the session state does not fit the state schema' },
  STATE_CONFLICT: {
    retryable: false,
    meaning: 'two steps that ran at the same time set one key of the state to different values',
  },
  MODEL_UNAVAILABLE: { retryable: true, meaning: 'the provider of a language model did not answer, or asked to wait' },
  MODEL_REFUSED: { retryable: false, meaning: 'the provider of a language model refused the call' },
  INTERRUPTED: { retryable: true, meaning: 'an attempt was cut off before its result was recorded' },
  CANCELLED: { retryable: false, meaning: 'the run was cancelled' },
  FENCED: { retryable: false, meaning: 'the run was taken over by another process' },
  INTERNAL: { retryable: false, meaning: 'a fault of the server; the log has the details' },
} as const satisfies Record<string, { retryable: boolean; meaning: string }>

/** One of the codes of {@link ERROR_CODES}. */
export type KernErrorCode = keyof typeof ERROR_CODES

/** One fault in a value: where it is, as a list of keys from the outside in, and what is wrong. */
export interface InputIssue {
  readonly path: readonly string[]
  readonly message: string
}

/** What an error carries besides its message, for callers that act on it. */
export interface KernErrorDetails {
  /** What led to this error. */
  readonly cause?: unknown
  /** Each fault in the input, for INPUT_INVALID. */
  readonly issues?: readonly InputIssue[]
  /** The run that stands in the way, for CONFLICT. */
  readonly runId?: string
  /** The session that stands in the way, for CONFLICT. */
  readonly sessionId?: string
  /** The limit that was reached, for LIMIT_EXCEEDED and VALUE_TOO_LARGE. */
  readonly limit?: number
  /** When to try again, in milliseconds, for LIMIT_EXCEEDED. */
  readonly retryAfterMs?: number
}

/**
 * The one error class of Kern. `code` says what kind of failure it is, the message names the thing, the value received
 * and what is allowed.
 */
export class KernError extends Error {
  override readonly name = 'KernError'
  readonly code: KernErrorCode
  readonly details: Omit<KernErrorDetails, 'cause'>

  constructor(code: KernErrorCode, message: string, details: KernErrorDetails = {}) {
    const { cause, ...rest } = details
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = rest
  }

  /** Whether the same call may succeed later without being changed. */
  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable
  }
}

/** Throw this from a step to fail it at once, whatever attempts its retry policy has left. */
export class NonRetryableError extends Error {
  override readonly name = 'NonRetryableError'
}

/** True for a {@link KernError}, with the given code where one is given. */
export function isKernError(error: unknown, code?: KernErrorCode): error is KernError {
  return error instanceof KernError && (code === undefined || error.code === code)
}

/** Shows a received value in an error message: JSON where it can be, cut to 80 characters. */
export function shown(value: unknown): string {
  let text: string
  try {
    text = JSON.stringify(value) ?? String(value)
  } catch {
    text = Object.prototype.toString.call(value)
  }
  const points = [...text]
  return points.length > 80 ? `${points.slice(0, 79).join('')}…` : text
}
