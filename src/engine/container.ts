import { previewOf } from '../json.ts'
import type { SequenceNode } from '../workflow/definition.ts'
import type { Execution, Flow, NodeOutcome, Place } from './execution.ts'
import { StepFailure } from './failure.ts'
import type { NewEvent } from './recorder.ts'
import type { StepRecord } from './records.ts'
import { beginStep, closeAttempts, errorAsJson, outcomeOf } from './stepRecord.ts'

/**
 * Records a node that holds others: it starts before them, ends after them, and fails with them. Nobody waits for its
 * rows: everything in them follows from the children's, which are durable.
 */
export async function runContainer(
  execution: Execution,
  node: SequenceNode,
  place: Place,
  input: Flow,
  body: () => Promise<NodeOutcome>,
): Promise<NodeOutcome> {
  const recorded = execution.steps.get(place.path)
  if (recorded?.status === 'COMPLETED') return outcomeOf(recorded)
  if (recorded?.status === 'FAILED' && recorded.error) throw new StepFailure(recorded.error)
  const running = recorded ?? beginStep(execution, node, place, input)
  try {
    const outcome = await body()
    note(execution, completed(execution, running, outcome), { type: 'STEP_COMPLETED', stepPath: place.path })
    return outcome
  } catch (error) {
    if (error instanceof StepFailure) {
      const { failure } = error
      const at = execution.clock.now()
      const attempts = closeAttempts(running.attempts, at, failure)
      const failed: StepRecord = { ...running, status: 'FAILED', attempts, error: failure, completedAt: at }
      note(execution, failed, { type: 'STEP_FAILED', stepPath: place.path, data: errorAsJson(failure) })
    }
    throw error
  }
}

function note(execution: Execution, record: StepRecord, event: NewEvent): void {
  execution.steps.set(record.path, record)
  execution.recorder.note({ steps: [record], events: [event] })
}

function completed(execution: Execution, running: StepRecord, outcome: NodeOutcome): StepRecord {
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
