import { isJsonObject, type Json, type JsonObject } from '../../../src/json.ts'
import { diffPatch, mergePatch } from '../../../src/session/mergePatch.ts'
import { modelOfBranches } from './branches.ts'
import { writesOf } from './conflicts.ts'
import type { Expected, End, Flow, Row, Scope, View, Visit, World } from './expected.ts'
import {
  type ApprovalSpec,
  approvalAnswer,
  conditionSays,
  type ConditionSpec,
  type Given,
  type InputSpec,
  loopSays,
  type LoopSpec,
  mapSays,
  type MapSpec,
  outputOf,
  patchOf,
  PLANNED,
  type ParallelSpec,
  routerSays,
  type RouterSpec,
  type StepSpec,
  type Tree,
  type TreeSpec,
  UNIT,
} from './spec.ts'

/** Tells what must come of a run of a tree. */
export function expectedOf(tree: Tree, decisions: ReadonlyMap<string, Json> = new Map()): Expected {
  const world: World = { rows: new Map(), decisions }
  const view: View = { state: tree.state, writes: [], sure: true }
  const flow = modelOfList(tree.steps, tree.input, {
    world,
    view,
    runInput: tree.input,
    parentPath: null,
    prefix: '',
  })
  const ends: readonly End[] =
    'ends' in flow ? flow.ends : [{ status: 'COMPLETED', output: flow.output, stoppedBy: null }]
  return { ends, rows: world.rows, state: view.sure ? view.state : null }
}

/** Steps in order, each with the output of the one before it. */
export function modelOfList(specs: readonly TreeSpec[], input: Json, scope: Scope): Flow {
  let output = input
  let first: Json | undefined
  for (const [index, spec] of specs.entries()) {
    const flow = modelOf(spec, output, scope, first)
    if ('ends' in flow) return flow
    output = flow.output
    if (index === 0) first = output
  }
  return { output }
}

export function modelOf(spec: TreeSpec, input: Json, scope: Scope, read?: Json): Flow {
  const path = scope.prefix + spec.name
  const row: Row = {
    kind: spec.kind,
    parentPath: scope.parentPath,
    input,
    status: 'COMPLETED',
    output: undefined,
    ends: [],
    attempts: 1,
    retries: 0,
    waits: 0,
    sure: true,
    clashes: false,
  }
  scope.world.rows.set(path, row)
  const given: Given = { path, input, runInput: scope.runInput, state: scope.view.state }
  const flow = flowOf(spec, { path, row, given, scope, read })
  if ('ends' in flow) row.ends = flow.ends
  else row.output = flow.output
  return flow
}

function flowOf(spec: TreeSpec, visit: Omit<Visit<unknown>, 'spec'>): Flow {
  const { given } = visit
  switch (spec.kind) {
    case 'step':
      return modelOfStep({ ...visit, spec })
    case 'sleep':
      return { output: given.input }
    case 'approval':
    case 'input':
      return modelOfWait({ ...visit, spec })
    case 'sequence':
      return modelOfList(spec.steps, given.input, below(visit))
    case 'workflow':
      return modelOfList(spec.steps, given.input, { ...below(visit), runInput: given.input })
    case 'condition':
      return modelOfCondition({ ...visit, spec })
    case 'router':
      return modelOfRouter({ ...visit, spec })
    case 'loop':
      return modelOfLoop({ ...visit, spec })
    case 'parallel':
      return modelOfParallel({ ...visit, spec })
    case 'map':
      return modelOfMap({ ...visit, spec })
  }
}

/** The scope of what stands below a step: in an iteration or item, where there is a number. */
function below({ path, scope }: Pick<Visit<unknown>, 'path' | 'scope'>, index?: number): Scope {
  return { ...scope, parentPath: path, prefix: `${path}${index === undefined ? '' : `[${index}]`}/` }
}

function failedBy(path: string, code: string | null): Flow {
  return { ends: [{ status: 'FAILED', error: { code, stepPath: path } }] }
}

function modelOfStep(visit: Visit<StepSpec>): Flow {
  const { spec, path, row, given } = visit
  row.attempts = 0
  const code = spec.how === 'throws' ? PLANNED : spec.how === 'hangs' ? 'STEP_TIMEOUT' : null
  for (;;) {
    for (let tried = 1; tried <= spec.maxAttempts; tried += 1) {
      row.attempts += 1
      if (row.attempts > spec.failures) return succeeded(visit)
      if (spec.how === 'final') break
      if (tried < spec.maxAttempts) row.retries += 1
    }
    const said = spec.onError === 'pause' ? (spec.said[row.waits] ?? 'FAIL') : spec.onError
    if (spec.onError === 'pause') row.waits += 1
    if (said === 'RETRY') continue
    if (said === 'skip' || said === 'SKIP') {
      row.status = 'SKIPPED'
      return { output: given.input }
    }
    row.status = 'FAILED'
    return failedBy(path, code)
  }
}

function succeeded({ spec, path, given, read, scope: { view } }: Visit<StepSpec>): Flow {
  const output = outputOf(spec, { ...given, read: spec.reads ? read : undefined })
  if (spec.patch) {
    const state = changed(view.state, patchOf(spec.patch, given))
    view.writes.push(...writesOf(path, diffPatch(view.state, state)))
    view.state = state
  }
  return spec.gives === 'stop' ? { ends: [{ status: 'COMPLETED', output, stoppedBy: path }] } : { output }
}

function modelOfWait({ spec, path, row, given }: Visit<ApprovalSpec | InputSpec>): Flow {
  row.waits = 1
  if (spec.end === 'cancelled') {
    row.status = 'CANCELLED'
    return { ends: [{ status: 'CANCELLED' }] }
  }
  if (spec.end === 'late' && !spec.byDefault) {
    row.status = 'FAILED'
    return failedBy(path, 'STEP_TIMEOUT')
  }
  if (spec.kind === 'input') return { output: { value: spec.value, unit: UNIT } }
  const answer = spec.end === 'late' ? { approved: spec.approved } : approvalAnswer(spec)
  return { output: { ...answer, input: given.input } }
}

function modelOfCondition(visit: Visit<ConditionSpec>): Flow {
  const { spec, path, given, scope } = visit
  if (spec.says === 'throws') return failedBy(path, PLANNED)
  const says = scope.world.decisions.get(path) ?? conditionSays(spec, given)
  return modelOfList(says ? spec.then : spec.else, given.input, below(visit))
}

function modelOfRouter(visit: Visit<RouterSpec>): Flow {
  const { spec, path, given, scope } = visit
  const names = scope.world.decisions.get(path) ?? routerSays(spec)
  const chosen = (Array.isArray(names) ? names : []).map((name) => spec.choices.find((choice) => choice.name === name))
  const known = chosen.filter((choice) => choice !== undefined)
  if (known.length === 0 || known.length < chosen.length) return failedBy(path, 'OUTPUT_INVALID')
  let output = given.input
  for (const choice of known) {
    const flow = modelOf(choice, output, below(visit))
    if ('ends' in flow) return flow
    output = flow.output
  }
  return { output }
}

function modelOfLoop(visit: Visit<LoopSpec>): Flow {
  const { spec, path, given, scope } = visit
  const decided = scope.world.decisions.get(path)
  let { input } = given
  for (let iteration = 1; ; iteration += 1) {
    const flow = modelOfList(spec.steps, input, below(visit, iteration))
    if ('ends' in flow) return flow
    const over =
      decided !== undefined && isJsonObject(decided)
        ? decided['over'] === true && iteration === decided['iterations']
        : loopSays(spec, iteration, flow.output)
    if (over || iteration === spec.maxIterations) return flow
    if (spec.carry) input = flow.output
  }
}

function modelOfParallel(visit: Visit<ParallelSpec>): Flow {
  const { spec, given, scope } = visit
  const branches = spec.steps.map((child) => (view: View) => modelOf(child, given.input, { ...below(visit), view }))
  const flow = modelOfBranches(branches, scope, spec.failFast)
  if ('ends' in flow) return flow
  return { output: Object.fromEntries(spec.steps.map(({ name }, index) => [name, flow.outputs[index] ?? null])) }
}

function modelOfMap(visit: Visit<MapSpec>): Flow {
  const { spec, path, given, scope } = visit
  const decided = scope.world.decisions.get(path)
  const said = decided !== undefined && isJsonObject(decided) ? decided['items'] : undefined
  const items = spec.items === null ? given.input : (said ?? mapSays(spec, given))
  if (!Array.isArray(items)) return failedBy(path, 'INPUT_INVALID')
  const branches = items.map(
    (item: Json, index) => (view: View) => modelOfList(spec.steps, item, { ...below(visit, index), view }),
  )
  const flow = modelOfBranches(branches, scope, true)
  return 'ends' in flow ? flow : { output: flow.outputs }
}

/** The state after a merge patch. */
function changed(state: JsonObject, patch: JsonObject): JsonObject {
  const after = mergePatch(state, patch)
  if (!isJsonObject(after)) throw new Error('a patch that is an object made the state something else')
  return after
}
