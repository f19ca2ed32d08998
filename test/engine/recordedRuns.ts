import type { InputSource, RunRecord, StepRecord, StepStatus } from '../../src/engine/records.ts'
import { newId } from '../../src/ids.ts'
import { isJsonObject, type Json } from '../../src/json.ts'
import type { WorkflowDefinition, WorkflowNode } from '../../src/workflow/definition.ts'
import { childrenOf } from '../../src/workflow/nodes.ts'
import { plainRun, plainStep } from '../support/records.ts'

/** What happens in a run that is made up. Paths are those of the run. */
export interface Happenings {
  readonly failing?: readonly string[]
  readonly skipped?: readonly string[]
  readonly stopping?: readonly string[]
  /** What containers decide. @default true, the first choice, two iterations, two items */
  readonly decisions?: Readonly<Record<string, Json>>
}

const AT = new Date('2024-11-19T14:30:00Z')

/** A run that is over, of which only what retries read is told. */
export function runOf(definition: WorkflowDefinition, given: Partial<RunRecord> = {}): RunRecord {
  return {
    runId: newId(),
    ...plainRun,
    sessionId: newId(),
    number: 1,
    workflowId: definition.id,
    workflowName: definition.name,
    workflowVersion: definition.version,
    status: 'FAILED',
    lastSeq: 1,
    createdAt: AT,
    startedAt: AT,
    completedAt: AT,
    durationMs: 0,
    ...given,
  }
}

interface Flow {
  readonly value: Json
  readonly source: InputSource
}

interface List {
  readonly nodes: readonly WorkflowNode[]
  readonly prefix: string
  readonly parentPath: string | null
  readonly input: Flow
}

/** How a node ended: with what it hands on, or so that nothing comes after it. */
type End = Flow | 'FAILED' | 'STOPPED'

/**
 * The rows that a run of a definition would leave behind, without running it. Steps yield their paths; branches run one
 * after another, each up to its own failure, as with `failFast: false`.
 */
export function rowsOf(definition: WorkflowDefinition, happenings: Happenings = {}): StepRecord[] {
  const rows: StepRecord[] = []
  runList(
    { nodes: definition.steps, prefix: '', parentPath: null, input: { value: 'input', source: 'run' } },
    happenings,
    rows,
  )
  return rows
}

function runList({ nodes, prefix, parentPath, input }: List, happenings: Happenings, rows: StepRecord[]): End {
  let flow = input
  for (const node of nodes) {
    const end = runNode({ node, path: prefix + node.name, parentPath, input: flow }, happenings, rows)
    if (typeof end === 'string') return end
    flow = end
  }
  return flow
}

interface Placed {
  readonly node: WorkflowNode
  readonly path: string
  readonly parentPath: string | null
  readonly input: Flow
}

function runNode(placed: Placed, happenings: Happenings, rows: StepRecord[]): End {
  const { path, node } = placed
  const position = rows.length
  rows.push(rowOf(placed, position))
  const { end, decision } = childrenOf(node).length > 0 ? within(placed, happenings, rows) : endOf(path, happenings)
  const skipped = happenings.skipped?.includes(path) ?? false
  const status: StepStatus = skipped ? 'SKIPPED' : end === 'FAILED' ? 'FAILED' : 'COMPLETED'
  const output = status === 'COMPLETED' ? path : undefined
  rows[position] = {
    ...rowOf(placed, position),
    status,
    output,
    outputPreview: output ?? null,
    decision,
    stopsRun: end === 'STOPPED',
    ...(node.kind === 'step' ? { statePatch: { [path]: true } } : {}),
  }
  if (end === 'FAILED' && !skipped) return end
  if (end === 'STOPPED') return end
  return skipped ? placed.input : { value: path, source: `step:${path}` }
}

function endOf(path: string, { failing = [], stopping = [] }: Happenings): { end: End; decision?: Json } {
  if (failing.includes(path)) return { end: 'FAILED' }
  return { end: stopping.includes(path) ? 'STOPPED' : { value: path, source: `step:${path}` } }
}

function within(placed: Placed, happenings: Happenings, rows: StepRecord[]): { end: End; decision?: Json } {
  const { node, path, input } = placed
  const decided = happenings.decisions?.[path]
  const run = (nodes: readonly WorkflowNode[], prefix = `${path}/`, given: Flow = input) =>
    runList({ nodes, prefix, parentPath: path, input: given }, happenings, rows)
  switch (node.kind) {
    case 'condition': {
      const decision = decided ?? true
      return { end: run(decision === true ? node.then : node.else), decision }
    }
    case 'router': {
      const decision: readonly Json[] = Array.isArray(decided) ? decided : [node.choices[0]?.name ?? '']
      const nodes = decision.flatMap((name) => node.choices.find((choice) => choice.name === name) ?? [])
      return { end: run(nodes), decision }
    }
    case 'loop': {
      const iterations = typeof decided === 'number' ? decided : Math.min(2, node.maxIterations)
      let flow = input
      for (let count = 1; ; count += 1) {
        const end = run(node.steps, `${path}[${count}]/`, flow)
        const decision = { iterations: count, over: count === iterations }
        if (typeof end === 'string')
          return count === 1 ? { end } : { end, decision: { iterations: count - 1, over: false } }
        if (count === iterations) return { end, decision }
        if (node.carry) flow = end
      }
    }
    case 'map': {
      const items = isJsonObject(decided) && Array.isArray(decided.items) ? decided.items : ['one', 'two']
      const ends = items.map((item: Json, index) =>
        run(node.steps, `${path}[${index}]/`, { value: item, source: 'own' }),
      )
      return { end: together(path, ends), ...(node.items ? { decision: { items } } : {}) }
    }
    case 'parallel':
      return {
        end: together(
          path,
          node.steps.map((step) => run([step])),
        ),
      }
    default:
      return { end: run(childrenOf(node)) }
  }
}

function together(path: string, ends: readonly End[]): End {
  if (ends.includes('FAILED')) return 'FAILED'
  return ends.includes('STOPPED') ? 'STOPPED' : { value: path, source: `step:${path}` }
}

function rowOf({ node, path, parentPath, input }: Placed, position: number): StepRecord {
  const at = new Date(AT.getTime() + position)
  return {
    ...plainStep,
    runId: 'source',
    path,
    position,
    parentPath,
    name: node.name,
    kind: node.kind,
    status: 'COMPLETED',
    inputFrom: input.source,
    // A map without a function takes its items from its input.
    input: node.kind === 'map' && !node.items ? ['one', 'two'] : input.value,
    attempts: [{ number: 1, startedAt: at.toISOString(), completedAt: at.toISOString(), error: null }],
    startedAt: at,
    completedAt: at,
  }
}
