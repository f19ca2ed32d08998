import type { Clock } from '../clock.ts'
import type { Partials } from './partials.ts'
import type { NewEvent } from './recorder.ts'
import type { RunError, StepRecord } from './records.ts'
import { closeAttempts, errorAsJson } from './stepRecord.ts'

/** What cuts steps off that are under way. */
export interface CuttingOff {
  readonly status: 'FAILED' | 'CANCELLED'
  readonly error: RunError
  readonly clock: Clock
  /** The partial outputs of the steps, where they are executed here. */
  readonly partials?: Partials | undefined
}

/** The rows of steps that are cut off, inner ones first, each with what it had put out so far, and what tells of it. */
export function cutOff(
  steps: Iterable<StepRecord>,
  { status, error, clock, partials }: CuttingOff,
): { readonly steps: StepRecord[]; readonly events: NewEvent[] } {
  const completedAt = clock.now()
  const open = [...steps].filter((step) => step.completedAt === null).sort((a, b) => b.position - a.position)
  const closed = open.map((step) => {
    const own = { ...error, stepPath: step.path }
    const attempts = closeAttempts(step.attempts, completedAt, own)
    const partialOutput = partials?.newest(step.path) ?? step.partialOutput
    return { ...step, status, error: own, attempts, partialOutput, completedAt }
  })
  const type = status === 'FAILED' ? 'STEP_FAILED' : 'STEP_CANCELLED'
  // What a retry has opened, and the run did not come to, has not started either.
  const begun = closed.filter(({ attempts }) => attempts.length > 0)
  return {
    steps: closed,
    events: begun.map(({ path, error: own }) => ({ type, stepPath: path, data: errorAsJson(own) })),
  }
}
