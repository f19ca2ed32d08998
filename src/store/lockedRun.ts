import { eq, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import { rows, type Tx } from '../db/client.ts'
import { runEvents, runs } from '../db/tables.ts'
import type { RunEventType, RunRecord, RunStatus } from '../engine/records.ts'
import type { Json } from '../json.ts'
import { encodeEvents, runOf } from './rows.ts'
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
export async function addEvent(tx: Tx, run: RunRecord, event: NewEvent): Promise<RunRecord> {
  await addEvents(tx, [run], event)
  return { ...run, lastSeq: run.lastSeq + 1 }
}

/** An event that is the same for several runs, apart from its number. */
export interface NewEvent {
  readonly type: RunEventType
  readonly at: Date
  readonly stepPath?: string | null
  readonly data?: Json | undefined
}

/** As {@link addEvent}, of several runs at once. */
export async function addEvents(
  tx: Tx,
  ofRuns: readonly Pick<RunRecord, 'runId' | 'lastSeq'>[],
  { type, at, stepPath = null, data }: NewEvent,
): Promise<void> {
  if (ofRuns.length === 0) return
  const newest = await rows<{ readonly run_id: string; readonly at: string }>(
    tx,
    sql`select r.run_id, (e.events -> -1 ->> 1) as at
      from unnest(${arrayText(ofRuns.map(({ runId }) => runId))}::text::uuid[]) r(run_id)
      cross join lateral (
        select n.events from kern.run_events n where n.run_id = r.run_id order by n.seq desc limit 1) e`,
  )
  const times = new Map(newest.map((row) => [row.run_id, Number(row.at)]))
  const values = ofRuns.map(({ runId, lastSeq }) => {
    const notBefore = new Date(Math.max(at.getTime(), times.get(runId) ?? 0))
    return { runId, seq: lastSeq + 1, events: encodeEvents([{ type, at: notBefore, stepPath, name: null, data }]) }
  })
  await tx.insert(runEvents).values(values)
}
