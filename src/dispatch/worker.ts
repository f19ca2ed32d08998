import type { Clock } from '../clock.ts'
import { isKernError, KernError } from '../errors.ts'
import type { Workflows } from '../engine/api.ts'
import { type Bell, createBell } from '../engine/bell.ts'
import { cancellation } from '../engine/ending.ts'
import type { Executor } from '../engine/executor.ts'
import type { Dispatcher, TakenRun } from '../engine/ports.ts'
import type { Log } from '../log.ts'
import type { Ownership } from './ownership.ts'

/** How often a worker looks for runs that nobody executes, and for cancels and answers given elsewhere, in milliseconds. */
const POLL_MS = 1_000
const HEARTBEAT_MS = 5_000
/** What recording the last results may take after the grace time, in milliseconds. */
const END_MARGIN_MS = 2_000

/** Executes runs in this process, as many at once as it has places. */
export interface Worker extends Dispatcher {
  /** Enters the worker, and takes up what earlier processes left. */
  start(): Promise<void>
  /**
   * Wakes what is due and takes what waits, until no run is left that can go on now and none is executed here.
   *
   * @throws what the database throws
   */
  idle(): Promise<void>
  /** Starts nothing more, lets running steps end within the drain time, and leaves the rest to other processes. */
  close(): Promise<void>
}

export interface WorkerDeps {
  readonly ownership: Ownership
  readonly load: (runId: string) => Promise<TakenRun | null>
  /** Gives turns on that the process which ended a run could not give on. */
  readonly giveLostTurns: () => Promise<void>
  /** Lets runs go on whose time to wait is over. */
  readonly wakeDue: (at: Date) => Promise<void>
  readonly executor: Executor
  readonly workflows: Workflows
  /** Runs at once. */
  readonly concurrency: number
  /** How long running steps may go on when the process stops, in milliseconds. */
  readonly drainMs: number
  /** How long an aborted step may go on after that, in milliseconds. */
  readonly graceMs: number
  /** How often this worker says that it lives, in milliseconds. @default 5_000 */
  readonly heartbeatMs?: number | undefined
  /** How often it looks for runs, cancels and answers, in milliseconds. @default 1_000 */
  readonly pollMs?: number | undefined
  readonly clock: Clock
  readonly log: Log
}

interface Place {
  readonly abort: AbortController
  readonly answers: Bell
  /** How many answers the run had when the bell was last rung for what is in its row. */
  answersSeen: number
  /** Whether the run was offered while it had this place: it may have been put aside, and go on already. */
  offered: boolean
  /** Resolves when the place is free. */
  done: Promise<void>
}

export function createWorker(deps: WorkerDeps): Worker {
  const { ownership, workflows, clock, log } = deps
  const places = new Map<string, Place>()
  const draining = new AbortController()
  const stopped = new AbortController()
  let backlog = false
  let loops: Promise<unknown> = Promise.resolve()

  const served = workflows.list().map(({ id }) => id)

  function offer(runId: string): void {
    const place = places.get(runId)
    if (place) place.offered = true
    else admit(runId)
  }

  /** Takes a run that has no place yet, or remembers that there are more runs than places. */
  function admit(runId: string): void {
    if (draining.signal.aborted) return
    if (places.size >= deps.concurrency) {
      backlog = true
      return
    }
    const place: Place = {
      abort: new AbortController(),
      answers: createBell(),
      answersSeen: 0,
      offered: false,
      done: Promise.resolve(),
    }
    places.set(runId, place)
    place.done = take(runId, place).finally(() => {
      places.delete(runId)
      if (place.offered) admit(runId)
      if (backlog) void attempt('looking for runs', look)
    })
  }

  async function take(runId: string, place: Place): Promise<void> {
    let epoch: number | null = null
    try {
      const claimed = await ownership.claim(runId, served, clock.now())
      const taken = claimed && (await deps.load(runId))
      if (!taken) return
      epoch = taken.run.epoch
      const next = await execute(taken, place)
      if (next !== null) queueMicrotask(() => offer(next))
    } catch (error) {
      await letGo({ runId, epoch, error })
    }
  }

  async function execute(taken: TakenRun, place: Place): Promise<string | null> {
    const { run } = taken
    const { abort, answers } = place
    place.answersSeen = run.answers
    const definition = workflows.get(run.workflowId)
    // A run of a workflow that is not served can only be cancelled.
    if (!definition && run.cancelRequestedAt) return await deps.executor.endBy(taken, cancellation(run.cancelReason))
    if (!definition) throw new KernError('UNAVAILABLE', `workflow "${run.workflowId}" is not served here`)
    try {
      return await deps.executor.execute(taken, definition, { abort, draining: draining.signal, answers })
    } catch (error) {
      if (isKernError(error, 'FENCED') || isKernError(error, 'UNAVAILABLE')) throw error
      log.error({ runId: run.runId, err: error }, 'a run could not be recorded and is ended as failed')
      const again = await deps.load(run.runId)
      // Under another epoch it is another's run by now.
      return again?.run.epoch === run.epoch ? await deps.executor.endBy(again, asFailure(error)) : null
    }
  }

  /** A run that cannot go on here goes on elsewhere, or here later. */
  async function letGo({
    runId,
    epoch,
    error,
  }: {
    runId: string
    epoch: number | null
    error: unknown
  }): Promise<void> {
    if (isKernError(error, 'FENCED')) return log.warn({ runId }, error.message)
    if (!draining.signal.aborted) log.error({ runId, err: error }, 'a run was interrupted and will be taken up again')
    if (epoch === null) return
    await ownership.release(runId, epoch).catch((failure: unknown) => {
      log.error(
        { runId, err: failure },
        'a run could not be released; it is taken up here, or when this process is gone',
      )
    })
  }

  /** Takes runs that have their turn and that nobody executes. */
  async function look(): Promise<void> {
    if (places.size >= deps.concurrency || draining.signal.aborted) return
    backlog = false
    // More than there are free places: those that this process executes may be among them.
    const limit = deps.concurrency + places.size
    const waiting = await ownership.waiting(served, limit)
    if (waiting.length === limit) backlog = true
    for (const runId of waiting) if (!places.has(runId)) admit(runId)
  }

  async function heedRequests(): Promise<void> {
    if (places.size === 0) return
    for (const { runId, cancel, answers } of await ownership.requests()) {
      const place = places.get(runId)
      if (!place) continue
      if (cancel) place.abort.abort(cancellation(cancel.reason))
      if (answers > place.answersSeen) place.answers.ring()
      place.answersSeen = answers
    }
  }

  const wakeDue = () => deps.wakeDue(clock.now())

  /** Goes on while this process drains: its runs are its own until they have ended. */
  async function every(ms: number, work: () => Promise<void>): Promise<void> {
    while (!stopped.signal.aborted) {
      await clock.idle(ms, stopped.signal).catch(() => undefined)
      if (!stopped.signal.aborted) await work()
    }
  }

  async function attempt(what: string, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => log.warn({ err: error }, `${what} failed and is tried again`))
  }

  /** Waits for a promise, but not longer than `ms`. */
  async function within(promise: Promise<unknown>, ms: number): Promise<void> {
    const timer = new AbortController()
    await Promise.race([promise, clock.sleep(ms, timer.signal).catch(() => undefined)])
    timer.abort()
  }

  return {
    offer,
    answered: (runId) => places.get(runId)?.answers.ring(),
    abort: (runId, reason) => places.get(runId)?.abort.abort(cancellation(reason)),
    async start() {
      await ownership.register()
      await deps.giveLostTurns()
      await wakeDue()
      await look()
      loops = Promise.all([
        every(deps.heartbeatMs ?? HEARTBEAT_MS, () => attempt('the heartbeat', ownership.beat)),
        every(deps.pollMs ?? POLL_MS, async () => {
          await attempt('looking for cancels and answers', heedRequests)
          await attempt('looking for lost turns', deps.giveLostTurns)
          await attempt('waking runs', wakeDue)
          await attempt('looking for runs', look)
        }),
      ])
    },
    async idle() {
      for (;;) {
        await Promise.all([...places.values()].map(({ done }) => done))
        // A look that begins while a run is under way may not see that it was put aside, with its time already come.
        const busy = places.size > 0
        await wakeDue()
        await look()
        if (!busy && places.size === 0) return
      }
    },
    async close() {
      const reason = new KernError('UNAVAILABLE', 'this process is stopping')
      draining.abort(reason)
      const ended = Promise.all([...places.values()].map(({ done }) => done))
      await within(ended, deps.drainMs)
      for (const { abort } of places.values()) abort.abort(reason)
      await within(ended, deps.graceMs + END_MARGIN_MS)
      stopped.abort()
      await loops
      await ownership.leave().catch((error: unknown) => log.warn({ err: error }, 'the worker could not be removed'))
    },
  }
}

/** A run that the database refused to record fails with what the database said. */
function asFailure(error: unknown): KernError {
  return error instanceof KernError
    ? error
    : new KernError('INTERNAL', 'the run could not be recorded', { cause: error })
}
