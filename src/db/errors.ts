import { isKernError, KernError } from '../errors.ts'

/**
 * SQLSTATE classes that say that the database could not do its work now, whatever was asked of it: lost connection (08),
 * lack of resources such as connections, memory or disk (53), intervention by its operator or a timeout of its own (57),
 * faults of the system under it (58), and transactions that others made impossible (25P03, 40, 55P03).
 */
const UNAVAILABLE_STATES = /^(08|53|57|58|40|25P03|55000|55P03)/

/** Codes of sockets and of the drivers that mean the same. */
const UNAVAILABLE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'CONNECT_TIMEOUT',
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
])

/** What the driver of pg-boss says of connections that were lost or not answered, without a code. */
const UNAVAILABLE_MESSAGES = /^(Connection terminated|Query read timeout|timeout (expired|exceeded))/

/**
 * How often a transaction is tried again that was in the way of another: a serialization failure, a deadlock, a lock that
 * was not to be had.
 */
const CONFLICT_RETRIES = new Map([
  ['40001', 3],
  ['40P01', 3],
  ['55P03', 4],
])

/** A link of a chain of causes that has a string under this key. */
function found(error: unknown, key: 'code' | 'constraint_name' | 'constraint'): string | undefined {
  // Drizzle wraps what the driver threw, and Kern may wrap that again: eight links are more than there ever are.
  let link = error
  for (let depth = 0; depth < 8 && link instanceof Error; depth++) {
    const value: unknown = Reflect.get(link, key)
    if (typeof value === 'string' && !isKernError(link)) return value
    link = link.cause
  }
  return undefined
}

/** The SQLSTATE, or the code of the socket or driver, at the bottom of an error; undefined if there is none. */
export function databaseCode(error: unknown): string | undefined {
  return found(error, 'code')
}

/** The name of the constraint that refused a row; undefined if none did. */
export function violatedConstraint(error: unknown): string | undefined {
  return found(error, 'constraint_name') ?? found(error, 'constraint')
}

/** How often the whole transaction should be tried again after this error; 0 if it is no conflict with another. */
export function conflictRetries(error: unknown): number {
  return CONFLICT_RETRIES.get(databaseCode(error) ?? '') ?? 0
}

/** The KernError in a chain of causes: Drizzle wraps what a deadline throws as it wraps what the driver throws. */
function kernErrorIn(error: unknown): KernError | undefined {
  if (isKernError(error)) return error
  return error instanceof Error && isKernError(error.cause) ? error.cause : undefined
}

/** True if the database could not be reached or could not work, so that the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  const own = kernErrorIn(error)
  if (own) return own.code === 'UNAVAILABLE'
  const code = databaseCode(error)
  if (code === undefined) return error instanceof Error && UNAVAILABLE_MESSAGES.test(error.message)
  return UNAVAILABLE_CODES.has(code) || (code.length === 5 && UNAVAILABLE_STATES.test(code))
}

/**
 * What a caller may be told of a failure of the database: UNAVAILABLE where the same call may succeed later, else
 * INTERNAL. The message never holds SQL, parameters or addresses; those are in `cause`. A KernError is handed through.
 */
export function asKernError(error: unknown): KernError {
  const own = kernErrorIn(error)
  if (own) return own
  const code = databaseCode(error)
  const detail = code === undefined ? '' : ` (${code})`
  return isUnavailable(error)
    ? new KernError('UNAVAILABLE', `the database is not available${detail}`, { cause: error })
    : new KernError('INTERNAL', `the database refused a statement${detail}`, { cause: error })
}
