import { and, eq, gt, inArray, isNotNull, isNull, lte, or, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import type { Db } from '../db/client.ts'
import { runs, workers } from '../db/tables.ts'
import { CLAIMABLE } from '../engine/transitions.ts'

/** After how long without a heartbeat a worker counts as dead, in milliseconds, by the database's clock. */
const LEASE_MS = 15_000

/** The rows by which processes agree on who executes which run. All times are the database's. */
export interface Ownership {
  readonly workerId: string
  /** Enters this worker. In an embedded database it is the only one: those of earlier processes are removed. */
  register(): Promise<void>
  /** Says that this worker lives; enters it again if its row was removed meanwhile. */
  beat(): Promise<void>
  /**
   * Takes a run of one of these workflows, or one to be cancelled, that has its turn and no living owner, and does not
   * wait for a time after `at`. It starts at `at` if it had not started before.
   *
   * @returns false if it is not to be had
   */
  claim(runId: string, workflowIds: readonly string[], at: Date): Promise<boolean>
  /** Lets a run go, so that another worker takes it at once. */
  release(runId: string, epoch: number): Promise<void>
  /**
   * The runs that `claim` would take and that wait for no time, oldest first; those that this worker executes are among
   * them. One whose time has come is woken before, see `wakeDue`.
   */
  waiting(workflowIds: readonly string[], limit: number): Promise<string[]>
  /** Runs of this worker whose cancel somebody asked for, or that people have answered. */
  requests(): Promise<RunRequests[]>
  /** Removes this worker. */
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
  readonly workerId: string
  readonly host: string
  readonly pid: number
  /** True where no other process can have the database open. */
  readonly exclusive: boolean
  /** After how long without a heartbeat a worker counts as dead, in milliseconds. @default 15_000 */
  readonly leaseMs?: number | undefined
}

/**
 * No owner, or one whose heartbeat is over, or this worker: a run that it owns without executing it would otherwise be
 * lost while the process lives, which happens when the database fails between claim and release.
 */
const unowned = (workerId: string, leaseMs: number) => sql`(kern.runs.owner is null
  or kern.runs.owner = ${workerId}::uuid or not exists (
  select 1 from kern.workers w
  where w.worker_id = kern.runs.owner and w.heartbeat_at > now() - make_interval(secs => ${leaseMs / 1000}::float8)))`

/** {@link CLAIMABLE}, as the condition of the index `runs_open` has it: with parameters, it could not be used for sure. */
const OPEN = sql`kern.runs.status in ('QUEUED', 'RUNNING') and kern.runs.wake_at is null`

const hasTurn = sql`exists (select 1 from kern.sessions s where s.active_run_id = kern.runs.run_id)`

/** A run that is to be cancelled needs no workflow. */
const servedBy = (workflowIds: readonly string[]) =>
  sql`(${runs.workflowId} = any(${arrayText(workflowIds)}::text::text[]) or ${runs.cancelRequestedAt} is not null)`

export function createOwnership(deps: OwnershipDeps): Ownership {
  const { db, workerId, host, pid, exclusive, leaseMs = LEASE_MS } = deps
  const free = unowned(workerId, leaseMs)
  const enter = async () => {
    await db
      .insert(workers)
      .values({ workerId, host, pid })
      .onConflictDoUpdate({ target: workers.workerId, set: { heartbeatAt: sql`now()` } })
  }
  return {
    workerId,
    async register() {
      // Nobody else can be there, or be dead so long and come back.
      await db.delete(workers).where(exclusive ? undefined : sql`${workers.heartbeatAt} < now() - interval '1 day'`)
      await enter()
    },
    beat: enter,
    async claim(runId, workflowIds, at) {
      const claimed = await db
        .update(runs)
        .set({
          owner: workerId,
          epoch: sql`${runs.epoch} + 1`,
          status: 'RUNNING',
          wakeAt: null,
          startedAt: sql`coalesce(${runs.startedAt}, ${at.toISOString()}::timestamptz)`,
        })
        .where(
          and(
            eq(runs.runId, runId),
            inArray(runs.status, [...CLAIMABLE]),
            or(isNull(runs.wakeAt), lte(runs.wakeAt, at)),
            servedBy(workflowIds),
            free,
            hasTurn,
          ),
        )
        .returning({ runId: runs.runId })
      return claimed.length > 0
    },
    async release(runId, epoch) {
      await db
        .update(runs)
        .set({ owner: null })
        .where(and(eq(runs.runId, runId), eq(runs.epoch, epoch), eq(runs.owner, workerId)))
    },
    async waiting(workflowIds, limit) {
      const found = await db
        .select({ runId: runs.runId })
        .from(runs)
        .where(and(OPEN, servedBy(workflowIds), free, hasTurn))
        .orderBy(runs.createdAt, runs.runId)
        .limit(limit)
      return found.map(({ runId }) => runId)
    },
    async requests() {
      const { runId, cancelRequestedAt, cancelReason, answers } = runs
      const found = await db
        .select({ runId, cancelRequestedAt, cancelReason, answers })
        .from(runs)
        .where(
          and(
            eq(runs.owner, workerId),
            eq(runs.status, 'RUNNING'),
            or(isNotNull(runs.cancelRequestedAt), gt(runs.answers, 0)),
          ),
        )
      return found.map((run) => ({
        runId: run.runId,
        cancel: run.cancelRequestedAt === null ? null : { reason: run.cancelReason },
        answers: run.answers,
      }))
    },
    async leave() {
      await db.delete(workers).where(eq(workers.workerId, workerId))
    },
  }
}
