import { type InputIssue, KernError, shown } from '../../errors.ts'
import { isJsonObject, type Json } from '../../json.ts'
import type { Viewer } from '../../viewer.ts'
import type { WaitNode } from '../../workflow/definition.ts'
import { definitionPathOf } from '../../workflow/nodes.ts'
import { type Checked, faultsText, validate } from '../../workflow/schemaCheck.ts'
import type { Commands, ResumeRequest } from '../api.ts'
import { checkValue, invalid, noRun, servedWorkflow, visibleRun } from './checks.ts'
import type { CommandDeps } from './commandDeps.ts'
import type { AnswerRequest } from './commandStore.ts'
import { type PendingWait, RESUME_ACTIONS, type ResumeAction, type RunRecord, type StepSummary } from '../records.ts'

/** Answers a step that waits for a person, and lets the run go on. */
export function createResumeCommand(deps: CommandDeps): Commands['resumeRun'] {
  const { store, readerFor, dispatcher, hub } = deps
  return async (viewer, request) => {
    const { runId } = request
    const reader = readerFor(viewer)
    const run = await visibleRun(reader, runId)
    const [steps = []] = await reader.stepSummaries([runId])
    const waiting = waitOf(run, steps, request.stepPath)
    const outcome = await store.answer(await answerRequest(deps, viewer, { request, run, waiting }))
    if (outcome.type === 'not-found') throw noRun(runId)
    if (outcome.type === 'not-waiting') {
      const text = `step ${shown(waiting.path)} of run ${runId}, which is ${outcome.run.status}, was answered already, or its time is over`
      throw new KernError('CONFLICT', text, { runId })
    }
    const { sessionId, workflowId } = run
    hub.publish({ runId, sessionId, workflowId, settled: false })
    if (outcome.parked) dispatcher.offer(runId)
    else dispatcher.answered(runId)
    return outcome.run
  }
}

/** A step that waits for a person. */
interface Waiting {
  readonly path: string
  readonly pending: PendingWait
}

/** The step that is to be answered: the only one that waits, where none is named. @throws KernError CONFLICT, INPUT_INVALID */
function waitOf({ runId, status }: RunRecord, steps: readonly StepSummary[], stepPath: string | undefined): Waiting {
  const waits = steps.flatMap((step): Waiting[] => {
    const { path, pending, answer } = step
    return step.status === 'PAUSED' && pending && answer?.number !== pending.number ? [{ path, pending }] : []
  })
  const [first] = waits
  if (!first) {
    throw new KernError('CONFLICT', `no step of run ${runId}, which is ${status}, waits for an answer`, { runId })
  }
  const paths = waits.map(({ path }) => shown(path)).join(', ')
  if (stepPath === undefined) {
    if (waits.length === 1) return first
    throw invalid(['stepPath'], `is missing, and ${waits.length} steps of run ${runId} wait: allowed are ${paths}`)
  }
  const named = waits.find(({ path }) => path === stepPath)
  if (named) return named
  const text = `step ${shown(stepPath)} of run ${runId} does not wait for an answer: what waits is ${paths}`
  throw new KernError('CONFLICT', text, { runId })
}

interface Answering {
  readonly request: ResumeRequest
  readonly run: RunRecord
  readonly waiting: Waiting
}

async function answerRequest(deps: CommandDeps, viewer: Viewer, answering: Answering): Promise<AnswerRequest> {
  const { request, run, waiting } = answering
  const action = checkAction(waiting, request.action)
  const data = await checkData(deps, answering, action)
  const at = deps.clock.now()
  const { number } = waiting.pending
  const answer = {
    number,
    action,
    at: at.toISOString(),
    userId: viewer.userId,
    ...(data === undefined ? {} : { data }),
  }
  return { runId: run.runId, path: waiting.path, answer, at }
}

/** @throws KernError INPUT_INVALID for what cannot be said to a wait of this kind */
function checkAction({ path, pending }: Waiting, given: ResumeAction | undefined): ResumeAction {
  const action = given ?? 'CONTINUE'
  const forError = pending.reason === 'error'
  const allowed = RESUME_ACTIONS.filter((known) => (known === 'CONTINUE') !== forError)
  if (allowed.includes(action)) return action
  const waits = forError ? 'has failed and waits for a decision' : 'waits for data'
  const said = given === undefined ? 'is missing' : `is ${shown(given)}`
  throw invalid(['action'], `${said}: step ${shown(path)} ${waits}, allowed is ${allowed.join(', ')}`)
}

/** The data as the step's schema gives it; undefined with any action but CONTINUE. @throws KernError INPUT_INVALID, CONFLICT */
async function checkData(
  deps: CommandDeps,
  { request, run, waiting: { path } }: Answering,
  action: ResumeAction,
): Promise<Json | undefined> {
  const given = checkValue('data', request.data, deps.limits)
  if (action !== 'CONTINUE') {
    if (given === undefined) return undefined
    throw invalid(['data'], `is ${shown(given)}: allowed is none with action ${action}`)
  }
  if (given === undefined) throw invalid(['data'], `is missing: step ${shown(path)} waits for it`)
  const node = waitNodeOf(deps, run, path)
  const result = node.kind === 'approval' ? approvalOf(given) : await validate(node.schema, given)
  if ('issues' in result) throw unfit(path, result.issues)
  // What a schema gives may be anything. It is checked like what a caller gives: nothing else can be stored.
  const data = checkValue('data', result.value as Json | undefined, deps.limits)
  if (data !== undefined) return data
  throw invalid(['data'], `is ${shown(given)}: the schema of step ${shown(path)} makes undefined of it`)
}

/** @throws KernError NOT_FOUND for a workflow that is not served, CONFLICT for a step that is not there any more */
function waitNodeOf({ workflows }: CommandDeps, run: RunRecord, path: string): WaitNode {
  const definition = servedWorkflow(workflows, run.workflowId)
  const node = definition.nodes.find((placed) => placed.path === definitionPathOf(path))?.node
  if (node?.kind === 'approval' || node?.kind === 'input') return node
  throw new KernError(
    'CONFLICT',
    `run ${run.runId} was started with version ${run.workflowVersion} of workflow "${definition.id}" and waits at step ${shown(path)}, where version ${definition.version} has nothing that waits for data`,
    { runId: run.runId },
  )
}

const APPROVAL_KEYS: readonly string[] = ['approved', 'comment']

function approvalOf(data: Json): Checked {
  if (!isJsonObject(data)) {
    return { issues: [{ path: [], message: `is ${shown(data)}: allowed is an object with approved and comment` }] }
  }
  const issues: InputIssue[] = []
  const { approved, comment } = data
  if (typeof approved !== 'boolean') {
    const received = approved === undefined ? 'missing' : shown(approved)
    issues.push({ path: ['approved'], message: `is ${received}: allowed are true and false` })
  }
  if (comment !== undefined && typeof comment !== 'string') {
    issues.push({ path: ['comment'], message: `is ${shown(comment)}: allowed is text, or no comment` })
  }
  for (const key of Object.keys(data)) {
    if (!APPROVAL_KEYS.includes(key))
      issues.push({ path: [key], message: 'is not known: allowed are approved and comment' })
  }
  return issues.length > 0 ? { issues } : { value: data }
}

function unfit(path: string, found: readonly InputIssue[]): KernError {
  const issues = found.map((issue) => ({ path: ['data', ...issue.path], message: issue.message }))
  return new KernError('INPUT_INVALID', `the answer does not fit step ${shown(path)}: ${faultsText(issues)}`, {
    issues,
  })
}
