import type { WorkflowDefinition } from '../workflow/definition.ts'
import { answerTo } from './answers.ts'
import { earlier, type Execution, pause, type Scope, timeUntil, type Waiting } from './execution.ts'
import type { WriteOutcome } from './ports.ts'
import type { NewEvent } from './recorder.ts'

/**
 * Puts a run aside in which nothing can go on: nobody owns it until somebody answers, or its time has come.
 *
 * @returns `committed`, or why it is not put aside
 */
export function park(
  execution: Execution,
  { until, person }: Waiting,
): Promise<Exclude<WriteOutcome['type'], 'fenced'>> {
  const { recorder, answers, definition, run } = execution
  const event: NewEvent = { type: 'RUN_PAUSED', data: { waiting: waitingPaths(execution) } }
  return recorder.settle({
    events: person ? [event] : [],
    park: {
      status: person ? 'PAUSED' : 'RUNNING',
      wakeAt: earlier(until, deadlineOf(definition, run.startedAt)),
      answers: answers.seen(),
    },
  })
}

/** The steps that wait for a person. */
function waitingPaths({ steps }: Execution): string[] {
  return [...steps.values()].filter((step) => step.status === 'PAUSED' && !answerTo(step)).map(({ path }) => path)
}

/** When the time of a run is over, counted from its first start; null for no limit. */
export function deadlineOf({ timeoutMs }: WorkflowDefinition, startedAt: Date | null): Date | null {
  return timeoutMs === null || !startedAt ? null : new Date(startedAt.getTime() + timeoutMs)
}

/** Waits here where it is only for a short time. @returns false for a wait that puts the run aside */
export async function waitHere(scope: Scope, { until, person }: Waiting): Promise<boolean> {
  if (person || !until) return false
  const left = timeUntil(scope.execution, until)
  if (left > scope.execution.parkMs) return false
  if (left > 0) await pause(scope, left)
  return true
}
