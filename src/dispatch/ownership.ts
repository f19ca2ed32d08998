import { and, eq, inArray, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import type { Db } from '../db/client.ts'
import { runs, workers } from '../db/tables.ts'
import { sourcesOf } from '../engine/transitions.ts'

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
   * Takes a run of one of these workflows, or one to be cancelled, that has its turn and no living owner, as of `at` if
   * it had not started before.
   *
   * @returns false if it is not to be had
   */
  claim(runId: string, workflowIds: readonly string[], at: Date): Promise<boolean>
  /** Lets a run go, so that another worker takes it at once. */
  release(runId: string, epoch: number): Promise<void>
  /** Runs of these workflows, or to be cancelled, that have their turn and no other living owner, oldest first. */
  waiting(workflowIds: readonly string[], limit: number): Promise<string[]>
  /** Runs of this worker whose cancel somebody asked for. */
  cancelRequests(): Promise<{ readonly runId: string; readonly reason: string | null }[]>
  /** Removes this worker. */
  leave(): Promise<void>
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
          startedAt: sql`coalesce(${runs.startedAt}, ${at.toISOString()}::timestamptz)`,
        })
        .where(
          and(
            eq(runs.runId, runId),
            inArray(runs.status, [...sourcesOf('RUNNING')]),
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
        .where(and(inArray(runs.status, [...sourcesOf('RUNNING')]), servedBy(workflowIds), free, hasTurn))
        .orderBy(runs.createdAt, runs.runId)
        .limit(limit)
      return found.map(({ runId }) => runId)
    },
    cancelRequests: () =>
      db
        .select({ runId: runs.runId, reason: runs.cancelReason })
        .from(runs)
        .where(and(eq(runs.owner, workerId), eq(runs.status, 'RUNNING'), sql`${runs.cancelRequestedAt} is not null`)),
    async leave() {
      await db.delete(workers).where(eq(workers.workerId, workerId))
    },
  }
}
