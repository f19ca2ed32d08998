import { KernError } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { WorkflowNode } from '../workflow/definition.ts'
import type { Execution, Flow, NodeOutcome, Place } from './execution.ts'
import { describeFailure } from './failure.ts'
import type { RunError, StepAttempt, StepRecord } from './records.ts'

/** Notes that a node starts, or that it is tried again after its last attempt was cut off. */
export function beginStep(
  execution: Execution,
  node: WorkflowNode,
  place: Place,
  input: Flow,
  historyUsed = false,
): StepRecord {
  const recorded = execution.steps.get(place.path)
  if (recorded) return nextAttempt(execution, recorded)
  const startedAt = execution.clock.now()
  const record: StepRecord = {
    runId: execution.run.runId,
    path: place.path,
    position: execution.position,
    parentPath: place.parentPath,
    name: node.name,
    kind: node.kind,
    status: 'RUNNING',
    inputFrom: input.source,
    input: input.source === 'own' ? input.value : undefined,
    output: undefined,
    outputPreview: null,
    error: null,
    statePatch: undefined,
    historyUsed,
    stopsRun: false,
    maxAttempts: node.kind === 'step' ? node.retry.maxAttempts : 1,
    attempts: [],
    startedAt,
    completedAt: null,
  }
  execution.position += 1
  return nextAttempt(execution, record, startedAt)
}

/** Opens one more attempt; one that was left open, by a process that ended or lost its database, is closed as INTERRUPTED. */
export function nextAttempt(execution: Execution, recorded: StepRecord, at = execution.clock.now()): StepRecord {
  const interrupted = new KernError('INTERRUPTED', 'this attempt was cut off before its result was recorded')
  const attempts = closeAttempts(recorded.attempts, at, describeFailure(interrupted, recorded.path))
  const number = attempts.length + 1
  const record: StepRecord = {
    ...recorded,
    status: 'RUNNING',
    attempts: [...attempts, { number, startedAt: at.toISOString(), completedAt: null, error: null }],
  }
  execution.steps.set(record.path, record)
  execution.recorder.note({
    steps: [record],
    events: [{ type: 'STEP_STARTED', stepPath: record.path, data: { attempt: number } }],
  })
  return record
}

/** Ends the attempt that is open, if one is. */
export function closeAttempts(
  attempts: readonly StepAttempt[],
  at: Date,
  error: RunError | null,
): readonly StepAttempt[] {
  return attempts.map((attempt) =>
    attempt.completedAt === null ? { ...attempt, completedAt: at.toISOString(), error } : attempt,
  )
}

/** What a recorded result means for what comes after it. */
export function outcomeOf(record: StepRecord): NodeOutcome {
  const { output, path } = record
  if (record.stopsRun) return { type: 'stopped', output: output ?? null, by: path }
  return { type: 'done', flow: { value: output, source: `step:${path}` } }
}

/** An error as a JSON value: it holds nothing else. */
export function errorAsJson(error: RunError): JsonObject {
  return { ...error }
}
