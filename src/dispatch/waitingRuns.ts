import { type SQL, sql } from 'drizzle-orm'
import { type Db, rows } from '../db/client.ts'
import { alive, type Claimant, executable, executedOf, hasTurn, textArray } from './claims.ts'

/** Which of the runs that wait are wanted. */
export interface Wanted {
  readonly workflowIds: readonly string[]
  /** Runs that are executed here. */
  readonly except: readonly string[]
  /** How many. */
  readonly limit: number
}

/**
 * Finds runs to take: highest priority first, then oldest.
 *
 * - Queued ones, workflow by workflow, so that one that is full is passed over however many of its runs wait.
 * - Those that were released, answered or woken: RUNNING, and nobody owns them.
 * - Those whose owner is gone. Owners are found by leaping from one to the next in the index; the runs of those that live
 *   are not looked at.
 */
export async function waitingRuns(db: Db, claimant: Claimant, wanted: Wanted): Promise<string[]> {
  const found = await rows<{ readonly run_id: string }>(db, statement(claimant, wanted))
  return found.map(({ run_id }) => run_id).slice(0, wanted.limit)
}

/** By the conditions of the indexes, as literals: with parameters, these could not be used for sure. */
const OPEN = sql`r.status = 'RUNNING' and r.wake_at is null`

const IN_ORDER = sql`order by r.priority desc nulls last, r.run_id`

function statement(claimant: Claimant, { workflowIds, except, limit }: Wanted): SQL {
  const { workerId, leaseMs, served } = claimant
  const limits = workflowIds.map((id) => served.find((one) => one.id === id)?.concurrency ?? null)
  const several = sql.raw(String(rounded(limit)))
  const notHere = sql`r.run_id <> all(${textArray(except)}::uuid[])`
  const fits = executable(claimant, workflowIds)
  return sql`with recursive owners(owner) as (
    (select r.owner from kern.runs r where ${OPEN} and r.owner is not null order by r.owner limit 1)
    union all
    select (select r.owner from kern.runs r where ${OPEN} and r.owner > o.owner order by r.owner limit 1)
    from owners o where o.owner is not null
  ), gone as (
    select o.owner from owners o where o.owner = ${workerId}::uuid or (o.owner is not null and not exists (
      select 1 from kern.workers w where w.worker_id = o.owner and ${alive(sql`w`, leaseMs)}))
  ), served as materialized (
    select s.id, s.max - case when s.max is null then 0
      else (select count(*) from kern.runs o where ${executedOf(sql`o`, sql`s.id`)}) end as room
    from unnest(${textArray(workflowIds)}, ${textArray(limits)}::int[]) s(id, max)
  ), found as (
    select q.run_id, q.priority from served s cross join lateral (
      select r.run_id, r.priority, row_number() over (${IN_ORDER}) as place from kern.runs r
      where r.workflow_id = s.id and r.status = 'QUEUED' and coalesce(s.room, 1) > 0 and ${hasTurn} and ${fits} and ${notHere}
      ${IN_ORDER} limit ${several}) q
    where q.place <= coalesce(s.room, q.place)
    union all
    (select r.run_id, r.priority from kern.runs r
      where ${OPEN} and r.owner is null and ${hasTurn} and ${fits} and ${notHere} and (r.cancel_requested_at is not null
        or not exists (select 1 from served s where s.id = r.workflow_id and s.room <= 0))
      ${IN_ORDER} limit ${several})
    union all
    (select r.run_id, r.priority from gone g join kern.runs r on r.owner = g.owner
      where ${OPEN} and ${hasTurn} and ${fits} and ${notHere} ${IN_ORDER} limit ${several})
  ) select r.run_id from found r ${IN_ORDER} limit ${several}`
}

/** The next power of two: the limit stands in the text, where the planner counts on it, and texts are to be few. */
function rounded(limit: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, limit)))
}
