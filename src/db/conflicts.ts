import { setTimeout as delay } from 'node:timers/promises'
import { conflictRetries } from './errors.ts'

const FIRST_PAUSE_MS = 10

/** Runs a whole transaction again, a few times, where it was in the way of another. */
export async function againAfterConflicts<T>(transaction: () => Promise<T>): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await transaction()
    } catch (error) {
      if (retries >= conflictRetries(error)) throw error
      // Apart from each other by chance, so that the two sides of a deadlock do not meet again.
      await delay(Math.random() * FIRST_PAUSE_MS * 2 ** retries)
    }
  }
}
