import { isKernError, KernError } from '../errors.ts'
import type { Workflows } from '../engine/api.ts'
import { cancellation } from '../engine/ending.ts'
import type { Executor, RunControl } from '../engine/executor.ts'
import type { TakenRun } from '../engine/ports.ts'
import { assertGoesOn } from '../engine/start.ts'
import type { Log } from '../log.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import type { Ownership } from './ownership.ts'

/** How many processes may die while they execute a run. */
const MAX_DEATHS = 5

export interface TakeOverDeps {
  readonly ownership: Pick<Ownership, 'adopt'>
  readonly load: (runId: string) => Promise<TakenRun | null>
  readonly executor: Executor
  readonly workflows: Workflows
  /** A run is not executed any more once so many processes died while they executed it. @default 5 */
  readonly maxDeaths?: number | undefined
  readonly log: Log
}

/**
 * Makes what brings a run that this process owns on: executes it, or ends one that is not to be executed.
 *
 * It gives the run of the session that has its turn after it, or null, and throws FENCED or UNAVAILABLE if the run has to
 * go on elsewhere.
 */
export function createTakeOver(deps: TakeOverDeps) {
  const { ownership, executor, workflows, maxDeaths = MAX_DEATHS, log } = deps

  return async function takeOver(taken: TakenRun, control: RunControl): Promise<string | null> {
    const { run } = taken
    const definition = workflows.get(run.workflowId)
    const ended = taken.deaths >= maxDeaths
    // Nothing of the author's is needed, or wanted, to end such a run.
    if (run.cancelRequestedAt && (ended || !definition))
      return await executor.endBy(taken, cancellation(run.cancelReason))
    if (ended) return await executor.endBy(taken, poisoned(taken))
    if (!taken.fresh) log.info({ runId: run.runId, deaths: taken.deaths }, 'a run goes on here that began before')
    if (!definition) throw new KernError('UNAVAILABLE', `workflow "${run.workflowId}" is not served here`)
    try {
      return await executor.execute(await underVersion(taken, definition), definition, control)
    } catch (error) {
      if (isKernError(error, 'FENCED') || isKernError(error, 'UNAVAILABLE')) throw error
      log.error({ runId: run.runId, err: error }, 'a run could not be recorded and is ended as failed')
      const again = await deps.load(run.runId)
      // Under another epoch it is another's run by now.
      return again?.run.epoch === run.epoch ? await executor.endBy(again, asFailure(error)) : null
    }
  }

  /**
   * The run as one of this version of its workflow, where it can go on under that: from now on it belongs to those who
   * serve this one. Any other is left as it is, for the executor to fail it.
   */
  async function underVersion(taken: TakenRun, definition: WorkflowDefinition): Promise<TakenRun> {
    const { run } = taken
    const { version } = definition
    if (run.workflowVersion === version || run.cancelRequestedAt || !goesOn(taken, definition)) return taken
    if (await ownership.adopt(run.runId, run.epoch, version)) {
      return { ...taken, run: { ...run, workflowVersion: version } }
    }
    throw new KernError('FENCED', `run ${run.runId} was taken over by another process`)
  }
}

function goesOn(taken: TakenRun, definition: WorkflowDefinition): boolean {
  try {
    assertGoesOn(taken, definition)
    return true
  } catch {
    return false
  }
}

/** What a run fails with that has ended too many processes. */
function poisoned({ run, steps, deaths }: TakenRun): KernError {
  const open = steps.filter(({ completedAt }) => completedAt === null)
  const last = open.reduce<(typeof open)[number] | null>((a, b) => (a && a.position > b.position ? a : b), null)
  const where = last ? `, at last in step "${last.path}"` : ''
  return new KernError('POISONED', `${deaths} processes died while they executed run ${run.runId}${where}`)
}

/** A run that the database refused to record fails with what the database said. */
function asFailure(error: unknown): KernError {
  return error instanceof KernError
    ? error
    : new KernError('INTERNAL', 'the run could not be recorded', { cause: error })
}
