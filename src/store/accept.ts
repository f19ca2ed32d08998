import { and, eq, sql } from 'drizzle-orm'
import type { Db, Tx } from '../db/client.ts'
import { violatedConstraint } from '../db/errors.ts'
import { runEvents, runPayloads, runs, sessions } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import type { AcceptOutcome, NewRun } from '../engine/commands/commandStore.ts'
import type { RunRecord } from '../engine/records.ts'
import { queuedEvent } from './acceptStatement.ts'
import { requestCancel } from './cancel.ts'
import { type HandOver, NO_HAND_OVER } from './handOver.ts'
import { encode, runOf, sessionColumns, type SessionRow, sessionOf, sessionValues } from './rows.ts'
import { runColumns } from './runQueries.ts'
import { insertSteps } from './stepRows.ts'

type Accepted = Extract<AcceptOutcome, { type: 'accepted' }>

/** Accepts a run: from the commit on it is kept, whatever becomes of this process. */
export async function accept(db: Db, run: NewRun, handOver: HandOver = NO_HAND_OVER): Promise<AcceptOutcome> {
  const accepting = async (tx: Tx): Promise<AcceptOutcome> => {
    const outcome = await acceptIn(tx, run)
    if (outcome.type !== 'accepted') return outcome
    if (outcome.active) await handOver(tx, run.runId)
    if (outcome.interrupted?.owned === false) await handOver(tx, outcome.interrupted.runId)
    return outcome
  }
  try {
    return await transaction(db, accepting)
  } catch (error) {
    // Another call with the same key committed first: its run is the answer.
    if (violatedConstraint(error) !== 'runs_by_idempotency_key') throw error
    return await transaction(db, accepting)
  }
}

async function acceptIn(tx: Tx, run: NewRun): Promise<AcceptOutcome> {
  const earlier = await earlierRun(tx, run)
  if (earlier) return earlier
  const interrupted = run.onBusy === 'INTERRUPT' ? await interrupt(tx, run) : null
  const session = await lockedSession(tx, run)
  if (isAnothers(session, run)) {
    return { type: 'session-conflict', session: sessionOf(session) }
  }
  if (run.onBusy === 'REJECT' && session.activeRunId !== null) {
    const [active] = await tx.select(runColumns).from(runs).where(eq(runs.runId, session.activeRunId))
    if (active && active.completedAt === null) return { type: 'busy', run: runOf(active) }
  }
  const accepted = await insertRun(tx, run, session)
  return { type: 'accepted', run: accepted, active: session.activeRunId === null, interrupted }
}

async function earlierRun(tx: Tx, { idempotencyKey, userId, requestHash }: NewRun): Promise<AcceptOutcome | null> {
  if (idempotencyKey === null) return null
  const [row] = await tx
    .select({ ...runColumns, requestHash: runs.requestHash })
    .from(runs)
    .where(and(sql`coalesce(${runs.userId}, '') = ${userId ?? ''}`, eq(runs.idempotencyKey, idempotencyKey)))
  if (!row) return null
  const { requestHash: hash, ...run } = row
  return { type: hash === requestHash ? 'repeated' : 'key-conflict', run: runOf(run) }
}

/** Asks for the cancel of the run that has its turn. Before the session is locked: rows are locked run first. */
async function interrupt(tx: Tx, run: NewRun): Promise<Accepted['interrupted']> {
  const { session, at } = run
  const [present] = await tx.select(sessionColumns).from(sessions).where(eq(sessions.sessionId, session.sessionId))
  if (!present?.activeRunId || isAnothers(present, run)) return null
  const runId = present.activeRunId
  const asked = await requestCancel(tx, { runId, reason: 'a newer run of the session interrupted it', at })
  return asked && { runId, ...asked }
}

/** The session's row, made if it is not there, and locked either way: runs get their numbers one after another. */
async function lockedSession(tx: Tx, run: NewRun): Promise<SessionRow> {
  const [row] = await tx
    .insert(sessions)
    .values(sessionValues(run.session))
    .onConflictDoUpdate({ target: sessions.sessionId, set: { sessionId: sql`excluded.session_id` } })
    .returning(sessionColumns)
  if (!row) throw new Error('an upsert returned no row')
  return row
}

/** True if the session belongs to another workflow or another user than the run. */
function isAnothers(session: SessionRow, run: NewRun): boolean {
  if (session.workflowId !== run.session.workflowId) return true
  return session.userId !== null && run.userId !== null && session.userId !== run.userId
}

async function insertRun(tx: Tx, run: NewRun, session: SessionRow): Promise<RunRecord> {
  const { runId, at, session: given } = run
  const number = session.runCount + 1
  const row = {
    runId,
    sessionId: session.sessionId,
    number,
    workflowId: given.workflowId,
    workflowName: given.workflowName,
    workflowVersion: run.workflowVersion,
    userId: run.userId,
    inputPreview: run.inputPreview,
    metadata: encode(run.metadata),
    tags: [...run.tags],
    idempotencyKey: run.idempotencyKey,
    retryOf: run.retryOf,
    priority: run.priority,
    createdAt: at,
  }
  await tx.insert(runs).values({ ...row, requestHash: run.requestHash, status: 'QUEUED', historyRunIds: [] })
  await tx.insert(runPayloads).values({ runId, input: encode(run.input), stateGiven: encode(run.stateGiven) })
  await tx.insert(runEvents).values({ runId, seq: 1, events: queuedEvent(at) })
  if (run.reused.length > 0) {
    await tx.execute(insertSteps(run.reused))
  }
  await tx
    .update(sessions)
    .set({
      runCount: number,
      lastRunId: runId,
      activeRunId: session.activeRunId ?? runId,
      workflowName: given.workflowName,
      workflowVersion: given.workflowVersion,
      updatedAt: at,
      ...naming(run, session),
    })
    .where(eq(sessions.sessionId, session.sessionId))
  return runOf({
    ...row,
    status: 'QUEUED',
    outputPreview: null,
    error: null,
    stoppedBy: null,
    historyRunIds: [],
    answers: 0,
    wakeAt: null,
    cancelRequestedAt: null,
    cancelReason: null,
    epoch: 0,
    startedAt: null,
    completedAt: null,
    durationMs: null,
    lastSeq: 1,
    // What is reused has no attempts, and used nothing of this run.
    stepCount: run.reused.length,
    attemptCount: 0,
    usage: null,
  })
}

/** A name given with the run is the session's; without one, the first run's input shows what the session is about. */
function naming({ session: given, inputPreview }: NewRun, session: SessionRow) {
  if (given.name !== null) return { name: given.name, nameSource: 'MANUAL', displayName: given.name } as const
  const unnamed = session.name === null && session.runCount === 0
  return unnamed && inputPreview !== '' ? { displayName: given.displayName } : {}
}
