import { KernError, shown } from '../errors.ts'
import type { Commands } from './api.ts'
import type { CommandDeps } from './commandDeps.ts'
import { checkRunId, checkText } from './checks.ts'
import { waitForEnd } from './waiting.ts'
import { createRunCommand } from './runCommand.ts'
import { createSessionCommands } from './sessionCommands.ts'

/** What a cancel waits for longer than the grace time, so that it can tell the end of the run, in milliseconds. */
const CANCEL_MARGIN_MS = 2_000

export function createCommands(deps: CommandDeps): Commands {
  return {
    ...createSessionCommands(deps),
    runWorkflow: createRunCommand(deps),
    async cancelRun(viewer, { runId, reason }) {
      const { store, readerFor, dispatcher, hub, clock, graceMs, closing } = deps
      checkRunId(runId)
      if (reason !== undefined) checkText('reason', reason, 1_000)
      const reader = readerFor(viewer)
      const missing = () => new KernError('NOT_FOUND', `there is no run ${shown(runId)}`)
      const [visible] = await reader.runs([runId])
      if (!visible) throw missing()
      const outcome = await store.cancel(runId, reason ?? null, clock.now())
      if (outcome.type === 'not-found') throw missing()
      const { run } = outcome
      if (outcome.type === 'over') return run
      hub.publish({ runId, sessionId: run.sessionId, workflowId: run.workflowId, over: outcome.type === 'cancelled' })
      if (outcome.type === 'cancelled') {
        if (outcome.nextRunId !== null) dispatcher.offer(outcome.nextRunId)
        return run
      }
      dispatcher.abort(runId, reason ?? null)
      return (await waitForEnd({ runId, reader, hub, clock, closing, timeoutMs: graceMs + CANCEL_MARGIN_MS })) ?? run
    },
  }
}
