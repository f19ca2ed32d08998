import { type JsonObject, jsonEquals, previewOf } from '../json.ts'
import { diffPatch } from '../session/mergePatch.ts'
import type { WorkNode } from '../workflow/definition.ts'
import { addUsage } from './agent/usage.ts'
import { checkState, type Completed, type Failed } from './attemptOnce.ts'
import type { Scope } from './execution.ts'
import { describeFailure } from './failure.ts'
import type { Change, NewEvent } from './recorder.ts'
import type { StepRecord } from './records.ts'
import { changeState } from './stateChange.ts'
import { closeAttempts } from './stepRecord.ts'

export interface Resulting {
  readonly node: WorkNode
  readonly running: StepRecord
  readonly result: Completed
}

/**
 * Records the result of an attempt, with the state that goes with it, and waits until both are durable.
 *
 * @returns how the attempt failed, if its change of the state does not fit with those of its siblings; else null
 */
export async function recordResult(scope: Scope, { node, running, result }: Resulting): Promise<Failed | null> {
  const { path } = running
  const seen = scope.state.state
  if (jsonEquals(result.state, seen)) {
    await commitResult(scope, { running, result }, null)
    return null
  }
  const patch = diffPatch(seen, result.state)
  const refused = await changeState(scope, {
    path,
    patch,
    own: result.state,
    check: (state) => checkState(scope, node, state),
    write: (state) => commitResult(scope, { running, result }, { patch, state }),
  })
  if (!refused) return null
  const { refusal: thrown } = refused
  return { type: 'failed', thrown, error: describeFailure(thrown, path), usage: result.usage }
}

/**
 * Records the result. With a change of the state, or after partial outputs, which end with it, it waits until that is
 * durable; else those wait who come after it.
 */
async function commitResult(
  { execution }: Scope,
  { running, result }: Pick<Resulting, 'running' | 'result'>,
  change: { readonly patch: JsonObject; readonly state: JsonObject } | null,
): Promise<void> {
  const { path } = running
  const completedAt = execution.clock.now()
  const record: StepRecord = {
    ...running,
    status: 'COMPLETED',
    output: result.output,
    outputPreview: previewOf(result.output),
    partialOutput: undefined,
    error: null,
    statePatch: change?.patch,
    usage: addUsage(running.usage, result.usage),
    stopsRun: result.stopsRun,
    attempts: closeAttempts(running.attempts, completedAt, null),
    completedAt,
  }
  execution.steps.set(path, record)
  const changed: NewEvent[] = change ? [{ type: 'STATE_CHANGED', stepPath: path, data: change.patch }] : []
  const recorded: Change = {
    steps: [record],
    events: [...changed, { type: 'STEP_COMPLETED', stepPath: path }],
    ...(change ? { state: change.state } : {}),
  }
  if (change || execution.partials.isOpen(path)) await execution.recorder.commit(recorded)
  else execution.recorder.defer(recorded)
}
