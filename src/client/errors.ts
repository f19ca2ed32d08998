/** One fault in the input of a run: where it is, as keys from the outside in, and what is wrong there. */
export interface InputIssue {
  readonly path: readonly string[]
  readonly message: string
}

/** What the server says about a failure besides its message. */
export interface KernClientErrorDetails {
  /** Each fault in the input, for INPUT_INVALID. */
  readonly issues?: readonly InputIssue[]
  /** The limit that was reached, for LIMIT_EXCEEDED. */
  readonly limit?: number
  /** When to try again, in milliseconds, for LIMIT_EXCEEDED; undefined where waiting does not help. */
  readonly retryAfterMs?: number
  /** The run that stands in the way, for CONFLICT. */
  readonly runId?: string
  /** The session that stands in the way, for CONFLICT. */
  readonly sessionId?: string
}

/**
 * Why a call of the client failed for good.
 *
 * `code` is the server's, such as NOT_FOUND, INPUT_INVALID, CONFLICT, FORBIDDEN, LIMIT_EXCEEDED, CURSOR_INVALID or
 * CURSOR_EXPIRED; UNAVAILABLE if the server could not be reached, or not in time; BAD_RESPONSE if what answered does not
 * speak GraphQL; OPTION_INVALID if the client was given something that it cannot use.
 */
export class KernClientError extends Error {
  override readonly name = 'KernClientError'
  readonly code: string
  readonly details: KernClientErrorDetails

  constructor(code: string, message: string, { cause, ...details }: KernClientErrorDetails & { cause?: unknown } = {}) {
    super(message, { cause })
    this.code = code
    this.details = details
  }
}

/** Something that did not work now and may work in a moment. */
export function unavailable(message: string, cause?: unknown): KernClientError {
  return new KernClientError('UNAVAILABLE', message, { cause })
}

/** An error as whoever waits for an answer is told: what is no KernClientError came from the network. */
export function asClientError(error: unknown): KernClientError {
  return error instanceof KernClientError ? error : unavailable(`The connection failed: ${String(error)}`, error)
}

/** Whether the same call may succeed later without being changed. */
export function isRetryable({ code, details }: KernClientError): boolean {
  return code === 'UNAVAILABLE' || details.retryAfterMs !== undefined
}

/** An error in an answer of GraphQL. */
export interface GraphQLAnswerError {
  readonly message: string
  readonly extensions?: KernClientErrorDetails & { readonly code?: string }
}

/** What a server answers to an operation. */
export interface Answer {
  readonly data?: Readonly<Record<string, unknown>> | null
  readonly errors?: readonly GraphQLAnswerError[]
}

/** The first error of an answer, which says why there is no other. */
export function errorIn(errors: readonly GraphQLAnswerError[]): KernClientError {
  const [{ message, extensions: { code = 'INTERNAL', ...details } = {} } = { message: 'No reason was given' }] = errors
  return new KernClientError(code, message, details)
}
