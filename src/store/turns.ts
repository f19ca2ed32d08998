import { and, asc, eq, gt, sql } from 'drizzle-orm'
import { type Db, type Tx } from '../db/client.ts'
import { runs, sessions } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import { isFinal } from '../engine/records.ts'
import { type HandOver, NO_HAND_OVER } from './handOver.ts'
import { sessionColumns, type SessionRow } from './rows.ts'

/**
 * Which run of a session has its turn. Every change of that goes through the lock of the session's row, and is decided
 * by a statement that starts after the lock is held, so that it sees what others committed while it waited.
 *
 * Rows are locked in the order run, then session, everywhere: two transactions cannot wait for each other.
 */
export async function lockSession(tx: Tx, sessionId: string): Promise<SessionRow | undefined> {
  const [row] = await tx.select(sessionColumns).from(sessions).where(eq(sessions.sessionId, sessionId)).for('update')
  return row
}

/**
 * Gives the turn to the next queued run, if the active one is over.
 *
 * @returns the run that has its turn now, or null
 */
export async function giveTurn(tx: Tx, session: SessionRow): Promise<string | null> {
  const { sessionId, activeRunId } = session
  if (activeRunId === null) return null
  const [active] = await tx
    .select({ status: runs.status, number: runs.number })
    .from(runs)
    .where(eq(runs.runId, activeRunId))
  if (active && !isFinal(active.status)) return activeRunId
  const [next] = await tx
    .select({ runId: runs.runId })
    .from(runs)
    .where(and(eq(runs.sessionId, sessionId), gt(runs.number, active?.number ?? 0), eq(runs.status, 'QUEUED')))
    .orderBy(asc(runs.number))
    .limit(1)
  const turn = next?.runId ?? null
  await tx.update(sessions).set({ activeRunId: turn, turnDue: false }).where(eq(sessions.sessionId, sessionId))
  return turn
}

/** Gives the turn on in a transaction of its own. Does nothing where the active run is not over. */
export function advance(db: Db, sessionId: string, handOver: HandOver = NO_HAND_OVER): Promise<string | null> {
  return transaction(db, async (tx) => {
    const session = await lockSession(tx, sessionId)
    const turn = session ? await giveTurn(tx, session) : null
    if (turn !== null && turn !== session?.activeRunId) await handOver(tx, turn)
    return turn
  })
}

/** How many turns are given on at once. */
const MAX_LOST = 100

/**
 * Gives turns on where the active run is over: its process died between the end of the run and this, which is a
 * transaction of its own. Where the process lives and is about to do it, only one of the two has an effect.
 */
export async function giveLostTurns(db: Db, handOver: HandOver = NO_HAND_OVER): Promise<void> {
  const lost = await db
    .select({ sessionId: sessions.sessionId })
    .from(sessions)
    .where(sql`${sessions.turnDue}`)
    .limit(MAX_LOST)
  for (const { sessionId } of lost) await advance(db, sessionId, handOver)
}
