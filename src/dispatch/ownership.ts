import { setTimeout as delay } from 'node:timers/promises'
import { and, eq, gt, isNotNull, isNull, or, sql } from 'drizzle-orm'
import { type Db, rows } from '../db/client.ts'
import { runs, workers } from '../db/tables.ts'
import { alive, type Claimant, claimRun, type Served, servedName } from './claims.ts'
import { waitingRuns } from './waitingRuns.ts'

/** After how long without a heartbeat a worker counts as dead, in milliseconds, by the database's clock. */
export const LEASE_MS = 15_000

/** The rows by which processes agree on who executes which run. All times are the database's. */
export interface Ownership {
  readonly workerId: string
  /** Enters this worker. In an embedded database it is the only one: those of earlier processes are removed. */
  register(): Promise<void>
  /** Says that this worker lives; enters it again if its row was removed meanwhile. */
  beat(): Promise<void>
  /**
   * Takes a run of one of these workflows, or one to be cancelled, that has its turn and no living owner, and does not
   * wait for a time after `at`. It starts at `at` if it had not started before. If its owner has died, that is counted.
   *
   * A run that has recorded something is not taken while a living process serves its version and this one does not. One
   * of a workflow that has as many runs under way as it may is not taken either.
   *
   * @returns false if it is not to be had
   */
  claim(runId: string, workflowIds: readonly string[], at: Date): Promise<boolean>
  /** Notes under which version of its workflow a run of this worker goes on. @returns false if it is another's by now */
  adopt(runId: string, epoch: number, version: string): Promise<boolean>
  /** Lets a run go, so that another worker takes it at once. */
  release(runId: string, epoch: number): Promise<void>
  /**
   * The runs that `claim` would take and that wait for no time: highest priority first, then oldest. One whose time has
   * come is woken before, see `wakeDue`.
   *
   * @param except runs that are executed here
   */
  waiting(workflowIds: readonly string[], limit: number, except?: readonly string[]): Promise<string[]>
  /** Runs of this worker whose cancel somebody asked for, or that people have answered. */
  requests(): Promise<RunRequests[]>
  /** Removes workers that are gone, once others have taken their runs. */
  removeGone(): Promise<void>
  /** Lets go of all that this worker still owns, and removes it. */
  leave(): Promise<void>
}

/** What people want of a run that is executed. */
export interface RunRequests {
  readonly runId: string
  /** Null if nobody asked for a cancel. */
  readonly cancel: { readonly reason: string | null } | null
  /** How many answers they have given so far. */
  readonly answers: number
}

export interface OwnershipDeps {
  readonly db: Db
  /** For heartbeats alone, so that nothing that is slow delays them. @default `db` */
  readonly heartbeats?: Db | undefined
  readonly workerId: string
  readonly host: string
  readonly pid: number
  /** True where no other process can have the database open. */
  readonly exclusive: boolean
  /** The definitions that this process serves. @default none is known: versions and limits do not matter */
  readonly definitions?: readonly Served[] | undefined
  /** After how long without a heartbeat a worker counts as dead, in milliseconds. @default 15_000 */
  readonly leaseMs?: number | undefined
}

export function createOwnership(deps: OwnershipDeps): Ownership {
  const { db, heartbeats = db, workerId, host, pid, exclusive, definitions: served = [], leaseMs = LEASE_MS } = deps
  const claimant: Claimant = { workerId, served, leaseMs }
  const serves = served.map(servedName)
  const mine = (runId: string, epoch: number) =>
    and(eq(runs.runId, runId), eq(runs.epoch, epoch), eq(runs.owner, workerId))
  const enter = async (on: Db) => {
    await on
      .insert(workers)
      .values({ workerId, host, pid, serves })
      .onConflictDoUpdate({ target: workers.workerId, set: { heartbeatAt: sql`now()` } })
  }
  return {
    workerId,
    async register() {
      // Nobody else can be there.
      if (exclusive) await db.delete(workers)
      await enter(heartbeats)
    },
    beat: () => enter(heartbeats),
    claim: (runId, workflowIds, at) => claimRun(db, claimant, { runId, workflowIds, at }, (ms) => delay(ms)),
    async adopt(runId, epoch, workflowVersion) {
      const adopted = await db
        .update(runs)
        .set({ workflowVersion })
        .where(mine(runId, epoch))
        .returning({ at: runs.runId })
      return adopted.length > 0
    },
    async release(runId, epoch) {
      await db.update(runs).set({ owner: null }).where(mine(runId, epoch))
    },
    waiting: (workflowIds, limit, except = []) => waitingRuns(db, claimant, { workflowIds, limit, except }),
    async requests() {
      const { runId, cancelRequestedAt, cancelReason, answers } = runs
      const found = await db
        .select({ runId, cancelRequestedAt, cancelReason, answers })
        .from(runs)
        .where(
          and(
            eq(runs.owner, workerId),
            // As the index has it.
            sql`${runs.status} = 'RUNNING'`,
            isNull(runs.wakeAt),
            or(isNotNull(runs.cancelRequestedAt), gt(runs.answers, 0)),
          ),
        )
      return found.map((run) => ({
        runId: run.runId,
        cancel: run.cancelRequestedAt === null ? null : { reason: run.cancelReason },
        answers: run.answers,
      }))
    },
    async removeGone() {
      await rows(
        db,
        sql`delete from kern.workers w where not ${alive(sql`w`, leaseMs)} and w.worker_id <> ${workerId}::uuid and not exists (
          select 1 from kern.runs r where r.owner = w.worker_id and r.status = 'RUNNING' and r.wake_at is null)`,
      )
    },
    async leave() {
      // What is written of these runs from now on is refused, as nobody owns them.
      await rows(
        db,
        sql`with released as (
          update kern.runs set owner = null where owner = ${workerId}::uuid and status = 'RUNNING' and wake_at is null
        ) delete from kern.workers where worker_id = ${workerId}::uuid`,
      )
    },
  }
}
