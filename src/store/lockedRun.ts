import { eq, type SQL, sql } from 'drizzle-orm'
import type { Tx } from '../db/client.ts'
import { runEvents, runs } from '../db/tables.ts'
import type { RunRecord, RunStatus } from '../engine/records.ts'
import { runOf } from './rows.ts'
import { runColumns } from './runQueries.ts'

/** Locks the row of a run: until the end of the transaction no journal writes it, and nobody takes it. */
export async function lockRun(
  tx: Tx,
  runId: string,
): Promise<{ readonly status: RunStatus; readonly owner: string | null } | undefined> {
  const [row] = await tx
    .select({ status: runs.status, owner: runs.owner })
    .from(runs)
    .where(eq(runs.runId, runId))
    .for('update')
  return row
}

/** Reads a run whose row is locked, as the transaction has left it so far. */
export async function readLocked(tx: Tx, runId: string): Promise<RunRecord> {
  const [row] = await tx.select(runColumns).from(runs).where(eq(runs.runId, runId))
  if (!row) throw new Error(`run ${runId} vanished while its row was locked`)
  return runOf(row)
}

/**
 * Adds an event to a run whose row is locked and which nobody executes: whoever does counts its events on their own. The
 * caller took the time before it waited for the lock: what was committed meanwhile may be newer, and events do not go back.
 */
export async function addEvent(
  tx: Tx,
  run: RunRecord,
  event: Omit<typeof runEvents.$inferInsert, 'runId' | 'seq'>,
): Promise<RunRecord> {
  const lastSeq = run.lastSeq + 1
  await tx.insert(runEvents).values({ ...event, at: notBefore(run, event.at), runId: run.runId, seq: lastSeq })
  return { ...run, lastSeq }
}

/** A time for the event after the newest one of a run. */
export function notBefore({ runId, lastSeq }: Pick<RunRecord, 'runId' | 'lastSeq'>, at: Date): SQL<Date> {
  return sql`greatest(${at.toISOString()}::timestamptz, (
    select e.at from kern.run_events e where e.run_id = ${runId}::uuid and e.seq = ${lastSeq}::int))`
}
