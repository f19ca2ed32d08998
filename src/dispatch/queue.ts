import type { PgBoss } from 'pg-boss'
import type { Clock } from '../clock.ts'
import type { Driver, Tx } from '../db/client.ts'
import { asKernError } from '../db/errors.ts'
import { openBoss } from '../db/jobs.ts'
import { deadline } from '../db/deadline.ts'
import type { Journal } from '../engine/ports.ts'
import type { Log } from '../log.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import { createJobs, type Jobs } from './jobs.ts'
import { createLooking, type Looking } from './looking.ts'
import type { Ownership } from './ownership.ts'
import { createSchedules, type Schedules, type SchedulesDeps } from './schedules.ts'
import type { Worker } from './worker.ts'

/** How often due times of schedules are looked for, and handed over, in seconds. */
const CRON_SECONDS = { cronMonitorIntervalSeconds: 5, cronWorkerIntervalSeconds: 1 }

const CLOSE_MS = 5_000

/** What of runs crosses processes and time: hand-over of those that wait, reminders of times, schedules. */
export interface Queue {
  /** Sends a job for a run in a transaction, unless this process has a place for it. */
  handOver(worker: Pick<Worker, 'free'> | null): (tx: Tx, runId: string) => Promise<void>
  /** Has somebody look at each run that is put aside when its time has come. */
  reminding(journal: Journal): Journal
  /** Has somebody look at each run that this process lets go. */
  announcing(ownership: Ownership): Ownership
  /** Begins to fetch. A process without a worker fetches no runs, but starts those of its schedules. */
  start(parts: QueueParts): Promise<void>
  /** There may be jobs. */
  wake(): void
  /** Fetches nothing more; what is under way is ended. */
  stop(): Promise<void>
  /** Ends all connections. */
  close(): Promise<void>
}

export interface QueueParts {
  readonly worker: Worker | null
  readonly wakeDue: () => Promise<void>
  /** Starts the run of a tick, see {@link SchedulesDeps}. */
  readonly run: SchedulesDeps['run']
}

export interface QueueOptions {
  readonly workflows: readonly WorkflowDefinition[]
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

/**
 * Opens the queue of a database. In an embedded one there is only this process, which finds its runs by itself: there it
 * is for schedules, and is opened only where a workflow has one.
 *
 * @throws KernError SCHEMA_OUTDATED, UNAVAILABLE
 */
export async function openQueue(driver: Driver, options: QueueOptions): Promise<Queue | null> {
  const scheduled = options.workflows.some(({ schedule }) => schedule !== null)
  if (driver.kind === 'pglite' && !scheduled) return null
  const failed = (err: unknown) => options.log.warn({ err }, 'something in the queue of jobs failed and is tried again')
  const boss = await openBoss(driver, { schedule: scheduled, supervise: true, ...CRON_SECONDS }, failed)
  const jobs = driver.kind === 'postgres' ? createJobs(boss) : null
  try {
    await jobs?.start()
  } catch (error) {
    await closeBoss(boss, options.log)
    throw asKernError(error)
  }
  return createQueue(boss, jobs, options)
}

function createQueue(boss: PgBoss, jobs: Jobs | null, options: QueueOptions): Queue {
  const { log } = options
  let looking: Looking | null = null
  let schedules: Schedules | null = null

  /** A job that is not sent costs the time until the next look at the rows. */
  const tried = (sent: Promise<void>) => sent.catch((err: unknown) => log.warn({ err }, 'a job could not be sent'))

  return {
    handOver: (worker) => async (tx, runId) => {
      if (jobs && (worker === null || worker.free() === 0)) await jobs.send(tx, runId)
    },
    reminding: (journal) => (jobs ? reminding(journal, (runId, at) => void tried(jobs.remind(runId, at))) : journal),
    announcing: (ownership) => ({
      ...ownership,
      async release(runId, epoch) {
        await ownership.release(runId, epoch)
        if (jobs) await tried(jobs.announce([runId]))
      },
    }),
    async start({ worker, wakeDue, run }) {
      if (jobs && worker) looking = createLooking({ ...options, jobs, worker, wakeDue })
      looking?.start()
      schedules = createSchedules({ ...options, boss, run })
      await schedules.start()
    },
    wake: () => looking?.wake(),
    async stop() {
      await Promise.all([looking?.close(), schedules?.close()])
    },
    close: () => closeBoss(boss, log),
  }
}

/** A server that does not answer any more must not keep the process. */
async function closeBoss(boss: PgBoss, log: Log): Promise<void> {
  await deadline(CLOSE_MS, boss.stop({ graceful: false }), 'closing the queue of jobs').catch((err: unknown) => {
    log.warn({ err }, 'the queue of jobs was left as it is')
  })
}

function reminding(journal: Journal, remind: (runId: string, at: Date) => void): Journal {
  return {
    ...journal,
    write(entry) {
      const written = journal.write(entry)
      const at = entry.park?.wakeAt
      // Nobody waits for it: each write passes here, and hardly any is one of these.
      if (at) written.then(({ type }) => type === 'committed' && remind(entry.runId, at)).catch(() => undefined)
      return written
    },
  }
}
