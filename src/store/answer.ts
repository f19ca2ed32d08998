import { and, eq, sql } from 'drizzle-orm'
import type { Db, Tx } from '../db/client.ts'
import { runs, stepResults } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import type { AnswerOutcome, AnswerRequest } from '../engine/commands/commandStore.ts'
import type { RunStatus } from '../engine/records.ts'
import { type HandOver, NO_HAND_OVER } from './handOver.ts'
import { addEvent, lockRun, readLocked } from './lockedRun.ts'
import { encode } from './rows.ts'

/** In which a step of a run may wait for an answer. */
const ANSWERABLE: readonly RunStatus[] = ['PAUSED', 'RUNNING']

/**
 * Records an answer, and lets the run go on. Under the lock of the run's row: of two answers to one wait the second finds
 * the first, and a journal that would park the run at this moment either comes first, or finds the answer counted.
 */
export function answer(db: Db, request: AnswerRequest, handOver: HandOver = NO_HAND_OVER): Promise<AnswerOutcome> {
  return transaction(db, async (tx): Promise<AnswerOutcome> => {
    const { runId, path, at } = request
    const locked = await lockRun(tx, runId)
    if (!locked) return { type: 'not-found' }
    if (!ANSWERABLE.includes(locked.status) || !(await record(tx, request))) {
      return { type: 'not-waiting', run: await readLocked(tx, runId) }
    }
    const parked = locked.owner === null
    await tx
      .update(runs)
      .set({ answers: sql`${runs.answers} + 1`, ...(parked ? { status: 'RUNNING', wakeAt: null } : {}) })
      .where(eq(runs.runId, runId))
    if (parked) await handOver(tx, runId)
    const run = await readLocked(tx, runId)
    if (locked.status !== 'PAUSED') return { type: 'answered', run, parked }
    const data = { action: request.answer.action }
    return {
      type: 'answered',
      run: await addEvent(tx, run, { type: 'RUN_RESUMED', at, stepPath: path, data }),
      parked,
    }
  })
}

/** Writes the answer into the step's row, if that waits for it: for this one, not answered yet, and not too late. */
async function record(tx: Tx, { runId, path, answer, at }: AnswerRequest): Promise<boolean> {
  const { pending, answer: given } = stepResults
  const answered = await tx
    .update(stepResults)
    .set({ answer: encode({ ...answer }) })
    .where(
      and(
        eq(stepResults.runId, runId),
        eq(stepResults.path, path),
        eq(stepResults.status, 'PAUSED'),
        sql`(${pending}->>'number')::int = ${answer.number}::int`,
        sql`(${given} is null or (${given}->>'number')::int <> ${answer.number}::int)`,
        sql`(${pending}->>'expiresAt' is null or (${pending}->>'expiresAt')::timestamptz > ${at.toISOString()}::timestamptz)`,
      ),
    )
    .returning({ path: stepResults.path })
  return answered.length > 0
}
