import { KernError } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { WorkflowNode } from '../workflow/definition.ts'
import type { Execution, Flow, NodeOutcome, Place } from './execution.ts'
import { describeFailure, Interrupted, StepFailure } from './failure.ts'
import type { NewEvent } from './recorder.ts'
import type { RunError, StepAttempt, StepRecord } from './records.ts'

/** A node that is to be executed at a place, and what it is given. */
export interface Placed<Node extends WorkflowNode = WorkflowNode> {
  readonly node: Node
  readonly place: Place
  readonly input: Flow
}

/** Notes that a node starts, or that it is tried again after its last attempt was cut off. */
export function beginStep(execution: Execution, { node, place, input }: Placed, historyUsed = false): StepRecord {
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
    input: input.value,
    output: undefined,
    outputPreview: null,
    partialOutput: undefined,
    error: null,
    statePatch: undefined,
    decision: undefined,
    pending: null,
    answer: null,
    usage: null,
    historyUsed,
    stopsRun: false,
    maxAttempts: node.kind === 'step' || node.kind === 'agent' ? node.retry.maxAttempts : 1,
    attempts: [],
    startedAt,
    completedAt: null,
  }
  execution.position += 1
  return nextAttempt(execution, record, startedAt)
}

/** Opens one more attempt; one that was left open, by a process that ended or lost its database, is closed as INTERRUPTED. */
export function nextAttempt(execution: Execution, recorded: StepRecord, at = execution.clock.now()): StepRecord {
  const attempts = interruptAttempts(recorded, at)
  const number = attempts.length + 1
  const record: StepRecord = {
    ...recorded,
    status: 'RUNNING',
    // Of a step that a person sent on: each attempt keeps its own.
    error: null,
    attempts: [...attempts, { number, startedAt: at.toISOString(), completedAt: null, error: null }],
  }
  execution.steps.set(record.path, record)
  execution.recorder.note({
    steps: [record],
    events: [{ type: 'STEP_STARTED', stepPath: record.path, data: { attempt: number } }],
  })
  return record
}

function interruptAttempts({ attempts, path }: StepRecord, at: Date): readonly StepAttempt[] {
  if (attempts.every(({ completedAt }) => completedAt !== null)) return attempts
  const interrupted = new KernError('INTERRUPTED', 'this attempt was cut off before its result was recorded')
  return closeAttempts(attempts, at, describeFailure(interrupted, path))
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

/**
 * What a recorded end means for what comes after it; null if the node has not ended.
 *
 * @throws StepFailure for one that failed, Interrupted for one that was cut off with its branch
 */
export function recordedOutcome(record: StepRecord | undefined): NodeOutcome | null {
  if (!record) return null
  const { status, output, input, inputFrom, path, error } = record
  if (status === 'FAILED' && error) throw new StepFailure(error)
  if (status === 'CANCELLED')
    throw new Interrupted(new KernError('CANCELLED', error?.message ?? 'the step was cancelled'))
  if (status === 'SKIPPED') return { type: 'done', flow: { value: input, source: inputFrom } }
  if (status !== 'COMPLETED') return null
  if (record.stopsRun) return { type: 'stopped', output: output ?? null, by: path }
  return { type: 'done', flow: { value: output, source: `step:${path}` } }
}

/** Notes a change of a step's row that nobody waits for. */
export function noteStep(execution: Execution, record: StepRecord, event: NewEvent): void {
  execution.steps.set(record.path, record)
  execution.recorder.note({ steps: [record], events: [event] })
}

/** Records a change of a step's row, and waits until it is durable. */
export async function commitStep(execution: Execution, record: StepRecord, events: readonly NewEvent[]): Promise<void> {
  execution.steps.set(record.path, record)
  await execution.recorder.commit({ steps: [record], events })
}

/** True for what stands below a path: in a container, or in an iteration or item of it. */
export function isBelow(path: string, parent: string): boolean {
  return path.startsWith(`${parent}/`) || path.startsWith(`${parent}[`)
}

/** An error as a JSON value: it holds nothing else. */
export function errorAsJson(error: RunError): JsonObject {
  return { ...error }
}
