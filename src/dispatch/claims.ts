import { type SQL, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import { type Db, rows } from '../db/client.ts'
import { transaction } from '../db/transaction.ts'

/** What one process executes of a workflow. */
export interface Served {
  readonly id: string
  readonly version: string
  /** How many of its runs may be executed at once, by all processes together; null for no limit. */
  readonly concurrency: number | null
}

/** Who takes runs, and by which rules. */
export interface Claimant {
  readonly workerId: string
  readonly served: readonly Served[]
  /** After how long without a heartbeat a worker counts as dead, in milliseconds, by the database's clock. */
  readonly leaseMs: number
}

/** A definition, as `kern.workers.serves` names it. Ids of workflows have no `@` in them. */
export const servedName = ({ id, version }: Pick<Served, 'id' | 'version'>): string => `${id}@${version}`

/** A list as a parameter that has one text, whatever its length. */
export const textArray = (values: readonly (string | number | null)[]) => sql`${arrayText(values)}::text::text[]`

/** The workers that live, by the database's clock. */
export const alive = (worker: SQL, leaseMs: number): SQL =>
  sql`${worker}.heartbeat_at > now() - make_interval(secs => ${leaseMs / 1000}::float8)`

/**
 * No owner, or one whose heartbeat is over, or this worker: a run that it owns without executing it would otherwise be
 * lost while the process lives, which happens when the database fails between claim and release.
 */
const unowned = ({ workerId, leaseMs }: Claimant): SQL => sql`(r.owner is null or r.owner = ${workerId}::uuid
  or not exists (select 1 from kern.workers w where w.worker_id = r.owner and ${alive(sql`w`, leaseMs)}))`

/** Asked of one run after the other: as a join, it would be made with all runs that wait before the first few are had. */
export const hasTurn = sql`r.run_id = (select s.active_run_id from kern.sessions s where s.session_id = r.session_id)`

/**
 * Whether this process is one to execute the run. A run that may have recorded something belongs to those who serve its
 * version, while there is one; of a run that is to be cancelled nothing is executed.
 */
export const executable = ({ served, leaseMs }: Claimant, workflowIds: readonly string[]): SQL => sql`(
  r.cancel_requested_at is not null or (r.workflow_id = any(${textArray(workflowIds)}) and (
    (r.started_at is null and r.retry_of is null)
    or (r.workflow_id || '@' || r.workflow_version) = any(${textArray(served.map(servedName))})
    or not exists (select 1 from kern.workers w where ${alive(sql`w`, leaseMs)}
      and (r.workflow_id || '@' || r.workflow_version) = any(w.serves)))))`

/** A run that is wanted. */
export interface Claim {
  readonly runId: string
  readonly workflowIds: readonly string[]
  readonly at: Date
}

/** What came of asking for a run. */
type Answer =
  | { readonly type: 'claimed' | 'not-to-be-had' }
  /** It could be had, but somebody holds its row, or its workflow has a limit. */
  | { readonly type: 'refused'; readonly workflowId: string }

/** Makes locks of limits differ from those of others in the database, who may use numbers of their own. */
const LIMIT_LOCKS = 0x6b_65_72_6e

/** How often a run is asked for again whose row somebody holds, each time after a pause that is twice as long. */
const ROW_RETRIES = 4

/** Takes a run, if it is to be had. @returns whether it was */
export async function claimRun(db: Db, claimant: Claimant, claim: Claim, pause: (ms: number) => Promise<void>) {
  for (let retry = 0; ; retry++) {
    const answer = await ask(db, claimant, claim)
    if (answer.type !== 'refused') return answer.type === 'claimed'
    const { workflowId } = answer
    const limit = claimant.served.find(({ id }) => id === workflowId)?.concurrency ?? null
    if (limit !== null) return await claimWithin(db, claimant, { ...claim, workflowId, limit })
    // Whoever holds the row of a run is about to change it. The next look finds what is not to be had now.
    if (retry === ROW_RETRIES) return false
    await pause(2 ** retry * (5 + Math.random() * 10))
  }
}

/** Asks for a run without waiting for its row. One of a workflow with a limit is only had if it is to be cancelled. */
async function ask(db: Db, claimant: Claimant, claim: Claim): Promise<Answer> {
  const limited = claimant.served.filter(({ concurrency }) => concurrency !== null).map(({ id }) => id)
  const unlimited = sql`(r.workflow_id <> all(${textArray(limited)}) or r.cancel_requested_at is not null)`
  const [row] = await rows<{ readonly workflow_id: string; readonly claimed: boolean }>(
    db,
    sql`with wanted as (
      select r.workflow_id from kern.runs r where ${toBeHad(claimant, claim)}
    ), claimed as (${claiming(claimant, claim, unlimited)})
    select workflow_id, exists (select 1 from claimed) as claimed from wanted`,
  )
  if (!row) return { type: 'not-to-be-had' }
  return row.claimed ? { type: 'claimed' } : { type: 'refused', workflowId: row.workflow_id }
}

/**
 * Takes a run of a workflow with a limit. Whoever takes one of that workflow holds its lock meanwhile, in this transaction
 * only; the statement that counts begins after that, and so sees what others have taken.
 */
function claimWithin(
  db: Db,
  claimant: Claimant,
  claim: Claim & { readonly workflowId: string; readonly limit: number },
): Promise<boolean> {
  const { workflowId, limit } = claim
  return transaction(db, async (tx) => {
    await rows(tx, sql`select 1 from pg_advisory_xact_lock(${LIMIT_LOCKS}::int, hashtext(${workflowId}::text))`)
    const others = sql`select count(*) from kern.runs o where o.run_id <> r.run_id and ${executedOf(sql`o`, sql`r.workflow_id`)}`
    const claimed = await rows(tx, claiming(claimant, claim, sql`(${others}) < ${limit}::int`))
    return claimed.length > 0
  })
}

/** The runs of a workflow that count for its limit: those that somebody executes. */
export const executedOf = (run: SQL, workflowId: SQL): SQL => sql`${run}.workflow_id = ${workflowId}
  and ${run}.status = 'RUNNING' and ${run}.wake_at is null and ${run}.owner is not null`

const toBeHad = (claimant: Claimant, { runId, workflowIds, at }: Claim): SQL => sql`r.run_id = ${runId}::uuid
  and r.status in ('QUEUED', 'RUNNING') and (r.wake_at is null or r.wake_at <= ${at.toISOString()}::timestamptz)
  and ${executable(claimant, workflowIds)} and ${unowned(claimant)} and ${hasTurn}`

/**
 * The statement that takes a run. A row that somebody holds is passed over. An owner who is not there any more has died
 * with the run: one that drained has given it back before.
 */
function claiming(claimant: Claimant, claim: Claim, condition: SQL): SQL {
  const { workerId } = claimant
  return sql`update kern.runs c set owner = ${workerId}::uuid, epoch = c.epoch + 1, status = 'RUNNING', wake_at = null,
      started_at = coalesce(c.started_at, ${claim.at.toISOString()}::timestamptz),
      deaths = c.deaths + (c.owner is not null and c.owner <> ${workerId}::uuid)::int
    from (select r.run_id from kern.runs r where ${toBeHad(claimant, claim)} and ${condition}
      for no key update skip locked) free
    where c.run_id = free.run_id returning c.run_id`
}
