import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { Db, Tx } from '../db/client.ts'
import { runs, stepResults } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import { cancellation } from '../engine/ending.ts'
import { describeFailure } from '../engine/failure.ts'
import type { CancelOutcome } from '../engine/commands/commandStore.ts'
import { sourcesOf } from '../engine/transitions.ts'
import { type HandOver, NO_HAND_OVER } from './handOver.ts'
import { addEvent, lockRun, readLocked } from './lockedRun.ts'
import { encode } from './rows.ts'
import { giveTurn, lockSession } from './turns.ts'

export interface CancelRequest {
  readonly runId: string
  readonly reason: string | null
  readonly at: Date
}

/** Ends a run that has not started; of one that has, it asks whoever executes it, or the next who does, to end it. */
export function cancel(
  db: Db,
  request: CancelRequest,
  handOver: HandOver = NO_HAND_OVER,
): Promise<CancelOutcome | { readonly type: 'not-found' }> {
  return transaction(db, async (tx): Promise<CancelOutcome | { readonly type: 'not-found' }> => {
    const { runId } = request
    const locked = await lockRun(tx, runId)
    if (!locked) return { type: 'not-found' }
    if (locked.status === 'QUEUED') {
      const ended = await endQueued(tx, request)
      if (ended.type === 'cancelled' && ended.nextRunId !== null) await handOver(tx, ended.nextRunId)
      return ended
    }
    const asked = await requestCancel(tx, request)
    // Nobody executes it: somebody has to take it to end it.
    if (asked?.owned === false) await handOver(tx, runId)
    const run = await readLocked(tx, runId)
    return asked ? { type: 'requested', run, owned: asked.owned } : { type: 'over', run }
  })
}

/**
 * Notes that a run is to be cancelled. One that was put aside is RUNNING again and waits no more: a worker takes it and
 * ends it.
 *
 * @returns whether somebody executes it; null if it is over
 */
export async function requestCancel(
  tx: Tx,
  { runId, reason, at }: CancelRequest,
): Promise<{ readonly owned: boolean } | null> {
  const [asked] = await tx
    .update(runs)
    .set({
      cancelRequestedAt: sql`coalesce(${runs.cancelRequestedAt}, ${at.toISOString()}::timestamptz)`,
      cancelReason: sql`coalesce(${runs.cancelReason}, ${reason}::text)`,
      status: sql`case when ${runs.status} = 'PAUSED' then 'RUNNING' else ${runs.status} end`,
      wakeAt: null,
    })
    .where(and(eq(runs.runId, runId), inArray(runs.status, [...sourcesOf('CANCELLED')])))
    .returning({ owner: runs.owner })
  return asked ? { owned: asked.owner !== null } : null
}

async function endQueued(tx: Tx, { runId, reason, at }: CancelRequest): Promise<CancelOutcome> {
  const error = { ...describeFailure(cancellation(reason), null) }
  await tx
    .update(runs)
    .set({ status: 'CANCELLED', completedAt: at, error: encode(error), cancelRequestedAt: at, cancelReason: reason })
    .where(eq(runs.runId, runId))
  // Containers that a retry has opened in advance.
  await tx
    .update(stepResults)
    .set({ status: 'CANCELLED', completedAt: at, error: encode(error) })
    .where(and(eq(stepResults.runId, runId), isNull(stepResults.completedAt)))
  const cancelled = await readLocked(tx, runId)
  const run = await addEvent(tx, cancelled, { type: 'RUN_CANCELLED', at, data: error })
  const session = await lockSession(tx, run.sessionId)
  const had = session?.activeRunId === runId
  const turn = session ? await giveTurn(tx, session) : null
  return { type: 'cancelled', run, nextRunId: had ? turn : null }
}
