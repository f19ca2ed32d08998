import { KernError, shown } from '../errors.ts'
import { deepFreeze, isJsonObject, type Json, type JsonObject } from '../json.ts'
import { mergePatch } from '../session/mergePatch.ts'
import type { History, ReadContext, StepContext } from '../workflow/context.ts'
import { checkedJson, type Scope } from './execution.ts'
import { outputFor } from './outputs.ts'

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

/** What a function of an author's is given besides what is the same for all of a branch. */
export interface Reading {
  /** The path that `stepPath` tells. */
  readonly path: string
  /** Whose earlier outputs it may read, if that is another: the iteration that it looks back on. */
  readonly reader?: string
  readonly input: unknown
  readonly state: JsonObject
  readonly history: History
  readonly signal: AbortSignal
}

/** What every function of an author's is given. */
export function readContext(scope: Scope, { path, reader = path, ...given }: Reading): ReadContext {
  const { run } = scope.execution
  return {
    ...given,
    runInput: scope.runInput,
    // The caller's type is that of the step's own definition, whose output was checked before it was recorded.
    outputOf: <Output>(step: unknown) => outputFor(scope.execution, step, reader) as Output,
    runId: run.runId,
    sessionId: run.sessionId,
    userId: run.userId,
    stepPath: path,
  }
}

export interface AttemptScope extends Omit<Reading, 'reader'> {
  readonly attempt: number
}

/** Thrown by `stop`, so that nothing after it is executed. */
class StopSignal extends Error {}

export function openAttempt(scope: Scope, { attempt, ...reading }: AttemptScope): OpenAttempt {
  const { execution } = scope
  const { run } = execution
  const { path } = reading
  let state = scope.state.state
  // What the body sees: the same, with what the step's own schema adds, which is not recorded.
  let seen = reading.state
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
    ...readContext(scope, reading),
    attempt,
    idempotencyKey: `${run.runId}:${path}`,
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
