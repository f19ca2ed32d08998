import type { Clock } from '../clock.ts'
import { isKernError, KernError } from '../errors.ts'
import { type Json, type JsonObject, previewOf } from '../json.ts'
import type { NodeOutcome } from './execution.ts'
import { describeFailure, Interrupted, StepFailure } from './failure.ts'
import type { Partials } from './partials.ts'
import type { RunEnd } from './ports.ts'
import type { Change, NewEvent } from './recorder.ts'
import type { RunError, StepRecord } from './records.ts'
import { closeAttempts, errorAsJson } from './stepRecord.ts'

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
  const open = ending.status === 'COMPLETED' ? [] : [...steps.values()].filter((step) => step.completedAt === null)
  const closed = open
    .sort((a, b) => b.position - a.position)
    .map((step) => ({
      ...closedBy(ending, step, clock.now()),
      partialOutput: partials?.newest(step.path) ?? step.partialOutput,
    }))
  const cutOff = closed.flatMap(({ status, path, attempts, error }): NewEvent[] => {
    if (!error || attempts.length === 0) return []
    const type = status === 'FAILED' ? 'STEP_FAILED' : 'STEP_CANCELLED'
    return [{ type, stepPath: path, data: errorAsJson(error) }]
  })
  const output = ending.status === 'COMPLETED' ? ending.output : undefined
  return {
    steps: closed,
    events: [...cutOff, finalEvent(ending)],
    end: {
      status: ending.status,
      output,
      outputPreview: ending.status === 'COMPLETED' ? previewOf(output) : null,
      error: ending.status === 'COMPLETED' ? null : withStep(ending.error, closed),
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

function closedBy(ending: Ending, step: StepRecord, at: Date): StepRecord {
  const status = ending.status === 'CANCELLED' ? 'CANCELLED' : 'FAILED'
  const error = ending.status === 'COMPLETED' ? null : { ...ending.error, stepPath: step.path }
  return { ...step, status, error, attempts: closeAttempts(step.attempts, at, error), completedAt: at }
}

/** Names the innermost step that the end of the run cut off. */
function withStep(error: RunError, closed: readonly StepRecord[]): RunError {
  return { ...error, stepPath: error.stepPath ?? closed[0]?.path ?? null }
}
