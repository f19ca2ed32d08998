import type { Clock } from '../clock.ts'
import { type Bell, createBell } from '../engine/bell.ts'
import type { Log } from '../log.ts'
import type { Jobs } from './jobs.ts'
import type { Worker } from './worker.ts'

/** How often jobs are asked for where nothing says that there are some, in milliseconds. */
const POLL_MS = 500
/** How long to wait at most before the database is asked again that has failed, in milliseconds. */
const MAX_BACKOFF_MS = 10_000
const BATCH = 50

/** Fetches jobs and has the worker look at their runs, as long as it has places. */
export interface Looking {
  start(): void
  /** Asks for jobs at once: there may be some. */
  wake(): void
  /** Fetches nothing more; jobs under way are ended. */
  close(): Promise<void>
}

export interface LookingDeps {
  readonly jobs: Jobs
  readonly worker: Pick<Worker, 'free' | 'lookAt'>
  /** Lets runs go on whose time to wait is over: what a job reminds of may be one. */
  readonly wakeDue: () => Promise<void>
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
}

export function createLooking({ jobs, worker, wakeDue, clock, log, random }: LookingDeps): Looking {
  const stopped = new AbortController()
  const bell: Bell = createBell()
  let ended: Promise<void> = Promise.resolve()
  let failures = 0

  /** @returns how many jobs there were */
  async function round(): Promise<number> {
    const places = worker.free()
    if (places === 0) return 0
    const found = await jobs.fetch(Math.min(places, BATCH))
    if (found.some(({ timed }) => timed)) await wakeDue()
    const seen = await Promise.all(found.map(({ runId }) => worker.lookAt(runId).catch(() => false)))
    // Not before: the job of a process that dies in between is given to another one.
    await jobs.done(found.filter((_job, index) => seen[index]))
    await jobs.again(found.filter((_job, index) => !seen[index]))
    return found.length
  }

  /** Twice as long after each failure, and apart from other processes by chance, so that they do not all come at once. */
  const backoff = () => Math.min(MAX_BACKOFF_MS, POLL_MS * 2 ** failures) * (0.5 + random() / 2)

  async function pause(ms: number, woken: Promise<void>): Promise<void> {
    const timer = new AbortController()
    const signal = AbortSignal.any([timer.signal, stopped.signal])
    await Promise.race([woken, clock.idle(ms, signal).catch(() => undefined)])
    timer.abort()
  }

  async function loop(): Promise<void> {
    while (!stopped.signal.aborted) {
      // Asked before looking: what comes during the look is not missed.
      const woken = bell.rung()
      try {
        const found = await round()
        failures = 0
        if (found === 0) await pause(POLL_MS, woken)
      } catch (error) {
        if (failures === 0) log.warn({ err: error }, 'looking for jobs failed and is tried again')
        failures += 1
        await pause(backoff(), new Promise(() => {}))
      }
    }
  }

  return {
    start() {
      ended = loop()
    },
    wake: bell.ring,
    async close() {
      stopped.abort()
      await ended
    },
  }
}
