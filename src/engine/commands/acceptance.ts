import { KernError } from '../../errors.ts'
import type { RunRequest } from '../api.ts'
import type { CommandDeps } from './commandDeps.ts'
import { displayNameOf } from '../../session/naming.ts'
import type { WorkflowDefinition } from '../../workflow/definition.ts'
import type { AcceptOutcome, NewSession, RefusedStart } from './commandStore.ts'
import type { RunRecord } from '../records.ts'

export interface SessionStart {
  readonly sessionId: string
  readonly isNew: boolean
  readonly userId: string | null
  /** By which the caller names it; null for no name. */
  readonly name: string | null
  readonly inputPreview: string
  readonly at: Date
}

/** The session of a run, as it is made if it is not there yet. */
export function sessionOf(definition: WorkflowDefinition, { inputPreview, ...given }: SessionStart): NewSession {
  const { id: workflowId, name: workflowName, initialState: state, version: workflowVersion } = definition
  const displayName = displayNameOf({ name: given.name, firstInputPreview: inputPreview, workflowName })
  return { ...given, workflowId, workflowName, displayName, state, workflowVersion, metadata: undefined, tags: [] }
}

/** What is asked for, as far as a refusal tells of it. */
export type Asked = Pick<RunRequest, 'workflowId' | 'idempotencyKey'>

/** Hands an accepted run to a worker when it has its turn. @throws KernError CONFLICT for one that was not accepted */
export function handOver({ hub, dispatcher }: CommandDeps, outcome: AcceptOutcome, asked: Asked): RunRecord {
  const run = acceptedRun(outcome, asked)
  if (outcome.type !== 'accepted') return run
  const { runId, sessionId, workflowId } = run
  const { active, interrupted } = outcome
  hub.publish({ runId, sessionId, workflowId, settled: false })
  if (active) dispatcher.offer(runId)
  if (interrupted?.owned) dispatcher.abort(interrupted.runId, 'a newer run of the session interrupted it')
  else if (interrupted) dispatcher.offer(interrupted.runId)
  return run
}

function acceptedRun(outcome: AcceptOutcome, asked: Asked): RunRecord {
  switch (outcome.type) {
    case 'accepted':
    case 'repeated':
      return outcome.run
    default:
      throw refusal(outcome, asked)
  }
}

/** What the caller is told of a run that was not accepted: CONFLICT, with what stands in its way. */
export function refusal(outcome: RefusedStart, asked: Asked): KernError {
  switch (outcome.type) {
    case 'key-conflict':
      return new KernError(
        'CONFLICT',
        `idempotencyKey "${asked.idempotencyKey}" was used before, for run ${outcome.run.runId}, with another workflow, input or session`,
        { runId: outcome.run.runId },
      )
    case 'session-conflict': {
      const { sessionId, workflowId, userId } = outcome.session
      const owner = workflowId === asked.workflowId ? `user ${JSON.stringify(userId)}` : `workflow "${workflowId}"`
      return new KernError(
        'CONFLICT',
        `session ${JSON.stringify(sessionId)} belongs to ${owner}: give another sessionId`,
        { sessionId },
      )
    }
    case 'busy': {
      const { runId, sessionId } = outcome.run
      return new KernError(
        'CONFLICT',
        `session ${JSON.stringify(sessionId)} is busy with run ${runId}, and onBusy is REJECT`,
        { runId, sessionId },
      )
    }
  }
}
