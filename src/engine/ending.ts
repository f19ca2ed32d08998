import type { Clock } from '../clock.ts'
import { isKernError, KernError } from '../errors.ts'
import { type Json, type JsonObject, previewOf } from '../json.ts'
import { cutOff } from './cutOff.ts'
import type { NodeOutcome } from './execution.ts'
import { describeFailure, Interrupted, StepFailure } from './failure.ts'
import type { Partials } from './partials.ts'
import type { RunEnd } from './ports.ts'
import type { Change, NewEvent } from './recorder.ts'
import type { RunError, StepRecord } from './records.ts'
import { errorAsJson } from './stepRecord.ts'

/** How a run ends. */
export type Ending =
  | { readonly status: 'COMPLETED'; readonly output: Json | undefined; readonly stoppedBy: string | null }
  | { readonly status: 'FAILED'; readonly error: RunError }
  | { readonly status: 'CANCELLED'; readonly error: RunError }

export function endingOfOutcome(outcome: Exclude<NodeOutcome, { type: 'waiting' }>): Ending {
  if (outcome.type === 'stopped') return { status: 'COMPLETED', output: outcome.output, stoppedBy: outcome.by }
  return { status: 'COMPLETED', output: outcome.flow.value, stoppedBy: null }
}

/** How a run ends that something was thrown in; null if it must not end, but go on elsewhere. */
export function endingOfError(thrown: unknown): Ending | null {
  if (thrown instanceof StepFailure) return { status: 'FAILED', error: thrown.failure }
  const reason = thrown instanceof Interrupted ? thrown.reason : thrown
  if (isKernError(reason, 'FENCED') || isKernError(reason, 'UNAVAILABLE')) return null
  const error = describeFailure(reason, null)
  return { status: isKernError(reason, 'CANCELLED') ? 'CANCELLED' : 'FAILED', error }
}

/** The reason with which a run is aborted that somebody cancelled. */
export function cancellation(reason: string | null): KernError {
  return new KernError('CANCELLED', reason === null ? 'the run was cancelled' : `the run was cancelled: ${reason}`)
}

export interface EndedRun {
  readonly steps: ReadonlyMap<string, StepRecord>
  readonly state: JsonObject
  readonly clock: Clock
  /** The partial outputs of steps that are cut off by the end. */
  readonly partials?: Partials
}

/** What is recorded at the end: steps that were left open end with the run, inner ones first. */
export function changeOf(
  ending: Ending,
  { steps, state, clock, partials }: EndedRun,
): Change & { readonly end: Omit<RunEnd, 'at'> } {
  const { status } = ending
  const cut =
    status === 'COMPLETED'
      ? { steps: [], events: [] }
      : cutOff(steps.values(), { status, error: ending.error, clock, partials })
  const output = ending.status === 'COMPLETED' ? ending.output : undefined
  return {
    steps: cut.steps,
    events: [...cut.events, finalEvent(ending)],
    end: {
      status,
      output,
      outputPreview: ending.status === 'COMPLETED' ? previewOf(output) : null,
      error: ending.status === 'COMPLETED' ? null : withStep(ending.error, cut.steps),
      stoppedBy: ending.status === 'COMPLETED' ? ending.stoppedBy : null,
      stateAfter: state,
    },
  }
}

function finalEvent(ending: Ending): NewEvent {
  switch (ending.status) {
    case 'COMPLETED':
      return { type: 'RUN_COMPLETED' }
    case 'FAILED':
      return { type: 'RUN_FAILED', data: errorAsJson(ending.error) }
    case 'CANCELLED':
      return { type: 'RUN_CANCELLED', data: errorAsJson(ending.error) }
  }
}

/** Names the innermost step that the end of the run cut off. */
function withStep(error: RunError, closed: readonly StepRecord[]): RunError {
  return { ...error, stepPath: error.stepPath ?? closed[0]?.path ?? null }
}
