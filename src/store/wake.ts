import { and, asc, inArray, lte } from 'drizzle-orm'
import { type Db } from '../db/client.ts'
import { runEvents, runs } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import { sourcesOf } from '../engine/transitions.ts'
import { anyOf } from './anyOf.ts'
import { notBefore } from './lockedRun.ts'
import { encode } from './rows.ts'
import { runColumns } from './runQueries.ts'

/** How many runs one transaction wakes: whoever wants one of them waits until it is over. */
const MAX_WOKEN = 100

/** Lets runs go on that do not wait longer than until `at`, be it for a person or just for the time: workers take them. */
export async function wakeDue(db: Db, at: Date): Promise<void> {
  while ((await wakeSome(db, at)) === MAX_WOKEN);
}

/** @returns how many were due. Those that another transaction holds are left to that, or to the next time. */
function wakeSome(db: Db, at: Date): Promise<number> {
  return transaction(db, async (tx) => {
    const due = await tx
      .select({ runId: runs.runId, status: runs.status })
      .from(runs)
      .where(and(lte(runs.wakeAt, at), inArray(runs.status, [...sourcesOf('RUNNING')])))
      .orderBy(asc(runs.wakeAt))
      .limit(MAX_WOKEN)
      .for('update', { skipLocked: true })
    if (due.length === 0) return 0
    const ids = due.map(({ runId }) => runId)
    const paused = new Set(due.filter(({ status }) => status === 'PAUSED').map(({ runId }) => runId))
    // A statement of its own: it sees the events that were added until the rows were locked.
    const woken = await tx
      .update(runs)
      .set({ status: 'RUNNING', wakeAt: null })
      .where(anyOf(runs.runId, ids))
      .returning({ runId: runs.runId, lastSeq: runColumns.lastSeq })
    const data = encode({ reason: 'timeout' })
    const resumed = woken
      .filter(({ runId }) => paused.has(runId))
      .map((run) => ({ runId: run.runId, seq: run.lastSeq + 1, type: 'RUN_RESUMED', at: notBefore(run, at), data }))
    if (resumed.length > 0) await tx.insert(runEvents).values(resumed)
    return due.length
  })
}
