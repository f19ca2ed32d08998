import type { Commands } from '../api.ts'
import type { CommandDeps } from './commandDeps.ts'
import { checkText, noRun, visibleRun } from './checks.ts'
import { waitUntilSettled } from './waiting.ts'

/** What a cancel waits for longer than the grace time, so that it can tell the end of the run, in milliseconds. */
const CANCEL_MARGIN_MS = 2_000

/** Cancels a run, and waits for its end as long as its bodies may go on. */
export function createCancelCommand(deps: CommandDeps): Commands['cancelRun'] {
  const { store, readerFor, dispatcher, hub, clock, graceMs, closing } = deps
  return async (viewer, { runId, reason }) => {
    if (reason !== undefined) checkText('reason', reason, 1_000)
    const reader = readerFor(viewer)
    await visibleRun(reader, runId)
    const outcome = await store.cancel(runId, reason ?? null, clock.now())
    if (outcome.type === 'not-found') throw noRun(runId)
    const { run } = outcome
    if (outcome.type === 'over') return run
    const { sessionId, workflowId } = run
    hub.publish({ runId, sessionId, workflowId, settled: outcome.type === 'cancelled' })
    if (outcome.type === 'cancelled') {
      if (outcome.nextRunId !== null) dispatcher.offer(outcome.nextRunId)
      return run
    }
    // One that waited for a person or a time is executed by nobody: a worker has to take it to end it.
    if (outcome.owned) dispatcher.abort(runId, reason ?? null)
    else dispatcher.offer(runId)
    const timeoutMs = graceMs + CANCEL_MARGIN_MS
    return (await waitUntilSettled({ runId, reader, hub, clock, closing, timeoutMs }))?.run ?? run
  }
}
