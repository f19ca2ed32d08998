import type { PgBoss } from 'pg-boss'
import type { Clock } from '../clock.ts'
import { isKernError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { WorkflowDefinition, WorkflowSchedule } from '../workflow/definition.ts'
import { lastTick } from '../workflow/schedule.ts'
import { makeQueue } from './jobs.ts'

/** How often a process asks for firings, in milliseconds. */
const POLL_MS = 1_000
/** A firing that nobody took within this time is dropped: ticks that nobody served are not made up for. */
const STALE_MS = 300_000
const BATCH = 10

/** Starts runs of workflows at the times of their schedules. */
export interface Schedules {
  /** Enters the schedules that this process serves, removes those that its workflows have lost, and begins. */
  start(): Promise<void>
  /** Starts nothing more. */
  close(): Promise<void>
}

export interface SchedulesDeps {
  readonly boss: PgBoss
  readonly workflows: readonly WorkflowDefinition[]
  /**
   * Starts the run of one tick. Whoever is second with the key starts nothing.
   *
   * @throws KernError
   */
  readonly run: (definition: WorkflowDefinition, idempotencyKey: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

interface Scheduled {
  readonly queue: string
  readonly definition: WorkflowDefinition
  readonly schedule: WorkflowSchedule
}

/** A queue each: a process fetches only what it can start. */
const queueOf = (workflowId: string) => `schedule/${workflowId}`

/**
 * Each tick is put into the queue of its workflow once, by one of the processes that have schedules. Whoever fetches it
 * starts the run, under a key that is made of workflow and tick: a tick that is fetched twice is one run.
 */
export function createSchedules({ boss, workflows, run, clock, log }: SchedulesDeps): Schedules {
  const stopped = new AbortController()
  const scheduled = workflows.flatMap((definition): Scheduled[] => {
    const { id, schedule } = definition
    return schedule === null ? [] : [{ queue: queueOf(id), definition, schedule }]
  })
  let ended: Promise<void> = Promise.resolve()

  /** The process that started last decides: an older one that still runs starts what it fetches as it knows it. */
  async function enter(): Promise<void> {
    for (const { queue, schedule } of scheduled) {
      await makeQueue(boss, queue, STALE_MS / 1_000)
      await boss.schedule(queue, schedule.cron, null, { tz: schedule.timeZone })
    }
    const lost = new Set(workflows.filter(({ schedule }) => schedule === null).map(({ id }) => queueOf(id)))
    for (const { name } of await boss.getSchedules()) if (lost.has(name)) await boss.unschedule(name)
  }

  async function fireDue({ queue, definition, schedule }: Scheduled): Promise<void> {
    const fetched = await boss.fetch(queue, { batchSize: BATCH, includeMetadata: true })
    for (const { id, createdOn } of fetched) {
      const tick = lastTick(schedule, createdOn)
      const done = await fire(definition, schedule, tick)
      if (done) await boss.deleteJob(queue, id)
      else await boss.fail(queue, id)
    }
  }

  /** @returns false where the run may be started later */
  async function fire(definition: WorkflowDefinition, schedule: WorkflowSchedule, tick: Date): Promise<boolean> {
    const about = { workflowId: definition.id, tick }
    if (clock.now().getTime() - tick.getTime() > STALE_MS) {
      log.warn(about, 'a time of a schedule has passed while nobody could start its run, and is left out')
      return true
    }
    try {
      await run(definition, `schedule/${definition.id}/${tick.toISOString()}`)
      return true
    } catch (error) {
      if (isKernError(error, 'CONFLICT')) return true
      log.error({ ...about, err: error }, 'the run of a schedule could not be started')
      return !(isKernError(error) && error.retryable)
    }
  }

  async function loop(): Promise<void> {
    while (!stopped.signal.aborted) {
      for (const entry of scheduled) {
        await fireDue(entry).catch((err: unknown) => {
          log.warn(
            { err, workflowId: entry.definition.id },
            'looking for times of a schedule failed and is tried again',
          )
        })
      }
      await clock.idle(POLL_MS, stopped.signal).catch(() => undefined)
    }
  }

  return {
    async start() {
      await enter()
      if (scheduled.length > 0) ended = loop()
    },
    async close() {
      stopped.abort()
      await ended
    },
  }
}
