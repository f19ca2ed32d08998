import { sql } from 'drizzle-orm'
import type { PgBoss } from 'pg-boss'
import { rows, type Tx } from '../db/client.ts'

/** The queue of jobs that say *look at run X*. */
const LOOK = 'look'

/** A job whose process died is given to another one after this time, in seconds. */
const EXPIRE_SECONDS = 30
/** A job that nobody has fetched this long after its time is of no use: a worker has found the run by looking. In seconds. */
const KEEP_SECONDS = 3_600

/** How often a job comes again that could not be done: after a second or two, then after twice as long each time. */
const RETRY = { retryLimit: 10, retryDelay: 1, retryBackoff: true, retryDelayMax: 30 } as const

/** A job that was fetched. */
export interface Job {
  readonly id: string
  readonly runId: string
  /** Whether the run waited for a time, which has come. */
  readonly timed: boolean
}

interface Look {
  readonly runId: string
  readonly timed?: true
}

/**
 * Jobs that say *look at run X*. The rows of runs are the truth: a job that is lost costs the time until the next look at
 * the rows, and one that comes twice finds that the run is taken.
 */
export interface Jobs {
  /** Makes the queue if it is not there yet. */
  start(): Promise<void>
  /** Sends a job that exists if the transaction commits, and only then. Those of runs with a higher priority come first. */
  send(tx: Tx, runId: string): Promise<void>
  /** Sends jobs that are there at once. */
  announce(runIds: readonly string[]): Promise<void>
  /** Sends a job that is there from `at` on, for a run that waits until then. */
  remind(runId: string, at: Date): Promise<void>
  /** Up to `limit` jobs, oldest first; nobody else gets them while this process is about them. */
  fetch(limit: number): Promise<Job[]>
  /** What the job was for could not be done: it comes again, some seconds later. */
  again(jobs: readonly Job[]): Promise<void>
  /** The jobs are gone. */
  done(jobs: readonly Job[]): Promise<void>
}

export function createJobs(boss: PgBoss): Jobs {
  return {
    start: () => makeQueue(boss, LOOK, KEEP_SECONDS),
    async send(tx, runId) {
      const [run] = await rows<{ priority: number }>(tx, sql`select priority from kern.runs where run_id = ${runId}`)
      await boss.send(LOOK, { runId } satisfies Look, { db: await inTransaction(tx), priority: run?.priority ?? 0 })
    },
    async announce(runIds) {
      await boss.insert(
        LOOK,
        runIds.map((runId) => ({ data: { runId } satisfies Look })),
      )
    },
    async remind(runId, at) {
      const look: Look = { runId, timed: true }
      await boss.send(LOOK, look, { startAfter: at })
    },
    async fetch(limit) {
      const jobs = await boss.fetch<Look>(LOOK, { batchSize: limit })
      return jobs.map(({ id, data }) => ({ id, runId: data.runId, timed: data.timed ?? false }))
    },
    async again(jobs) {
      if (jobs.length > 0) await boss.fail(LOOK, idsOf(jobs))
    },
    async done(jobs) {
      if (jobs.length > 0) await boss.deleteJob(LOOK, idsOf(jobs))
    },
  }
}

const idsOf = (jobs: readonly Job[]) => jobs.map(({ id }) => id)

/**
 * Makes a queue if it is not there yet. Of the policy `standard`: every other one costs far more a job.
 *
 * @param retentionSeconds how long a job is kept that nobody fetches
 */
export async function makeQueue(boss: PgBoss, name: string, retentionSeconds: number): Promise<void> {
  // pg-boss has known queues in memory, so that to send in a transaction asks nothing outside of it. On an embedded
  // database such a question would wait for the transaction that waits for its answer.
  if (await boss.getQueue(name)) return
  const options = { expireInSeconds: EXPIRE_SECONDS, retentionSeconds, ...RETRY } as const
  await boss.createQueue(name, { policy: 'standard', ...options })
}

/** Runs statements of pg-boss in a transaction of ours. */
async function inTransaction(tx: Tx) {
  const { fromDrizzle } = await import('pg-boss')
  // What is handed over is made by `sql`, which the types of pg-boss do not tell.
  const execute = (query: unknown) => rows(tx, query as ReturnType<typeof sql>)
  return fromDrizzle({ execute }, sql)
}
