import { KernError } from '../../errors.ts'
import { SYSTEM_VIEWER } from '../../viewer.ts'
import type { RunRequest } from '../api.ts'
import type { AcceptedRun, CallerTransaction } from '../ownTransaction.ts'
import { refusal } from './acceptance.ts'
import { checkObject, invalid, servedWorkflow } from './checks.ts'
import type { CommandDeps } from './commandDeps.ts'
import { newRun } from './runCommand.ts'

/**
 * Accepts a run in a transaction of the caller: it exists from that one's commit on, and never if it is rolled back. Who
 * executes it learns of it from the database, at the commit or by the next look.
 *
 * @throws KernError as `runWorkflow` does; the transaction can go on after that
 */
export function createStartCommand(
  deps: CommandDeps,
): (request: RunRequest, tx: CallerTransaction) => Promise<AcceptedRun> {
  const { workflows, store } = deps
  return async (request, tx) => {
    if (request.onBusy === 'INTERRUPT') {
      throw invalid(['onBusy'], 'is "INTERRUPT", and tx is given: allowed are QUEUE and REJECT in a transaction')
    }
    const definition = servedWorkflow(workflows, request.workflowId)
    const { sessionState, ...rest } = request
    const outcome = await store.acceptIn(tx, {
      ...(await newRun(deps, SYSTEM_VIEWER, rest, definition)),
      // Whether it fits with the session's is seen when the run starts: nothing is read beside the transaction.
      stateGiven: checkObject('sessionState', sessionState, deps.limits),
    })
    switch (outcome.type) {
      case 'accepted':
      case 'repeated':
        return { ...outcome.run, repeated: outcome.type === 'repeated' }
      case 'other-database':
        throw new KernError(
          'INPUT_INVALID',
          'tx is a transaction on another database: allowed is one on the database of this Kern',
          { issues: [{ path: ['tx'], message: 'is on another database' }] },
        )
      default:
        throw refusal(outcome, request)
    }
  }
}
