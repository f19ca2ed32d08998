import { isKernError, KernError } from '../../errors.ts'
import type { ValueLimits } from '../../json.ts'
import { SYSTEM_VIEWER } from '../../viewer.ts'
import type { WorkflowDefinition } from '../../workflow/definition.ts'
import type { Commands } from '../api.ts'
import { checkInput } from './checks.ts'

/** @throws KernError DEFINITION_INVALID if the input of a workflow's schedule does not fit the workflow */
export async function checkScheduledInput(definition: WorkflowDefinition, limits: ValueLimits): Promise<void> {
  if (definition.schedule === null) return
  try {
    await checkInput(definition, definition.schedule.input, limits)
  } catch (error) {
    if (!isKernError(error, 'INPUT_INVALID')) throw error
    const message = `schedule of workflow "${definition.name}": ${error.message}`
    throw new KernError('DEFINITION_INVALID', message, { cause: error })
  }
}

/**
 * Starts the run of a tick of a workflow's schedule.
 *
 * @param idempotencyKey made of the workflow and the tick: whoever is second starts nothing
 * @throws KernError as `runWorkflow`
 */
export async function startScheduled(
  commands: Pick<Commands, 'runWorkflow'>,
  { id: workflowId, schedule }: WorkflowDefinition,
  idempotencyKey: string,
): Promise<void> {
  if (schedule === null) return
  const { input, sessionId } = schedule
  const request = { workflowId, input, sessionId: sessionId ?? undefined, idempotencyKey }
  await commands.runWorkflow(SYSTEM_VIEWER, request)
}
