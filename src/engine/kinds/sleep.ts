import type { SleepNode } from '../../workflow/definition.ts'
import { checkpoint, type NodeOutcome, pause, type Scope, timeUntil } from '../execution.ts'
import { beginStep, commitStep, type Placed, recordedOutcome } from '../stepRecord.ts'
import { completedWait, expiry, nextWait } from '../waits.ts'

/** Waits for a time that begins when it is recorded, and goes on while nobody executes the run. */
export async function runSleep(scope: Scope, placed: Placed<SleepNode>): Promise<NodeOutcome> {
  const { node, place, input } = placed
  const { execution } = scope
  const outcome = recordedOutcome(execution.steps.get(place.path))
  // The output was stored, but is the same as the input.
  if (outcome) return outcome
  checkpoint(scope)
  if (!execution.steps.get(place.path)?.pending) {
    const begun = beginStep(execution, placed)
    const at = execution.clock.now()
    const expiresAt = new Date(at.getTime() + node.durationMs)
    await commitStep(execution, { ...begun, pending: nextWait(begun, { at, reason: 'time', expiresAt }) }, [])
  }
  const sleeping = execution.steps.get(place.path)
  const until = sleeping ? expiry(sleeping) : null
  if (!sleeping || !until) throw new Error(`step ${place.path} sleeps without an end`)
  const left = timeUntil(execution, until)
  if (left > execution.parkMs) return { type: 'waiting', until, person: false }
  if (left > 0) await pause(scope, left)
  checkpoint(scope)
  await commitStep(execution, completedWait(execution, sleeping, input.value), [
    { type: 'STEP_COMPLETED', stepPath: place.path },
  ])
  return { type: 'done', flow: input }
}
