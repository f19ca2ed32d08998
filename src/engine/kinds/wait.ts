import { isKernError, KernError } from '../../errors.ts'
import type { Json } from '../../json.ts'
import type { WaitNode } from '../../workflow/definition.ts'
import { answerTo } from '../answers.ts'
import { checked } from '../checked.ts'
import { consult } from '../decision.ts'
import { checkedJson, checkpoint, type NodeOutcome, type Scope, timeUntil } from '../execution.ts'
import { describeFailure, StepFailure } from '../failure.ts'
import type { RunError, StepRecord } from '../records.ts'
import { beginStep, closeAttempts, commitStep, errorAsJson, type Placed, recordedOutcome } from '../stepRecord.ts'
import { completedWait, expiry, nextWait } from '../waits.ts'

/** Waits until a person has answered, or until the time for that is over. */
export async function runWait(scope: Scope, placed: Placed<WaitNode>): Promise<NodeOutcome> {
  const { path } = placed.place
  const { execution } = scope
  const outcome = recordedOutcome(execution.steps.get(path))
  if (outcome) return outcome
  checkpoint(scope)
  const recorded = execution.steps.get(path)
  const waiting = recorded?.status === 'PAUSED' ? recorded : await ask(scope, placed, recorded)
  const answer = answerTo(waiting)
  if (answer) return await answered(scope, { placed, waiting, data: answer.data ?? null })
  const until = expiry(waiting)
  if (!until || timeUntil(execution, until) > 0) return { type: 'waiting', until, person: true }
  // An answer that was accepted in time, and not read yet, comes before the end of the time.
  await execution.answers.refresh()
  const asked = execution.steps.get(path) ?? waiting
  const late = answerTo(asked)
  if (late) return await answered(scope, { placed, waiting: asked, data: late.data ?? null })
  return await timedOut(scope, placed, waiting)
}

/** Asks the person: the question is recorded, with the time until which it stands. */
async function ask(scope: Scope, placed: Placed<WaitNode>, recorded: StepRecord | undefined): Promise<StepRecord> {
  const { execution } = scope
  const { node, place } = placed
  const begun = recorded?.attempts.length ? recorded : beginStep(execution, placed)
  const prompt = await promptOf(scope, placed).catch(async (error: unknown) => {
    throw error instanceof StepFailure ? await fail(scope, begun, error.failure) : error
  })
  const at = execution.clock.now()
  const expiresAt = node.timeoutMs === null ? null : new Date(at.getTime() + node.timeoutMs)
  const pending = nextWait(begun, { at, reason: 'input', prompt, expiresAt })
  const waiting: StepRecord = { ...begun, status: 'PAUSED', pending }
  const data = { reason: 'input', prompt, expiresAt: pending.expiresAt }
  await commitStep(execution, waiting, [{ type: 'STEP_PAUSED', stepPath: place.path, data }])
  // An answer may have been read while that was on its way.
  return execution.steps.get(place.path) ?? waiting
}

/** @throws StepFailure */
async function promptOf(scope: Scope, { node: { prompt }, place, input }: Placed<WaitNode>): Promise<string> {
  if (typeof prompt === 'string') return prompt
  return await consult(scope, {
    place,
    input,
    ask: async (context) => {
      const text = checkedJson(scope.execution, await prompt(context))
      if (typeof text === 'string') return text
      throw new KernError('OUTPUT_INVALID', `the prompt function of step "${place.path}" gave no text`)
    },
  })
}

interface Answering {
  readonly placed: Placed<WaitNode>
  readonly waiting: StepRecord
  readonly data: Json
}

async function answered(scope: Scope, { placed, waiting, data }: Answering): Promise<NodeOutcome> {
  const { node, place, input } = placed
  const output = node.kind === 'approval' ? approvalOf(data, input.value) : data
  const record = completedWait(scope.execution, waiting, output)
  await commitStep(scope.execution, record, [{ type: 'STEP_COMPLETED', stepPath: place.path }])
  return { type: 'done', flow: { value: output, source: `step:${place.path}` } }
}

/** What comes after an approval is given the input of it too. */
function approvalOf(answer: Json, input: Json | undefined): Json {
  const said = typeof answer === 'object' && answer !== null && !Array.isArray(answer) ? answer : { approved: answer }
  return input === undefined ? said : { ...said, input }
}

/** Nobody answered in time: the answer that the author gave for that counts, or the step fails. */
async function timedOut(scope: Scope, placed: Placed<WaitNode>, waiting: StepRecord): Promise<NodeOutcome> {
  const { node, place } = placed
  if (node.onTimeout === null) {
    const text = `nobody answered step "${place.path}" within its timeout of ${node.timeoutMs} ms`
    throw await fail(scope, waiting, describeFailure(new KernError('STEP_TIMEOUT', text), place.path))
  }
  try {
    return await answered(scope, { placed, waiting, data: await defaultOf(scope, placed) })
  } catch (error) {
    throw isKernError(error, 'OUTPUT_INVALID') ? await fail(scope, waiting, describeFailure(error, place.path)) : error
  }
}

async function defaultOf(scope: Scope, { node, place }: Placed<WaitNode>): Promise<Json> {
  if (node.kind === 'approval') return { approved: node.onTimeout ?? false }
  const what = `onTimeout of step "${place.path}"`
  const value = await checked(node.schema, node.onTimeout?.data, { what, code: 'OUTPUT_INVALID' })
  return checkedJson(scope.execution, value)
}

async function fail({ execution }: Scope, record: StepRecord, error: RunError): Promise<StepFailure> {
  const completedAt = execution.clock.now()
  const attempts = closeAttempts(record.attempts, completedAt, error)
  await commitStep(execution, { ...record, status: 'FAILED', attempts, error, completedAt }, [
    { type: 'STEP_FAILED', stepPath: record.path, data: errorAsJson(error) },
  ])
  return new StepFailure(error)
}
