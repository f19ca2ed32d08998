import { sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import { type Db, rows } from '../db/client.ts'
import { transaction } from '../db/transaction.ts'

/** How many runs one transaction deletes: few enough that it is over in a moment, whatever they hold. */
const BATCH = 100

/** "prun" in ASCII: the number of the lock that those who delete old runs of one database share. */
const LOCK = 0x7072756e

/** The runs of a workflow that ended before a time. */
export interface OldRuns {
  readonly workflowId: string
  readonly before: Date
}

/** What a batch came to; `more` tells whether there may be more at once. */
export interface PrunedBatch {
  readonly runs: number
  readonly sessions: number
  readonly more: boolean
}

/**
 * Deletes the oldest of these runs, with all that belongs to them, and sessions of which nothing is left by that: no run, no
 * name, no state that a run has set, no metadata and no tag. A session that is kept keeps its count of runs, so numbers do
 * not come again.
 *
 * It waits for no row: what others have locked is left for the next time. So it may lock a session after its runs without
 * ever being part of a deadlock.
 */
export function pruneBatch(db: Db, { workflowId, before }: OldRuns): Promise<PrunedBatch> {
  return transaction(db, async (tx) => {
    const [lock] = await rows<{ readonly held: boolean }>(
      tx,
      sql`select pg_try_advisory_xact_lock(${LOCK}::int8) as held`,
    )
    // Another process is at it.
    if (!lock?.held) return { runs: 0, sessions: 0, more: false }
    const due = await rows<{ readonly run_id: string; readonly session_id: string }>(
      tx,
      sql`select run_id, session_id from kern.runs
        where workflow_id = ${workflowId} and completed_at < ${before.toISOString()}::timestamptz
        order by completed_at limit ${BATCH}::int for update skip locked`,
    )
    const locked = await rows<{ readonly session_id: string; readonly active_run_id: string | null }>(
      tx,
      sql`select session_id, active_run_id from kern.sessions
        where session_id = any(${arrayText(due.map((run) => run.session_id))}::text::text[])
        order by session_id for update skip locked`,
    )
    const active = new Map(locked.map((session) => [session.session_id, session.active_run_id]))
    // While a run that is over has the turn of its session, the turn has still to be given on.
    const old = due.filter((run) => active.has(run.session_id) && active.get(run.session_id) !== run.run_id)
    if (old.length === 0) return { runs: 0, sessions: 0, more: false }
    const runIds = arrayText(old.map((run) => run.run_id))
    const sessionIds = arrayText([...new Set(old.map((run) => run.session_id))])
    await rows(tx, sql`delete from kern.runs where run_id = any(${runIds}::text::uuid[])`)
    const gone = await rows(
      tx,
      // With offset 0 each session is looked up by itself: as a join, all runs may be read.
      sql`delete from kern.sessions s where session_id = any(${sessionIds}::text::text[])
        and name is null and state_version = 0 and metadata is null and tags = '{}' and active_run_id is null
        and not exists (select from kern.runs r where r.session_id = s.session_id offset 0)
        returning session_id`,
    )
    await rows(
      tx,
      sql`update kern.sessions set last_run_id = null
        where session_id = any(${sessionIds}::text::text[]) and last_run_id = any(${runIds}::text::uuid[])`,
    )
    return { runs: old.length, sessions: gone.length, more: due.length === BATCH }
  })
}

/** How many runs these are. */
export async function countOldRuns(db: Db, { workflowId, before }: OldRuns): Promise<number> {
  const [row] = await rows<{ readonly total: number }>(
    db,
    sql`select count(*)::int as total from kern.runs
      where workflow_id = ${workflowId} and completed_at < ${before.toISOString()}::timestamptz`,
  )
  return row?.total ?? 0
}

/** The ids of all workflows that were ever served, in order. */
export async function knownWorkflows(db: Db): Promise<string[]> {
  const found = await rows<{ readonly id: string }>(
    db,
    sql`select distinct workflow_id collate "C" as id from kern.workflows order by 1`,
  )
  return found.map(({ id }) => id)
}
