import { KernError } from '../../errors.ts'
import { copyJson, deepFreeze, isJsonObject, type Json, type JsonObject, jsonEquals } from '../../json.ts'
import { deepMerge, diffPatch } from '../../session/mergePatch.ts'
import type { NestedNode } from '../../workflow/definition.ts'
import { closeOpen } from '../branches.ts'
import { checked } from '../checked.ts'
import { runContainer } from '../container.ts'
import { recordedDecision } from '../decision.ts'
import { checkedJson, checkpoint, earlier, type NodeOutcome, type RunNodes, type Scope } from '../execution.ts'
import { describeFailure, Interrupted, StepFailure } from '../failure.ts'
import { stateWithDefaults } from '../start.ts'
import type { StepRecord } from '../records.ts'
import { changeState } from '../stateChange.ts'
import type { Placed } from '../stepRecord.ts'

/** Runs another workflow in the same run and session: its steps stand below the node, and its input is theirs. */
export function runNested(scope: Scope, placed: Placed<NestedNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { node, place, input } = placed
  return runContainer(scope, placed, async () => {
    const runInput = await enter(scope, placed)
    const same =
      runInput === undefined || input.value === undefined ? runInput === input.value : jsonEquals(runInput, input.value)
    const inner = { ...scope, definition: node.workflow, runInput, history: scope.history && node.history }
    return await withinTime(inner, placed, (limited) =>
      runNodes(limited, {
        nodes: node.workflow.steps,
        parentPath: place.path,
        input: same ? input : { value: runInput, source: 'own' },
      }),
    )
  })
}

/** The input as the workflow's schema gives it, and the state with what the workflow adds to it, once for all replays. */
async function enter(
  scope: Scope,
  { node: { workflow }, place, input }: Placed<NestedNode>,
): Promise<Json | undefined> {
  const { execution } = scope
  const { path } = place
  const before = execution.steps.get(path)
  if (before?.statePatch) scope.state.apply(path, before.statePatch)
  const recorded = recordedDecision(scope, place)
  if (isJsonObject(recorded)) return recorded.input
  if (!workflow.input && !workflow.state && jsonEquals(workflow.initialState, {})) return input.value

  // The schemas are an author's code, too.
  await execution.recorder.durable()
  const given = input.value === undefined ? undefined : copyJson(input.value)
  const parsed = await checked(workflow.input, given, { what: `input of step "${path}"`, code: 'INPUT_INVALID' })
  const runInput = parsed === undefined ? undefined : deepFreeze(checkedJson(execution, parsed))
  const seen = scope.state.state
  const complete = (state: JsonObject) => stateWithDefaults(workflow, state, execution.limits)
  const own = await complete(deepMerge(workflow.initialState, seen))
  const decision: Json = runInput === undefined ? {} : { input: runInput }
  if (jsonEquals(own, seen)) {
    await commitEntry(scope, path, { decision })
    return runInput
  }
  const statePatch = diffPatch(seen, own)
  const refused = await changeState(scope, {
    path,
    patch: statePatch,
    own,
    check: async (state) => void (await complete(state)),
    write: (state) => commitEntry(scope, path, { decision, statePatch }, state),
  })
  if (refused) throw refused.refusal
  return runInput
}

async function commitEntry(
  { execution }: Scope,
  path: string,
  entry: Pick<StepRecord, 'decision'> & Partial<Pick<StepRecord, 'statePatch'>>,
  state?: JsonObject,
): Promise<void> {
  const record = execution.steps.get(path)
  if (!record) throw new KernError('INTERNAL', `step "${path}" was entered before it has started`)
  const entered = { ...record, ...entry }
  execution.steps.set(path, entered)
  await execution.recorder.commit({
    steps: [entered],
    events: state ? [{ type: 'STATE_CHANGED', stepPath: path, data: entry.statePatch }] : [],
    ...(state ? { state } : {}),
  })
}

/** The time limit of a nested workflow is one for its step, counted from its start, whatever waits in it. */
async function withinTime(
  scope: Scope,
  { node: { workflow }, place: { path } }: Placed<NestedNode>,
  work: (scope: Scope) => Promise<NodeOutcome>,
): Promise<NodeOutcome> {
  const { clock, steps } = scope.execution
  // Not the row's start: that of one that a retry goes on with is from before its run began.
  const [first] = steps.get(path)?.attempts ?? []
  if (workflow.timeoutMs === null || !first) return await work(scope)
  const deadline = new Date(Date.parse(first.startedAt) + workflow.timeoutMs)
  const own = new AbortController()
  const timer = new AbortController()
  const late = new KernError(
    'STEP_TIMEOUT',
    `workflow "${workflow.id}" took longer than its timeout of ${workflow.timeoutMs} ms`,
  )
  const expire = () => own.abort(late)
  const left = deadline.getTime() - clock.now().getTime()
  if (left <= 0) expire()
  else clock.sleep(left, timer.signal).then(expire, () => undefined)
  try {
    const outcome = await work({ ...scope, signal: AbortSignal.any([scope.signal, own.signal]) })
    return outcome.type === 'waiting' ? { ...outcome, until: earlier(outcome.until, deadline) } : outcome
  } catch (error) {
    if (!(error instanceof Interrupted) || !own.signal.aborted) throw error
    // Whoever stops the run, or the branch around, comes first.
    checkpoint(scope)
    closeOpen(scope, path, late)
    throw new StepFailure(describeFailure(late, path))
  } finally {
    timer.abort()
  }
}
