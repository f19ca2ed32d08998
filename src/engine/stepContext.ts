import { KernError, shown } from '../errors.ts'
import { copyJson, deepFreeze, isJsonObject, type Json, type JsonObject } from '../json.ts'
import { mergePatch } from '../session/mergePatch.ts'
import type { History, StepContext } from '../workflow/context.ts'
import { checkedJson, type Execution, recordedOutput } from './execution.ts'

/** How many events of its own a run may add with `emit` and `log`. */
export const MAX_AUTHOR_EVENTS = 10_000

/** What an attempt is given, and what it leaves behind. */
export interface OpenAttempt {
  readonly context: StepContext
  /** The state as the attempt has changed it. */
  state(): JsonObject
  /** Set once the body called `stop`, whatever it did after. */
  stopped(): { readonly output: unknown } | null
  /** From now on nothing that the body does has an effect. */
  close(): void
}

export interface AttemptScope {
  readonly path: string
  readonly attempt: number
  /** The session's state as the step's own schema gives it. */
  readonly state: JsonObject
  readonly input: unknown
  readonly history: History
  readonly signal: AbortSignal
}

/** Thrown by `stop`, so that nothing after it is executed. */
class StopSignal extends Error {}

export function openAttempt(execution: Execution, scope: AttemptScope): OpenAttempt {
  const { run } = execution
  const { path, attempt } = scope
  let state = execution.state
  // What the body sees: the same, with what the step's own schema adds, which is not recorded.
  let seen = scope.state
  let stopped: { readonly output: unknown } | null = null
  let closed = false

  function assertOpen(call: string): void {
    if (!closed) return
    throw new KernError(
      'CANCELLED',
      `${call} was called by attempt ${attempt} of step "${path}" after that attempt was over`,
    )
  }

  function patched(target: JsonObject, patch: JsonObject): JsonObject {
    const result = checkedJson(execution, mergePatch(target, patch))
    return isJsonObject(result) ? deepFreeze(result) : target
  }

  function addEvent(type: 'LOG' | 'CUSTOM', name: string | undefined, data: Json | undefined): void {
    execution.authorEvents += 1
    if (execution.authorEvents > MAX_AUTHOR_EVENTS) {
      throw new KernError(
        'LIMIT_EXCEEDED',
        `run ${run.runId} has ${MAX_AUTHOR_EVENTS} events of its own: no more are allowed`,
        {
          limit: MAX_AUTHOR_EVENTS,
        },
      )
    }
    execution.recorder.note({ events: [{ type, stepPath: path, ...(name === undefined ? {} : { name }), data }] })
  }

  const context: StepContext = {
    input: scope.input,
    runInput: execution.runInput,
    state: seen,
    history: scope.history,
    signal: scope.signal,
    attempt,
    idempotencyKey: `${run.runId}:${path}`,
    runId: run.runId,
    sessionId: run.sessionId,
    userId: run.userId,
    stepPath: path,
    setState(patch) {
      assertOpen('setState')
      const value = checkedJson(execution, typeof patch === 'function' ? patch(seen) : patch)
      if (!isJsonObject(value)) {
        throw new KernError('STATE_INVALID', `setState got ${shown(value)}: allowed is an object, a JSON Merge Patch`)
      }
      const same = seen === state
      state = patched(state, value)
      seen = same ? state : patched(seen, value)
    },
    outputOf<Output>(step: unknown): Output {
      const output = recordedOutput(execution, step)
      if (output === undefined) {
        const { nodes, id } = execution.definition
        if (!nodes.some(({ node }) => node === step)) {
          throw new KernError('NOT_FOUND', `step ${nameOf(step)} is no part of workflow "${id}"`)
        }
        throw new KernError('NOT_FOUND', `step ${nameOf(step)} has no output in run ${run.runId} before step "${path}"`)
      }
      // The caller's type is that of the step's own definition, whose output was checked before it was recorded.
      return copyJson(output) as Output
    },
    stop(output): never {
      assertOpen('stop')
      stopped ??= { output }
      throw new StopSignal(`step "${path}" stopped the run`)
    },
    emit(name, data) {
      assertOpen('emit')
      if (typeof name !== 'string' || name === '' || name.length > 200) {
        throw new KernError('INPUT_INVALID', `emit got the name ${shown(name)}: allowed is text of 1 to 200 characters`)
      }
      checkedJson(execution, name)
      addEvent('CUSTOM', name, data === undefined ? undefined : checkedJson(execution, data))
    },
    log(message, options = {}) {
      assertOpen('log')
      const { level = 'info', data } = options
      addEvent('LOG', undefined, checkedJson(execution, { level, message, data }))
    },
  }

  return {
    context,
    state: () => state,
    stopped: () => stopped,
    close() {
      closed = true
    },
  }
}

function nameOf(step: unknown): string {
  return typeof step === 'object' && step !== null && 'name' in step ? `"${String(step.name)}"` : shown(step)
}
