import { and, asc, inArray, lte } from 'drizzle-orm'
import { type Db } from '../db/client.ts'
import { runs } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import type { RunChange } from '../engine/ports.ts'
import { sourcesOf } from '../engine/transitions.ts'
import { anyOf } from './anyOf.ts'
import { addEvents } from './lockedRun.ts'
import { runColumns } from './runQueries.ts'

/** How many runs one transaction wakes: whoever wants one of them waits until it is over. */
const MAX_WOKEN = 100

/**
 * Lets runs go on that do not wait longer than until `at`, be it for a person or just for the time: workers take them.
 *
 * @param tell called, after the commit, with each run that has an event by it
 */
export async function wakeDue(db: Db, at: Date, tell: (change: RunChange) => void = () => undefined): Promise<void> {
  for (;;) {
    const { due, resumed } = await wakeSome(db, at)
    for (const { runId, sessionId, workflowId } of resumed) tell({ runId, sessionId, workflowId, settled: false })
    if (due < MAX_WOKEN) return
  }
}

interface Woken {
  /** How many were due. Those that another transaction holds are left to that, or to the next time. */
  readonly due: number
  /** Those of them that were PAUSED. */
  readonly resumed: readonly Pick<RunChange, 'runId' | 'sessionId' | 'workflowId'>[]
}

function wakeSome(db: Db, at: Date): Promise<Woken> {
  return transaction(db, async (tx) => {
    const due = await tx
      .select({ runId: runs.runId, status: runs.status })
      .from(runs)
      .where(and(lte(runs.wakeAt, at), inArray(runs.status, [...sourcesOf('RUNNING')])))
      .orderBy(asc(runs.wakeAt))
      .limit(MAX_WOKEN)
      .for('update', { skipLocked: true })
    if (due.length === 0) return { due: 0, resumed: [] }
    const ids = due.map(({ runId }) => runId)
    const paused = new Set(due.filter(({ status }) => status === 'PAUSED').map(({ runId }) => runId))
    // A statement of its own: it sees the events that were added until the rows were locked.
    const woken = await tx
      .update(runs)
      .set({ status: 'RUNNING', wakeAt: null })
      .where(anyOf(runs.runId, ids))
      .returning({
        runId: runs.runId,
        sessionId: runs.sessionId,
        workflowId: runs.workflowId,
        lastSeq: runColumns.lastSeq,
      })
    const resumed = woken.filter(({ runId }) => paused.has(runId))
    await addEvents(tx, resumed, { type: 'RUN_RESUMED', at, data: { reason: 'timeout' } })
    return { due: due.length, resumed }
  })
}
