import { KernError } from '../errors.ts'
import { type JsonObject, jsonEquals } from '../json.ts'
import { unlessAborted } from './abort.ts'
import { checkedJson, checkpoint, type Scope } from './execution.ts'
import { patched } from './stateView.ts'

export interface StateChange {
  /** Of the step that makes it. */
  readonly path: string
  readonly patch: JsonObject
  /** The state as this branch alone has made it, which was checked. */
  readonly own: JsonObject
  /** Checks the state as all branches together have made it. @throws KernError STATE_INVALID */
  readonly check: (state: JsonObject) => Promise<void>
  /** Hands the change over to be written, with the session's state as it is then. */
  readonly write: (merged: JsonObject) => Promise<void>
}

/**
 * Changes the session's state, if the change fits with what siblings have changed. Between the last look at it and the
 * change nothing is waited for: siblings that end at the same moment would else undo each other's changes.
 *
 * @returns why it does not fit: STATE_CONFLICT, STATE_INVALID, VALUE_TOO_LARGE; null if it was written
 */
export async function changeState(scope: Scope, change: StateChange): Promise<{ readonly refusal: unknown } | null> {
  const { execution } = scope
  const { path, patch } = change
  for (;;) {
    const before = execution.state
    const merged = patched(before, patch)
    try {
      assertNoConflict(scope, change)
      if (!jsonEquals(merged, change.own)) {
        checkedJson(execution, merged)
        await unlessAborted(scope.signal, change.check(merged))
      }
    } catch (refusal) {
      checkpoint(scope)
      return { refusal }
    }
    if (execution.state !== before) continue
    execution.state = merged
    execution.patches.push({ path, patch, reused: false })
    scope.state.apply(path, patch)
    await change.write(merged)
    return null
  }
}

function assertNoConflict({ state }: Scope, { path, patch }: StateChange): void {
  const conflict = state.conflict(path, patch)
  if (!conflict) return
  throw new KernError(
    'STATE_CONFLICT',
    `steps "${conflict.path}" and "${path}" stand beside each other and set "${conflict.keys.join('.')}" of the state to different values`,
  )
}
