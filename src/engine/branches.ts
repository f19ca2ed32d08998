import { MAX_DURATION_MS } from '../clock.ts'
import { KernError } from '../errors.ts'
import { cutOff } from './cutOff.ts'
import { checkpoint, earlier, type Flow, type NodeOutcome, type Scope, timeUntil, type Waiting } from './execution.ts'
import { describeFailure, Interrupted, StepFailure } from './failure.ts'
import type { StateFork } from './stateView.ts'
import { isBelow } from './stepRecord.ts'

export interface BranchOptions {
  /** The path of the node that has the branches. */
  readonly path: string
  readonly count: number
  /** The index of the branch that a step is in, by what its path has after that of the node. */
  readonly branchOf: (below: string) => number
  /** Runs one of the branches, from its start or from where its records end. */
  readonly run: (scope: Scope, index: number) => Promise<NodeOutcome>
  /** How many are under way at the same time; one that waits is. */
  readonly concurrency: number
  /** Whether the first failure aborts the others. */
  readonly failFast: boolean
}

/** How all branches together ended: with the output of each, or like a node. */
export type BranchesOutcome =
  | { readonly type: 'done'; readonly flows: readonly Flow[] }
  | Exclude<NodeOutcome, { type: 'done' }>

/** What became of the branches so far, by their index. */
interface Ends {
  readonly flows: Map<number, Flow>
  readonly waits: Map<number, Waiting>
  readonly stops: Map<number, Extract<NodeOutcome, { type: 'stopped' }>>
  readonly failures: Map<number, StepFailure>
  /** What is neither an end of a branch nor an abort. */
  readonly faults: Error[]
}

/**
 * Runs branches at the same time, each with a view of the state and a signal of its own. A failure, or the end of the
 * run, aborts the others; what they had open is closed as CANCELLED.
 *
 * Of what the branches have recorded, a failure comes before an early end, and of several failures that of the first
 * branch counts, whichever was faster.
 *
 * @throws StepFailure, Interrupted
 */
export async function runBranches(scope: Scope, options: BranchOptions): Promise<BranchesOutcome> {
  const { count, concurrency } = options
  const { answers } = scope.execution
  const ends: Ends = { flows: new Map(), waits: new Map(), stops: new Map(), failures: new Map(), faults: [] }
  const fork = recallingFork(scope, options)
  const own = new AbortController()
  const signal = AbortSignal.any([scope.signal, own.signal])
  const order = inReplayOrder(scope, options)
  let active = 0
  let next = 0
  let turns = 0
  let changed = Promise.withResolvers<void>()
  // Asked for before the branches look at their answers, so that none which comes in between is missed.
  let rung = answers.rung()

  function start(index: number): void {
    active += 1
    ends.waits.delete(index)
    const branch = { ...scope, signal, state: fork.branch(index) }
    void options
      .run(branch, index)
      .then((outcome) => settle(ends, index, outcome))
      .catch((error: unknown) => settleError(ends, index, error))
      .then(() => {
        active -= 1
        turns += 1
        const reason = reasonToAbort(ends, options)
        if (reason !== null) own.abort(aborted(reason))
        changed.resolve()
      })
  }

  for (;;) {
    while (next < count && active + ends.waits.size < concurrency && !signal.aborted) {
      // A branch that has failed, or stopped the run, says so before another one does any more work.
      if (next >= order.decided && turns < order.decided) break
      start(order.indexes[next++] ?? 0)
    }
    if (active === 0) break
    const woken = await oneOf(scope, { changed: changed.promise, rung, waits: signal.aborted ? null : ends.waits })
    changed = Promise.withResolvers()
    if (!woken) continue
    rung = answers.rung()
    // Those that are under way are waited for, whatever happens here: nobody else may go on with the run before.
    await answers.refresh().catch((error: unknown) => {
      settleError(ends, -1, error)
      own.abort(aborted('a branch could not go on'))
    })
    if (!signal.aborted) for (const index of ends.waits.keys()) start(index)
  }
  return conclude(scope, options, ends)
}

/** The branches in order, but first those in which a step is recorded that has failed or stopped the run. */
function inReplayOrder({ execution }: Scope, { path: parent, count, branchOf }: BranchOptions) {
  const decided = new Set<number>()
  for (const { path, status, stopsRun } of execution.steps.values()) {
    if ((stopsRun || status === 'FAILED') && isBelow(path, parent)) decided.add(branchOf(path.slice(parent.length)))
  }
  const others = Array.from({ length: count }, (_, index) => index).filter((index) => !decided.has(index))
  return { indexes: [...decided, ...others], decided: decided.size }
}

/** A fork that knows what its branches have recorded before. */
function recallingFork({ execution, state }: Scope, { path: parent, branchOf }: BranchOptions): StateFork {
  const fork = state.fork()
  for (const { path, patch } of execution.patches) {
    if (isBelow(path, parent)) fork.recall(branchOf(path.slice(parent.length)), path, patch)
  }
  return fork
}

function aborted(because: string): KernError {
  return new KernError('CANCELLED', `${because}, so what ran beside it was aborted`)
}

function settle({ flows, waits, stops }: Ends, index: number, outcome: NodeOutcome): void {
  if (outcome.type === 'done') flows.set(index, outcome.flow)
  else if (outcome.type === 'waiting') waits.set(index, outcome)
  else stops.set(index, outcome)
}

function settleError({ failures, faults }: Ends, index: number, error: unknown): void {
  if (error instanceof StepFailure) failures.set(index, error)
  else if (!(error instanceof Interrupted)) {
    faults.push(
      error instanceof Error ? error : new KernError('INTERNAL', 'a branch could not go on', { cause: error }),
    )
  }
}

function reasonToAbort({ stops, failures, faults }: Ends, { failFast, path }: BranchOptions): string | null {
  const [stop] = stops.values()
  const [failure] = failures.values()
  if (faults.length > 0) return 'a branch could not go on'
  if (failure && failFast) return `step "${failure.failure.stepPath ?? path}" failed`
  return stop ? `step "${stop.by}" stopped the run` : null
}

interface Awaited {
  readonly changed: Promise<void>
  readonly rung: Promise<void>
  /** The branches that wait; null if none of them matters any more. */
  readonly waits: ReadonlyMap<number, Waiting> | null
}

/** Waits until a branch has ended, or until those that wait have reason to look again: then true. */
async function oneOf({ execution }: Scope, { changed, rung, waits }: Awaited): Promise<boolean> {
  const ended = changed.then(() => false)
  if (waits === null || waits.size === 0) return await ended
  const until = [...waits.values()].reduce<Date | null>((soonest, wait) => earlier(soonest, wait.until), null)
  const timer = new AbortController()
  const wakes = [ended, rung.then(() => true)]
  if (until) {
    const ms = Math.min(timeUntil(execution, until), MAX_DURATION_MS)
    wakes.push(
      execution.clock.sleep(ms, timer.signal).then(
        () => true,
        () => false,
      ),
    )
  }
  try {
    return await Promise.race(wakes)
  } finally {
    timer.abort()
  }
}

function conclude(scope: Scope, { path, count, failFast }: BranchOptions, ends: Ends): BranchesOutcome {
  const [fault] = ends.faults
  if (fault) throw fault
  const failure = first(ends.failures)
  const stop = first(ends.stops)
  const { flows, waits, failures } = ends
  const unfinished = flows.size + waits.size + failures.size < count && !stop
  const failed = failure && (failFast || stop || (waits.size === 0 && !unfinished))
  // Whoever stops the run comes first. That this process drains does not: what has ended, has ended.
  if (scope.signal.aborted || (!failed && !stop)) checkpoint(scope)
  if (failed) {
    closeOpen(scope, path, aborted(`step "${failure.failure.stepPath ?? path}" failed`))
    throw failure
  }
  if (stop) {
    closeOpen(scope, path, aborted(`step "${stop.by}" stopped the run`))
    return stop
  }
  if (waits.size > 0) return together([...waits.values()])
  if (unfinished) throw new KernError('INTERNAL', `a branch of step "${path}" ended without a result`)
  const inOrder = Array.from({ length: count }, (_, index) => flows.get(index))
  return { type: 'done', flows: inOrder.filter((flow) => flow !== undefined) }
}

/** Of the branch with the lowest index. */
function first<Value>(byIndex: ReadonlyMap<number, Value>): Value | undefined {
  return byIndex.get(Math.min(...byIndex.keys()))
}

function together(waits: readonly Waiting[]): Waiting {
  return waits.reduce((all, one) => ({
    type: 'waiting',
    until: earlier(all.until, one.until),
    person: all.person || one.person,
  }))
}

/** Closes what the aborted branches of a node had open, inner steps first. */
export function closeOpen({ execution }: Scope, parent: string, reason: KernError): void {
  const { steps, clock, partials, recorder } = execution
  const below = [...steps.values()].filter(({ path }) => isBelow(path, parent))
  const cut = cutOff(below, { status: 'CANCELLED', error: describeFailure(reason, parent), clock, partials })
  for (const step of cut.steps) {
    steps.set(step.path, step)
    partials.end(step.path)
  }
  recorder.note(cut)
}
