import type { History } from '../workflow/context.ts'
import type { WorkNode } from '../workflow/definition.ts'
import { addUsage } from './agent/usage.ts'
import { answerTo } from './answers.ts'
import { type AttemptOutcome, attemptOnce, type Body } from './attemptOnce.ts'
import { backoffMs } from './attempt.ts'
import { checkpoint, type NodeOutcome, pause, type Scope, timeUntil } from './execution.ts'
import { StepFailure } from './failure.ts'
import { historyFor } from './nodeHistory.ts'
import { isReused, type PendingWait, type RunError, type StepRecord } from './records.ts'
import { recordResult } from './result.ts'
import {
  beginStep,
  closeAttempts,
  commitStep,
  errorAsJson,
  nextAttempt,
  type Placed,
  recordedOutcome,
} from './stepRecord.ts'
import { expiry, nextWait } from './waits.ts'

/** A node that does work of its own. */
export interface Work extends Placed<WorkNode> {
  readonly body: Body
}

/** Runs a step: attempts until one succeeds or none is left, each recorded; a recorded result is taken as it is. */
export async function runWork(scope: Scope, work: Work): Promise<NodeOutcome> {
  const { node, place, input } = work
  const { execution } = scope
  const history = historyFor(scope, node)
  const before = execution.steps.get(place.path)
  if (before?.statePatch && !isReused(before)) scope.state.apply(place.path, before.statePatch)
  for (;;) {
    const recorded = execution.steps.get(place.path)
    const outcome = recordedOutcome(recorded)
    if (outcome) return outcome
    checkpoint(scope)
    const waiting = recorded && (await beforeNextAttempt(scope, work, recorded))
    if (waiting) return waiting
    await execution.recorder.durable()
    checkpoint(scope)
    const running = recorded
      ? nextAttempt(execution, recorded)
      : beginStep(execution, { node, place, input }, history.runs.length > 0)
    await tryOnce(scope, work, { running, history })
  }
}

/** What stands between a step that has failed and its next attempt: the outcome of the node for now, or nothing. */
async function beforeNextAttempt(scope: Scope, work: Work, recorded: StepRecord): Promise<NodeOutcome | null> {
  if (recorded.status === 'PAUSED') return await asAnswered(scope, work, recorded)
  const until = recorded.status === 'RETRYING' ? expiry(recorded) : null
  const left = until ? timeUntil(scope.execution, until) : 0
  if (left > scope.execution.parkMs) return { type: 'waiting', until, person: false }
  if (left > 0) await pause(scope, left)
  checkpoint(scope)
  return null
}

async function asAnswered(scope: Scope, work: Work, paused: StepRecord): Promise<NodeOutcome | null> {
  const answer = answerTo(paused)
  if (!answer) return { type: 'waiting', until: null, person: true }
  if (answer.action === 'RETRY' || !paused.error) return null
  if (answer.action === 'SKIP') return await skip(scope, work, { record: paused, error: paused.error })
  throw await failed(scope, paused, paused.error)
}

interface Trying {
  readonly running: StepRecord
  readonly history: History
}

/** Makes one attempt and records what came of it; what that means is for the caller to read from the record. */
async function tryOnce(scope: Scope, work: Work, { running, history }: Trying): Promise<void> {
  const { partials, cautious, recorder } = scope.execution
  const { node, input, body } = work
  // A body may end its process at once: whoever counts the deaths is to see in which step.
  if (cautious) await recorder.commit({})
  const tried = await attemptOnce(scope, { node, record: running, input: input.value, history, body })
  const outcome = tried.type === 'completed' ? await recordResult(scope, { node, running, result: tried }) : tried
  try {
    if (outcome) await afterFailure(scope, work, { running, outcome })
  } finally {
    partials.end(running.path)
  }
}

interface Failing {
  readonly running: StepRecord
  readonly outcome: Extract<AttemptOutcome, { type: 'failed' }>
}

/** Records a failed attempt, and that the step is to be tried again, is skipped, or waits. @throws StepFailure */
async function afterFailure(scope: Scope, work: Work, { running, outcome }: Failing): Promise<void> {
  const { execution } = scope
  const { clock, random, partials } = execution
  const { error, thrown, usage } = outcome
  const at = clock.now()
  const record: StepRecord = {
    ...running,
    attempts: closeAttempts(running.attempts, at, error),
    partialOutput: partials.newest(running.path) ?? running.partialOutput,
    usage: addUsage(running.usage, usage),
  }
  const failures = failuresSince(record)
  // What contradicts a sibling does so however often it is tried, and nothing may go on as if it did not.
  if (error.code === 'STATE_CONFLICT') throw await failed(scope, record, error)
  if (failures < work.node.retry.maxAttempts && error.retryable && accepted(work.node, thrown)) {
    const delayMs = backoffMs(work.node.retry, failures, random())
    const pending = nextWait(record, { at, reason: 'time', expiresAt: new Date(at.getTime() + delayMs) })
    const data = { attempt: record.attempts.length, delayMs, error: errorAsJson(error) }
    await commitStep(execution, { ...record, status: 'RETRYING', pending: sameSeries(pending, running) }, [
      { type: 'STEP_RETRYING', stepPath: record.path, data },
    ])
  } else if (work.node.onError === 'skip') await skip(scope, work, { record, error })
  else if (work.node.onError === 'pause') {
    const prompt = `Step "${record.path}" failed: ${error.message}`
    const pending = nextWait(record, { at, reason: 'error', prompt })
    const data = { reason: 'error', prompt, expiresAt: null, error: errorAsJson(error) }
    await commitStep(execution, { ...record, status: 'PAUSED', error, pending }, [
      { type: 'STEP_PAUSED', stepPath: record.path, data },
    ])
  } else throw await failed(scope, record, error)
}

/** How often the step has failed since a person last sent it on. What was cut off did not fail. */
function failuresSince({ attempts, pending }: StepRecord): number {
  const tried = attempts.slice(pending?.attempts ?? 0)
  return tried.filter(({ error }) => error !== null && error.code !== 'INTERRUPTED').length
}

/** The wait before a retry does not begin a new series of attempts; that after a person's answer does. */
function sameSeries(pending: PendingWait, { pending: before }: StepRecord): PendingWait {
  return { ...pending, attempts: before?.attempts ?? 0 }
}

/** Asks the author's own filter; one that throws counts as "no". */
function accepted(node: WorkNode, thrown: unknown): boolean {
  try {
    return node.retry.retryIf?.(thrown) ?? true
  } catch {
    return false
  }
}

interface Ended {
  readonly record: StepRecord
  readonly error: RunError
}

/** The step is left out: what comes after it gets its input. */
async function skip({ execution }: Scope, { input }: Work, { record, error }: Ended): Promise<NodeOutcome> {
  const completedAt = execution.clock.now()
  await commitStep(execution, { ...record, status: 'SKIPPED', error, completedAt }, [
    { type: 'STEP_SKIPPED', stepPath: record.path, data: errorAsJson(error) },
  ])
  return { type: 'done', flow: input }
}

async function failed({ execution }: Scope, record: StepRecord, error: RunError): Promise<StepFailure> {
  const completedAt = execution.clock.now()
  await commitStep(execution, { ...record, status: 'FAILED', error, completedAt }, [
    { type: 'STEP_FAILED', stepPath: record.path, data: errorAsJson(error) },
  ])
  return new StepFailure(error)
}
