import { KernError, shown } from '../../errors.ts'
import type { Json } from '../../json.ts'
import type { StepRecord } from '../records.ts'
import type { RetrySource } from './retryFrom.ts'

/** What a retry takes over. */
export interface Retry extends RetrySource {
  /** The path of the first step that is executed again. */
  readonly fromStep: string
  /** Whether it has another input than its source. */
  readonly newInput: boolean
  readonly runId: string
  readonly at: Date
}

/** A container around the step that a retry begins with, or one beside it that had not ended: it goes on. */
export interface Opened {
  readonly decision: Json | undefined
  /** Whether it is given the new run's input, and not something that is recorded. */
  readonly givenInput: boolean
}

/**
 * What the run recorded of a step, as a row of the run that tries it again. Its change of the state is not made again, as
 * the session has it, but is kept: a sibling that is executed again must not contradict it.
 */
export function reusedRow({ runId, newInput }: Retry, row: StepRecord): StepRecord {
  return {
    ...row,
    runId,
    // What was given the old run's input keeps it.
    inputFrom: row.inputFrom === 'run' && newInput ? 'own' : row.inputFrom,
    pending: null,
    answer: null,
    // The new run has used nothing for it.
    usage: null,
    attempts: [],
  }
}

/** The same for a container that goes on in the new run: it begins when that comes to it. */
export function openedRow(retry: Retry, row: StepRecord, { decision, givenInput }: Opened): StepRecord {
  return {
    ...reusedRow(retry, row),
    status: 'RUNNING',
    ...(retry.newInput && givenInput ? { inputFrom: 'run', input: undefined } : {}),
    output: undefined,
    outputPreview: null,
    partialOutput: undefined,
    error: null,
    statePatch: undefined,
    decision,
    stopsRun: false,
    startedAt: retry.at,
    completedAt: null,
  }
}

/** That results cannot be taken over because the definition is another now. `what` says what the run had. */
export function changed({ run, definition, fromStep }: Retry, what: string): KernError {
  return new KernError(
    'CONFLICT',
    `the results of run ${run.runId} before step ${shown(fromStep)} do not fit version ${definition.version} of workflow "${definition.id}": it ran with version ${run.workflowVersion}, and ${what}`,
    { runId: run.runId },
  )
}
