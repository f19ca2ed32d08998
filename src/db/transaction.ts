import { setTimeout as delay } from 'node:timers/promises'
import type { PgTransactionConfig } from 'drizzle-orm/pg-core'
import { asKernError, isRetryable, isUnavailable } from './errors.ts'
import type { Db, Tx } from './session.ts'

export { deadline } from './deadline.ts'

const MAX_RETRIES = 3

/**
 * Runs `work` in a transaction: committed when it resolves, rolled back when it throws. A serialization failure or a
 * deadlock starts it again, up to three times, so `work` must have no effects outside the transaction.
 *
 * @throws KernError UNAVAILABLE if the database could not be reached or did not answer in time; whether the transaction
 *   was committed is then unknown. Everything else that `work` or the database throws is handed through.
 */
export async function transaction<T>(db: Db, work: (tx: Tx) => Promise<T>, config?: PgTransactionConfig): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await db.transaction(work, config)
    } catch (error) {
      if (!isRetryable(error) || retries === MAX_RETRIES) throw isUnavailable(error) ? asKernError(error) : error
      // Apart from each other by chance, so that the two sides of a deadlock do not meet again.
      await delay(Math.random() * 10 * 2 ** retries)
    }
  }
}
