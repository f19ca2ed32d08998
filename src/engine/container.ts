import { isKernError } from '../errors.ts'
import { previewOf } from '../json.ts'
import type { ContainerNode } from '../workflow/definition.ts'
import type { NodeOutcome, Scope } from './execution.ts'
import { describeFailure, StepFailure } from './failure.ts'
import type { StepRecord } from './records.ts'
import { beginStep, closeAttempts, errorAsJson, isBelow, noteStep, type Placed, recordedOutcome } from './stepRecord.ts'

/**
 * Records a node that holds others: it starts before them, ends after them, and fails with them. Nobody waits for its
 * rows: everything in them follows from the children's, which are durable, and from what it decided, which is too.
 */
export async function runContainer(
  scope: Scope,
  { node, place, input }: Placed<ContainerNode>,
  body: () => Promise<NodeOutcome>,
): Promise<NodeOutcome> {
  const { execution } = scope
  const recorded = execution.steps.get(place.path)
  if (recorded?.completedAt) applyRecordedPatches(scope, place.path)
  const outcome = recordedOutcome(recorded)
  if (outcome) return outcome.type === 'stopped' ? { ...outcome, by: stoppedBy(scope, place.path) } : outcome
  const begun = recorded !== undefined && recorded.attempts.length > 0
  const running = begun ? recorded : beginStep(execution, { node, place, input })
  try {
    const result = await orFail(place.path, body)
    if (result.type === 'waiting') return result
    // What it decided was recorded in the meantime.
    const record = completed(scope, execution.steps.get(place.path) ?? running, result)
    noteStep(execution, record, { type: 'STEP_COMPLETED', stepPath: place.path })
    return result.type === 'stopped' ? result : (recordedOutcome(record) ?? result)
  } catch (error) {
    if (error instanceof StepFailure) noteFailure(scope, execution.steps.get(place.path) ?? running, error)
    throw error
  }
}

/** What stands below a container that is over is not walked again: its changes of the state are taken in all the same. */
function applyRecordedPatches({ execution, state }: Scope, parent: string): void {
  for (const { path, patch, reused } of execution.patches) {
    if (reused) continue
    if (path === parent || isBelow(path, parent)) state.apply(path, patch)
  }
}

/** The innermost step below that stopped the run. */
function stoppedBy({ execution }: Scope, parent: string): string {
  const stops = [...execution.steps.values()].filter(({ path, stopsRun }) => stopsRun && isBelow(path, parent))
  return stops.reduce((inner, { path }) => (isBelow(path, inner) ? path : inner), parent)
}

/** What the node itself gets wrong, and not what is in it, fails it too. Whoever stops the run is not to blame. */
export async function orFail<Result>(path: string, body: () => Promise<Result>): Promise<Result> {
  try {
    return await body()
  } catch (error) {
    const passes = isKernError(error, 'FENCED') || isKernError(error, 'UNAVAILABLE') || isKernError(error, 'INTERNAL')
    throw isKernError(error) && !passes ? new StepFailure(describeFailure(error, path)) : error
  }
}

function noteFailure({ execution }: Scope, running: StepRecord, { failure }: StepFailure): void {
  const at = execution.clock.now()
  const attempts = closeAttempts(running.attempts, at, failure)
  const failed: StepRecord = { ...running, status: 'FAILED', attempts, error: failure, completedAt: at }
  noteStep(execution, failed, { type: 'STEP_FAILED', stepPath: running.path, data: errorAsJson(failure) })
}

function completed(
  { execution }: Scope,
  running: StepRecord,
  outcome: Exclude<NodeOutcome, { type: 'waiting' }>,
): StepRecord {
  const completedAt = execution.clock.now()
  const output = outcome.type === 'stopped' ? outcome.output : outcome.flow.value
  return {
    ...running,
    status: 'COMPLETED',
    output,
    outputPreview: previewOf(output),
    stopsRun: outcome.type === 'stopped',
    attempts: closeAttempts(running.attempts, completedAt, null),
    completedAt,
  }
}
