import { KernError } from '../errors.ts'
import { copyJson, deepFreeze, isJsonObject, type Json, type JsonObject } from '../json.ts'
import { withHistory } from '../session/history.ts'
import type { History } from '../workflow/context.ts'
import type { WorkNode } from '../workflow/definition.ts'
import { addUsage } from './agent/usage.ts'
import { runAttempt } from './attempt.ts'
import { checked } from './checked.ts'
import { checkedJson, checkpoint, type Scope } from './execution.ts'
import { describeFailure } from './failure.ts'
import type { RunError, StepRecord, TokenUsage } from './records.ts'
import { openAttempt, type OpenAttempt } from './stepContext.ts'

/** What the body of an attempt has besides its context. */
export interface BodyTools {
  readonly history: History
  /** Tells a newer partial output, which must not change later. One that cannot be stored is left out. */
  readonly partial: (value: unknown) => void
  /** A copy of a value that can be stored. @throws KernError VALUE_NOT_STORABLE, VALUE_TOO_LARGE */
  readonly copy: (value: unknown) => Json
  /** Tells what a language model used, also if the attempt fails after that. */
  readonly used: (usage: TokenUsage) => void
  /** Whether the attempt is over, and nobody waits for the body any more. */
  readonly isOver: () => boolean
}

/** What a step does in an attempt. */
export type Body = (context: OpenAttempt['context'], tools: BodyTools) => Promise<unknown>

export interface Completed {
  readonly type: 'completed'
  readonly output: Json
  readonly state: JsonObject
  readonly stopsRun: boolean
  readonly usage: TokenUsage | null
}

export interface Failed {
  readonly type: 'failed'
  readonly error: RunError
  readonly thrown: unknown
  readonly usage: TokenUsage | null
}

export type AttemptOutcome = Completed | Failed

export interface AttemptInput {
  readonly node: WorkNode
  readonly record: StepRecord
  readonly input: Json | undefined
  readonly history: History
  readonly body: Body
}

/** Makes one attempt, and records nothing. @throws Interrupted if the branch is to stop */
export async function attemptOnce(scope: Scope, given: AttemptInput): Promise<AttemptOutcome> {
  const { execution } = scope
  const { node, record, history } = given
  const { path } = record
  const attempt = record.attempts.length
  let opened: OpenAttempt | undefined
  let over = false
  let usage: TokenUsage | null = null
  const tools: BodyTools = {
    history,
    partial: (value) => {
      if (!over) execution.partials.push(path, value)
    },
    copy: (value) => checkedJson(execution, value),
    used: (more) => {
      usage = addUsage(usage, more)
    },
    isOver: () => over,
  }
  const result = await runAttempt({
    clock: execution.clock,
    signal: scope.signal,
    timeoutMs: node.timeoutMs,
    graceMs: execution.graceMs,
    // The schemas are an author's code too: their checks have no more time than the function itself.
    body: async (signal) => {
      const { input, state } = await givenTo(scope, given)
      opened = openAttempt(scope, { path, attempt, input, state, history, signal })
      const returned = await outcomeOfBody(given.body, opened, tools)
      return await checkedResult(scope, { node, path, opened, returned })
    },
  })
  over = true
  opened?.close()
  switch (result.type) {
    case 'returned':
      return { ...result.value, usage }
    case 'threw':
      return { type: 'failed', thrown: result.error, error: describeFailure(result.error, path), usage }
    case 'aborted':
      // The attempt stays open in the record: whoever ends the branch closes it, or the next process finds it interrupted.
      checkpoint(scope)
      throw new KernError('INTERNAL', `attempt ${attempt} of step "${path}" ended without a result`)
  }
}

/** What the author's function returned; nothing, if it called `stop`, however it ended after that. */
async function outcomeOfBody(body: Body, opened: OpenAttempt, tools: BodyTools): Promise<unknown> {
  try {
    return await body(opened.context, tools)
  } catch (error) {
    if (opened.stopped()) return undefined
    throw error
  }
}

interface Returned {
  readonly node: WorkNode
  readonly path: string
  readonly opened: OpenAttempt
  readonly returned: unknown
}

/** The result of an attempt, once state and output fit their schemas and can be stored. @throws KernError */
async function checkedResult(
  scope: Scope,
  { node, path, opened, returned }: Returned,
): Promise<Omit<Completed, 'usage'>> {
  const { execution } = scope
  const state = opened.state()
  if (state !== scope.state.state) await checkState(scope, node, state)
  const stopped = opened.stopped()
  if (stopped) return { type: 'completed', output: checkedJson(execution, stopped.output), state, stopsRun: true }
  const value = await checked(node.output, returned, { what: `output of step "${path}"`, code: 'OUTPUT_INVALID' })
  return { type: 'completed', output: checkedJson(execution, value), state, stopsRun: false }
}

interface Given {
  readonly input: unknown
  readonly state: JsonObject
}

/** What the body gets: input and state as the step's own schemas give them. @throws KernError */
async function givenTo(scope: Scope, { node, record, input, history }: AttemptInput): Promise<Given> {
  const own = input === undefined ? undefined : copyJson(input)
  const value = await checked(node.input, own, { what: `input of step "${record.path}"`, code: 'INPUT_INVALID' })
  const text = node.kind === 'step' && typeof value === 'string' ? withHistory(value, history.text) : value
  const seen = scope.state.state
  if (!node.state) return { input: text, state: seen }
  const what = `state of session "${scope.execution.run.sessionId}"`
  const parsed = await checked(node.state, copyJson(seen), { what, code: 'STATE_INVALID' })
  const state = checkedJson(scope.execution, parsed)
  if (isJsonObject(state)) return { input: text, state: deepFreeze(state) }
  throw new KernError(
    'STATE_INVALID',
    `the state schema of step "${record.path}" gives something that is not an object`,
  )
}

/** @throws KernError STATE_INVALID if the state does not fit the schemas of the workflow and the step */
export async function checkState({ execution, definition }: Scope, node: WorkNode, state: JsonObject): Promise<void> {
  const what = `state of session "${execution.run.sessionId}"`
  await checked(execution.definition.state, state, { what, code: 'STATE_INVALID' })
  if (definition !== execution.definition) await checked(definition.state, state, { what, code: 'STATE_INVALID' })
  await checked(node.state, state, { what, code: 'STATE_INVALID' })
}
