import { KernError } from '../../errors.ts'
import type { RunRequest } from '../api.ts'
import type { CommandDeps } from './commandDeps.ts'
import type { AcceptOutcome } from './commandStore.ts'
import type { RunRecord } from '../records.ts'

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
    case 'key-conflict':
      throw new KernError(
        'CONFLICT',
        `idempotencyKey "${asked.idempotencyKey}" was used before, for run ${outcome.run.runId}, with another workflow, input or session`,
        { runId: outcome.run.runId },
      )
    case 'session-conflict': {
      const { sessionId, workflowId, userId } = outcome.session
      const owner = workflowId === asked.workflowId ? `user ${JSON.stringify(userId)}` : `workflow "${workflowId}"`
      throw new KernError(
        'CONFLICT',
        `session ${JSON.stringify(sessionId)} belongs to ${owner}: give another sessionId`,
        { sessionId },
      )
    }
    case 'busy': {
      const { runId, sessionId } = outcome.run
      throw new KernError(
        'CONFLICT',
        `session ${JSON.stringify(sessionId)} is busy with run ${runId}, and onBusy is REJECT`,
        { runId, sessionId },
      )
    }
  }
}
