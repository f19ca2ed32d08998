import type { PgTransactionConfig } from 'drizzle-orm/pg-core'
import { againAfterConflicts } from './conflicts.ts'
import { asKernError, isUnavailable } from './errors.ts'
import type { Db, Tx } from './session.ts'

export { deadline } from './deadline.ts'

/**
 * Runs `work` in a transaction: committed when it resolves, rolled back when it throws. A serialization failure, a deadlock
 * or a lock that was not to be had in time starts it again, a few times, so `work` must have no effects outside the
 * transaction.
 *
 * @throws KernError UNAVAILABLE if the database could not be reached or did not answer in time; whether the transaction
 *   was committed is then unknown. Everything else that `work` or the database throws is handed through.
 */
export async function transaction<T>(db: Db, work: (tx: Tx) => Promise<T>, config?: PgTransactionConfig): Promise<T> {
  try {
    return await againAfterConflicts(() => db.transaction(work, config))
  } catch (error) {
    throw isUnavailable(error) ? asKernError(error) : error
  }
}
