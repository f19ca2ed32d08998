import { eq, sql } from 'drizzle-orm'
import type { Db, Tx } from '../db/client.ts'
import { runEvents, runs } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import { cancellation } from '../engine/ending.ts'
import { describeFailure } from '../engine/failure.ts'
import type { CancelOutcome } from '../engine/commandStore.ts'
import type { RunRecord } from '../engine/records.ts'
import { sourcesOf } from '../engine/transitions.ts'
import { encode, runOf } from './rows.ts'
import { runColumns } from './runQueries.ts'
import { giveTurn, lockSession } from './turns.ts'

export interface CancelRequest {
  readonly runId: string
  readonly reason: string | null
  readonly at: Date
}

/** Ends a run that has not started; of one that runs, it asks the owner to end it. */
export function cancel(db: Db, request: CancelRequest): Promise<CancelOutcome | { readonly type: 'not-found' }> {
  return transaction(db, async (tx) => {
    const [locked] = await tx
      .select({ status: runs.status })
      .from(runs)
      .where(eq(runs.runId, request.runId))
      .for('update')
    if (!locked) return { type: 'not-found' }
    if (!sourcesOf('CANCELLED').includes(locked.status)) return { type: 'over', run: await read(tx, request.runId) }
    if (locked.status === 'QUEUED') return await endQueued(tx, request)
    await tx
      .update(runs)
      .set({
        cancelRequestedAt: sql`coalesce(${runs.cancelRequestedAt}, ${request.at.toISOString()}::timestamptz)`,
        cancelReason: sql`coalesce(${runs.cancelReason}, ${request.reason}::text)`,
      })
      .where(eq(runs.runId, request.runId))
    return { type: 'requested', run: await read(tx, request.runId) }
  })
}

async function endQueued(tx: Tx, { runId, reason, at }: CancelRequest): Promise<CancelOutcome> {
  const error = { ...describeFailure(cancellation(reason), null) }
  await tx
    .update(runs)
    .set({ status: 'CANCELLED', completedAt: at, error: encode(error), cancelRequestedAt: at, cancelReason: reason })
    .where(eq(runs.runId, runId))
  const run = await read(tx, runId)
  await tx.insert(runEvents).values({ runId, seq: run.lastSeq + 1, type: 'RUN_CANCELLED', at, data: encode(error) })
  const session = await lockSession(tx, run.sessionId)
  const had = session?.activeRunId === runId
  const turn = session ? await giveTurn(tx, session) : null
  return { type: 'cancelled', run: { ...run, lastSeq: run.lastSeq + 1 }, nextRunId: had ? turn : null }
}

async function read(tx: Tx, runId: string): Promise<RunRecord> {
  const [row] = await tx.select(runColumns).from(runs).where(eq(runs.runId, runId))
  if (!row) throw new Error(`run ${runId} vanished while its row was locked`)
  return runOf(row)
}
