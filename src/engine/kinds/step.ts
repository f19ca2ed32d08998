import { KernError } from '../../errors.ts'
import { copyJson, deepFreeze, isJsonObject, type Json, type JsonObject, jsonEquals, previewOf } from '../../json.ts'
import { withHistory } from '../../session/history.ts'
import { diffPatch } from '../../session/mergePatch.ts'
import type { History } from '../../workflow/context.ts'
import type { Schema, StepNode } from '../../workflow/definition.ts'
import { faultsText, validate } from '../../workflow/schemaCheck.ts'
import { backoffMs, runAttempt } from '../attempt.ts'
import {
  checkedJson,
  checkpoint,
  type Execution,
  type Flow,
  historyFor,
  historySettings,
  type NodeOutcome,
  type Place,
} from '../execution.ts'
import { describeFailure, StepFailure } from '../failure.ts'
import type { RunError, StepRecord } from '../records.ts'
import { openAttempt, type OpenAttempt } from '../stepContext.ts'
import { beginStep, closeAttempts, errorAsJson, nextAttempt, outcomeOf } from '../stepRecord.ts'

/** Runs a step: attempts until one succeeds or none is left, each recorded; a recorded result is taken as it is. */
export async function runStep(execution: Execution, node: StepNode, place: Place, input: Flow): Promise<NodeOutcome> {
  const recorded = execution.steps.get(place.path)
  if (recorded?.status === 'COMPLETED') return outcomeOf(recorded)
  if (recorded?.status === 'FAILED' && recorded.error) throw new StepFailure(recorded.error)
  checkpoint(execution)

  const settings = historySettings(execution.definition, node)
  const history = historyFor(execution, settings)
  let record = beginStep(execution, node, place, input, history.runs.length > 0)
  for (;;) {
    const result = await attemptOnce(execution, { node, record, input: input.value, history })
    if (result.type === 'completed') return complete(execution, record, result)
    record = await fail(execution, { node, record, error: result.error, thrown: result.thrown })
    checkpoint(execution)
    record = nextAttempt(execution, record)
  }
}

interface Completed {
  readonly type: 'completed'
  readonly output: Json
  readonly state: JsonObject
  readonly stopsRun: boolean
}

type AttemptOutcome = Completed | { readonly type: 'failed'; readonly error: RunError; readonly thrown: unknown }

interface AttemptInput {
  readonly node: StepNode
  readonly record: StepRecord
  readonly input: Json | undefined
  readonly history: History
}

async function attemptOnce(
  execution: Execution,
  { node, record, input, history }: AttemptInput,
): Promise<AttemptOutcome> {
  const { path } = record
  const attempt = record.attempts.length
  let opened: OpenAttempt | undefined
  const result = await runAttempt({
    clock: execution.clock,
    signal: execution.signal,
    timeoutMs: node.timeoutMs,
    graceMs: execution.graceMs,
    // The schemas are an author's code too: their checks have no more time than the function itself.
    body: async (signal) => {
      const given = await givenTo(execution, { node, record, input, history })
      opened = openAttempt(execution, { path, attempt, ...given, history, signal })
      const returned = await outcomeOfBody(node, opened)
      return await checkedResult(execution, { node, path, opened, returned })
    },
  })
  opened?.close()
  switch (result.type) {
    case 'returned':
      return result.value
    case 'threw':
      return { type: 'failed', thrown: result.error, error: describeFailure(result.error, path) }
    case 'aborted':
      // The attempt stays open in the record: whoever ends the run closes it, or the next process finds it interrupted.
      checkpoint(execution)
      throw new KernError('INTERNAL', `attempt ${attempt} of step "${path}" ended without a result`)
  }
}

/** What the author's function returned; nothing, if it called `stop`, however it ended after that. */
async function outcomeOfBody(node: StepNode, opened: OpenAttempt): Promise<unknown> {
  try {
    return await node.run(opened.context)
  } catch (error) {
    if (opened.stopped()) return undefined
    throw error
  }
}

interface Returned {
  readonly node: StepNode
  readonly path: string
  readonly opened: OpenAttempt
  readonly returned: unknown
}

/** The result of an attempt, once state and output fit their schemas and can be stored. @throws KernError */
async function checkedResult(execution: Execution, { node, path, opened, returned }: Returned): Promise<Completed> {
  const state = opened.state()
  await checkState(execution, node, state)
  const stopped = opened.stopped()
  if (stopped) return { type: 'completed', output: checkedJson(execution, stopped.output), state, stopsRun: true }
  const { value } = await check(node.output, returned, `output of step "${path}"`, 'OUTPUT_INVALID')
  return { type: 'completed', output: checkedJson(execution, value), state, stopsRun: false }
}

interface Given {
  readonly input: unknown
  readonly state: JsonObject
}

/** What the body gets: input and state as the step's own schemas give them. @throws KernError */
async function givenTo(execution: Execution, { node, record, input, history }: AttemptInput): Promise<Given> {
  const own = input === undefined ? undefined : copyJson(input)
  const { value } = await check(node.input, own, `input of step "${record.path}"`, 'INPUT_INVALID')
  const given = { input: typeof value === 'string' ? withHistory(value, history.text) : value }
  if (!node.state) return { ...given, state: execution.state }
  const what = `state of session "${execution.run.sessionId}"`
  const parsed = await check(node.state, copyJson(execution.state), what, 'STATE_INVALID')
  const state = checkedJson(execution, parsed.value)
  if (isJsonObject(state)) return { ...given, state: deepFreeze(state) }
  throw new KernError(
    'STATE_INVALID',
    `the state schema of step "${record.path}" gives something that is not an object`,
  )
}

async function checkState(execution: Execution, node: StepNode, state: JsonObject): Promise<void> {
  if (state === execution.state) return
  await check(execution.definition.state, state, `state of session "${execution.run.sessionId}"`, 'STATE_INVALID')
  await check(node.state, state, `state of session "${execution.run.sessionId}"`, 'STATE_INVALID')
}

type CheckCode = 'INPUT_INVALID' | 'OUTPUT_INVALID' | 'STATE_INVALID'

async function check(
  schema: Schema | null,
  value: unknown,
  what: string,
  code: CheckCode,
): Promise<{ readonly value: unknown }> {
  const result = await validate(schema, value)
  if (!('issues' in result)) return result
  throw new KernError(code, `the ${what} does not fit its schema: ${faultsText(result.issues)}`, {
    issues: result.issues,
  })
}

/** Records the result, with the state that goes with it, and waits until both are durable. */
async function complete(execution: Execution, running: StepRecord, result: Completed): Promise<NodeOutcome> {
  const completedAt = execution.clock.now()
  const changed = !jsonEquals(result.state, execution.state)
  const record: StepRecord = {
    ...running,
    status: 'COMPLETED',
    output: result.output,
    outputPreview: previewOf(result.output),
    statePatch: changed ? diffPatch(execution.state, result.state) : undefined,
    stopsRun: result.stopsRun,
    attempts: closeAttempts(running.attempts, completedAt, null),
    completedAt,
  }
  await execution.recorder.commit({
    steps: [record],
    events: [
      ...(changed ? [{ type: 'STATE_CHANGED' as const, stepPath: record.path, data: record.statePatch }] : []),
      { type: 'STEP_COMPLETED', stepPath: record.path },
    ],
    ...(changed ? { state: result.state } : {}),
  })
  execution.steps.set(record.path, record)
  execution.state = result.state
  return outcomeOf(record)
}

interface Failing {
  readonly node: StepNode
  readonly record: StepRecord
  readonly error: RunError
  readonly thrown: unknown
}

/** Records a failed attempt and waits until the next one is due. @throws StepFailure if none is left */
async function fail(execution: Execution, { node, record: running, error, thrown }: Failing): Promise<StepRecord> {
  const at = execution.clock.now()
  const attempts = closeAttempts(running.attempts, at, error)
  const failures = attempts.filter((attempt) => attempt.error !== null && attempt.error.code !== 'INTERRUPTED').length
  if (failures >= node.retry.maxAttempts || !error.retryable || !accepted(node, thrown)) {
    const record: StepRecord = { ...running, status: 'FAILED', attempts, error, completedAt: at }
    execution.steps.set(record.path, record)
    await execution.recorder.commit({
      steps: [record],
      events: [{ type: 'STEP_FAILED', stepPath: record.path, data: errorAsJson(error) }],
    })
    throw new StepFailure(error)
  }
  const delayMs = backoffMs(node.retry, failures, execution.random())
  const record: StepRecord = { ...running, status: 'RETRYING', attempts }
  execution.steps.set(record.path, record)
  const data = { attempt: attempts.length, delayMs, error: errorAsJson(error) }
  await execution.recorder.commit({ steps: [record], events: [{ type: 'STEP_RETRYING', stepPath: record.path, data }] })
  await pause(execution, delayMs)
  return record
}

/** Asks the author's own filter; one that throws counts as "no". */
function accepted(node: StepNode, thrown: unknown): boolean {
  try {
    return node.retry.retryIf?.(thrown) ?? true
  } catch {
    return false
  }
}

async function pause(execution: Execution, ms: number): Promise<void> {
  const either = AbortSignal.any([execution.signal, execution.draining])
  try {
    await execution.clock.sleep(ms, either)
  } catch (error) {
    checkpoint(execution)
    throw error
  }
}
