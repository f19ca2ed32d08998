import { isKernError, KernError } from '../errors.ts'
import { cancellation } from '../engine/ending.ts'
import { type Hint, NO_HINTS } from '../engine/hints.ts'
import type { Dispatcher, Reservation, TakenRun } from '../engine/ports.ts'
import { createHeartbeat } from './heartbeat.ts'
import { every, soon, within } from './loops.ts'
import { LEASE_MS } from './ownership.ts'
import { createPlace, type Place } from './places.ts'
import { createTakeOver } from './takeOver.ts'
import type { WorkerDeps } from './workerDeps.ts'

/** How often a worker looks for runs that nobody executes, and for cancels and answers given elsewhere, in milliseconds. */
const POLL_MS = 1_000
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
  /** How many more runs it would take now; none once it drains. */
  free(): number
  /** As `offer`, and resolves once the run is owned here, or is not to be had: with false, if that is not known. */
  lookAt(runId: string): Promise<boolean>
  /** Looks at once at what another process has told of, instead of at the next poll. */
  hinted(hint: Hint): void
  /** Starts nothing more, lets running steps end within the drain time, and leaves the rest to other processes. */
  close(): Promise<void>
}

export function createWorker(deps: WorkerDeps): Worker {
  const { ownership, workflows, clock, log, hints = NO_HINTS } = deps
  const places = new Map<string, Place>()
  const draining = new AbortController()
  const stopped = new AbortController()
  let backlog = false
  let looking: Promise<void> | null = null
  let loops: Promise<unknown> = Promise.resolve()

  const served = workflows.list().map(({ id }) => id)
  const isLimited = (workflowId: string) => workflows.get(workflowId)?.concurrency != null
  const takeOver = createTakeOver(deps)
  const heartbeat = createHeartbeat({
    beat: ownership.beat,
    leaseMs: deps.leaseMs ?? LEASE_MS,
    everyMs: deps.heartbeatMs,
    exclusive: deps.exclusive ?? false,
    lost: fence,
    clock,
    log,
  })

  function offer(runId: string): void {
    const place = places.get(runId)
    if (place) place.offered = true
    else if (!admit(runId)) hints.tell({ type: 'waiting' })
  }

  /** Takes a run that has no place yet. @returns false if there is no place */
  function admit(runId: string): boolean {
    if (!hasRoom()) return false
    enter(runId)
    return true
  }

  function enter(runId: string): void {
    const place = createPlace()
    occupy(runId, place, take(runId, place))
  }

  /** Whether one more run can be executed here; if not, there are more runs than places. */
  function hasRoom(): boolean {
    if (draining.signal.aborted) return false
    // What is taken while others may count this process as dead would be taken from it at once.
    if (!looking && places.size < deps.concurrency && heartbeat.alive()) return true
    backlog = true
    return false
  }

  const free = () => (draining.signal.aborted || !heartbeat.alive() ? 0 : Math.max(0, deps.concurrency - places.size))

  async function lookAt(runId: string): Promise<boolean> {
    // What waits with a higher priority must not be passed.
    if (backlog && !places.has(runId)) {
      await look()
      return true
    }
    offer(runId)
    return (await places.get(runId)?.claimed.promise) ?? true
  }

  function occupy(runId: string, place: Place, work: Promise<void>): void {
    places.set(runId, place)
    place.done = work.finally(() => {
      place.claimed.resolve(true)
      places.delete(runId)
      if (place.offered) offer(runId)
      if (backlog || place.limited) void attempt('looking for runs', look)
    })
  }

  /** Only what nobody waits for before it: the first that comes must not pass those that have a higher priority. */
  function reserve(runId: string, workflowId: string): Reservation | null {
    if (backlog || isLimited(workflowId) || !served.includes(workflowId) || places.has(runId) || !hasRoom()) return null
    const place = createPlace()
    const begun = Promise.withResolvers<TakenRun | null>()
    occupy(
      runId,
      place,
      begun.promise.then(async (taken) => {
        if (taken) await bringOn(taken, place)
      }),
    )
    return { owner: ownership.workerId, begin: begun.resolve, release: () => begun.resolve(null) }
  }

  async function take(runId: string, place: Place): Promise<void> {
    let taken: TakenRun | null = null
    try {
      const claimed = await ownership.claim(runId, served, clock.now())
      place.claimed.resolve(true)
      if (claimed) taken = await deps.load(runId)
      if (claimed && !taken) log.warn({ runId }, `run ${runId} was taken over by another process before it began here`)
    } catch (error) {
      place.claimed.resolve(false)
      return await letGo(runId, null, error)
    }
    if (taken) await bringOn(taken, place)
  }

  /** Executes a run that this worker owns. Never throws. */
  async function bringOn(taken: TakenRun, place: Place): Promise<void> {
    const { runId, epoch, answers, workflowId } = taken.run
    place.owned = true
    place.answersSeen = answers
    place.limited = isLimited(workflowId)
    try {
      const control = { abort: place.abort, draining: draining.signal, answers: place.answers }
      const next = await takeOver(taken, control)
      if (next !== null) queueMicrotask(() => offer(next))
    } catch (error) {
      await letGo(runId, epoch, error)
    }
  }

  /** A run that cannot go on here goes on elsewhere, or here later. */
  async function letGo(runId: string, epoch: number | null, error: unknown): Promise<void> {
    if (isKernError(error, 'FENCED')) return log.warn({ runId }, error.message)
    if (!draining.signal.aborted) log.error({ runId, err: error }, 'a run was interrupted and will be taken up again')
    if (epoch === null) return
    try {
      await ownership.release(runId, epoch)
      if (draining.signal.aborted) hints.tell({ type: 'waiting' })
    } catch (failure) {
      log.error(
        { runId, err: failure },
        'a run could not be released; it is taken up here, or when this process is gone',
      )
    }
  }

  /** Aborts all runs: others may have taken them. Those that are still to be had are taken up again. */
  function fence(): void {
    const text = 'this process could not show in time that it lives: another one may execute the run by now'
    for (const { abort } of places.values()) abort.abort(new KernError('FENCED', text))
  }

  /** Takes runs that have their turn and that nobody executes. */
  async function look(): Promise<void> {
    while (looking) await looking.catch(() => undefined)
    if (!hasRoom()) return
    looking = lookNow()
    await looking
  }

  async function lookNow(): Promise<void> {
    backlog = false
    const limit = deps.concurrency - places.size
    let waiting: string[] = []
    try {
      waiting = await ownership.waiting(served, limit, [...places.keys()])
    } finally {
      // In the same turn as what follows: what comes from now on is let in.
      looking = null
    }
    // What came meanwhile was not let in before those that wait, and may be behind them.
    if (backlog && waiting.length < limit) lookSoon()
    backlog ||= waiting.length === limit
    for (const runId of waiting) if (!places.has(runId)) enter(runId)
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

  /** Does here what somebody asked of a run, and tells the others unless it is clear that the run is this process's. */
  function asked(runId: string, heed: (place: Place) => void): void {
    const place = places.get(runId)
    if (place) heed(place)
    if (!place?.owned) hints.tell({ type: 'asked', runId })
  }

  const lookSoon = soon(() => attempt('looking for runs', look))
  const heedSoon = soon(() => attempt('looking for cancels and answers', heedRequests))

  function hinted(hint: Hint): void {
    if (hint.type === 'waiting' || hint.type === 'missed') lookSoon()
    if (hint.type === 'missed' || (hint.type === 'asked' && places.has(hint.runId))) heedSoon()
  }

  const wakeDue = () => deps.wakeDue(clock.now())

  async function poll(): Promise<void> {
    await attempt('looking for cancels and answers', heedRequests)
    await attempt('looking for lost turns', deps.giveLostTurns)
    await attempt('waking runs', wakeDue)
    await attempt('looking for runs', look)
    await attempt('removing workers that are gone', ownership.removeGone)
  }

  async function attempt(what: string, work: () => Promise<void>): Promise<void> {
    if (stopped.signal.aborted) return
    await work().catch((error: unknown) => log.warn({ err: error }, `${what} failed and is tried again`))
  }

  return {
    reserve,
    offer,
    free,
    lookAt,
    answered: (runId) => asked(runId, ({ answers }) => answers.ring()),
    abort: (runId, reason) => asked(runId, ({ abort }) => abort.abort(cancellation(reason))),
    hinted,
    async start() {
      await ownership.register()
      const { signal } = stopped
      // They go on while this process drains: its runs are its own until they have ended.
      const beating = heartbeat.run(signal)
      await deps.giveLostTurns()
      await wakeDue()
      await look()
      loops = Promise.all([beating, every(deps.pollMs ?? POLL_MS, poll, { clock, signal })])
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
      await within(ended, deps.drainMs, clock)
      for (const { abort } of places.values()) abort.abort(reason)
      await within(ended, deps.graceMs + END_MARGIN_MS, clock)
      stopped.abort()
      await loops
      await ownership.leave().catch((error: unknown) => log.warn({ err: error }, 'the worker could not be removed'))
    },
  }
}
