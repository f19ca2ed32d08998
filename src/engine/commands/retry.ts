import { type KernError, shown } from '../../errors.ts'
import { isJsonObject, type Json } from '../../json.ts'
import type { LoopNode, MapNode, ParallelNode, RouterNode, WorkflowNode } from '../../workflow/definition.ts'
import { definitionPathOf } from '../../workflow/nodes.ts'
import { invalid } from './checks.ts'
import type { StepRecord } from '../records.ts'
import { hasEnded, type Stage, wayTo } from './retryFrom.ts'
import { changed, type Opened, openedRow, type Retry, reusedRow } from './retryRows.ts'

/** What is taken over, by path: nodes with all that is below them, and containers without. */
interface Taking {
  readonly retry: Retry
  readonly rows: ReadonlyMap<string, StepRecord>
  /** The rows that have ended, in the order in which they started, by what their paths have before the name. */
  readonly ended: ReadonlyMap<string, readonly StepRecord[]>
  /** What the definition has, by path. */
  readonly kinds: ReadonlyMap<string, string>
  readonly whole: Set<string>
  readonly opened: Map<string, Opened>
}

/** Nodes that run one after another. */
interface List {
  readonly nodes: readonly WorkflowNode[]
  /** What the paths of the nodes have before the name: `refine[2]/`. */
  readonly prefix: string
  /** Whether the first one is given the new run's input. */
  readonly givenInput: boolean
}

/** A node of a list that a retry goes through. */
interface Around extends Stage {
  readonly row: StepRecord
  readonly givenInput: boolean
}

/**
 * The rows of a run that another run takes over, as rows of that: everything before the step that is executed first, and
 * the containers around that, which go on. What ran beside it in `parallel` and `map` is taken over where it had ended.
 *
 * @throws KernError INPUT_INVALID for a step that the run did not come to; CONFLICT where the definition was changed so
 *   that the results do not fit it any more
 */
export function reusedRows(retry: Retry): readonly StepRecord[] {
  const steps = retry.steps.toSorted((a, b) => a.position - b.position)
  const rows = new Map(steps.map((row) => [row.path, row]))
  const ended = Map.groupBy(steps.filter(hasEnded), ({ path, name }) => path.slice(0, path.length - name.length))
  const { definition, fromStep } = retry
  const kinds = new Map(definition.nodes.map(({ path, node }) => [path, node.kind]))
  const taking: Taking = { retry, rows, ended, kinds, whole: new Set(), opened: new Map() }
  takeUpTo(taking, { nodes: definition.steps, prefix: '', givenInput: true }, wayTo(definition, fromStep))
  return steps.flatMap((row) => rowOf(taking, row) ?? []).map((row, position) => ({ ...row, position }))
}

/** Takes over what comes before the first stage of the way in a list, and goes on with the next stage in it. */
function takeUpTo(taking: Taking, list: List, way: readonly Stage[]): void {
  const [stage] = way
  if (!stage) return
  const index = list.nodes.indexOf(stage.node)
  takeBefore(taking, list, index)
  goOn(taking, way, list.givenInput && index === 0)
}

/** Goes on into the first stage of the way, unless that is the end of it, and so to be executed again. */
function goOn(taking: Taking, [stage, ...way]: readonly Stage[], givenInput: boolean): void {
  if (!stage || way.length === 0) return
  const row = taking.rows.get(stage.path)
  if (!row) throw misfit(taking, stage.path, 'has not started')
  takeWithin(taking, { ...stage, row, givenInput }, way)
}

/** Opens a container that the way goes through, and takes over what has ended in it. */
function takeWithin(taking: Taking, around: Around, way: readonly Stage[]): void {
  const { node, path, row, givenInput } = around
  const open = (decision: Json | undefined) => taking.opened.set(path, { decision, givenInput })
  switch (node.kind) {
    case 'sequence':
      open(undefined)
      return takeUpTo(taking, { nodes: node.steps, prefix: `${path}/`, givenInput }, way)
    case 'workflow':
      // What it decided is its input and its defaults of the state: both are made anew, as those of the run are.
      open(undefined)
      return takeUpTo(taking, { nodes: node.workflow.steps, prefix: `${path}/`, givenInput }, way)
    case 'condition':
      open(row.decision)
      return takeChosen(taking, around, { nodes: row.decision === true ? node.then : node.else, way })
    case 'router':
      open(row.decision)
      return takeChosen(taking, around, { nodes: chosen(taking, node, row), way })
    case 'loop':
      return takeIterations(taking, { ...around, node }, way)
    case 'parallel':
      open(undefined)
      return takeBranches(taking, { ...around, node }, way)
    case 'map':
      open(row.decision)
      return takeItems(taking, { ...around, node }, way)
    case 'step':
    case 'agent':
    case 'approval':
    case 'input':
    case 'sleep':
      throw new Error(`the way to ${taking.retry.fromStep} goes through step ${path}, which holds nothing`)
  }
}

interface Chosen {
  readonly nodes: readonly WorkflowNode[]
  readonly way: readonly Stage[]
}

function takeChosen(taking: Taking, { node, path, row, givenInput }: Around, { nodes, way }: Chosen): void {
  const { fromStep, run } = taking.retry
  if (row.decision === undefined) throw misfit(taking, path, 'has decided nothing')
  const [next] = way
  if (!next || !nodes.includes(next.node)) {
    throw invalid(
      ['fromStep'],
      `is ${shown(fromStep)}: ${node.kind} ${shown(path)} decided otherwise in run ${run.runId}, ${shown(row.decision)}; to have it decide again, allowed is ${shown(path)}`,
    )
  }
  takeUpTo(taking, { nodes, prefix: `${path}/`, givenInput }, way)
}

/** The choices of a router in the order in which it named them. */
function chosen(taking: Taking, { choices }: RouterNode, { path, decision }: StepRecord): readonly WorkflowNode[] {
  const names: readonly Json[] = Array.isArray(decision) ? decision : []
  return names.map((name) => {
    const node = choices.find((choice) => choice.name === name)
    if (node) return node
    throw changed(taking.retry, `router ${shown(path)} chose ${shown(name)} in it, which is no choice any more`)
  })
}

function takeIterations(taking: Taking, around: Around & { readonly node: LoopNode }, way: readonly Stage[]): void {
  const { node, path, row, givenInput } = around
  const number = around.number ?? 1
  const { decision } = row
  if (isJsonObject(decision) && decision.over === true && Number(decision.iterations) < number) {
    const { fromStep, run } = taking.retry
    const text = `loop ${shown(path)} was over after iteration ${Number(decision.iterations)} in run ${run.runId}`
    throw invalid(['fromStep'], `is ${shown(fromStep)}: ${text}; allowed is a step of that, or of an earlier one`)
  }
  const iteration = (count: number): List => ({
    nodes: node.steps,
    prefix: `${path}[${count}]/`,
    givenInput: givenInput && (count === 1 || !node.carry),
  })
  for (let count = 1; count < number; count += 1) takeBefore(taking, iteration(count), node.steps.length)
  taking.opened.set(path, { decision: { iterations: number - 1, over: false }, givenInput })
  takeUpTo(taking, iteration(number), way)
}

function takeBranches(taking: Taking, around: Around & { readonly node: ParallelNode }, way: readonly Stage[]): void {
  const { node, path, givenInput } = around
  for (const sibling of node.steps) {
    if (sibling !== way[0]?.node) keepNode(taking, { node: sibling, path: `${path}/${sibling.name}`, givenInput })
  }
  goOn(taking, way, givenInput)
}

function takeItems(taking: Taking, around: Around & { readonly node: MapNode }, way: readonly Stage[]): void {
  const { node, path, row, number, givenInput } = around
  const { newInput, run, fromStep } = taking.retry
  if (newInput && givenInput && !node.items) {
    const text = `is ${shown(fromStep)}: the items of map ${shown(path)} are the input of the run, and that is another now`
    throw invalid(['fromStep'], `${text}; allowed is ${shown(path)}`)
  }
  const items = node.items ? isJsonObject(row.decision) && row.decision.items : row.input
  if (!Array.isArray(items)) throw misfit(taking, path, 'has no items')
  const own = number ?? 0
  if (own >= items.length) {
    const text = `map ${shown(path)} has no item ${own} in run ${run.runId}, allowed are 0 to ${items.length - 1}`
    throw invalid(['fromStep'], `is ${shown(fromStep)}: ${text}`)
  }
  for (const index of items.keys()) {
    const list = { nodes: node.steps, prefix: `${path}[${index}]/`, givenInput: false }
    if (index === own) takeUpTo(taking, list, way)
    else keepList(taking, list)
  }
}

/** Takes the first `count` nodes of a list over. Each must have ended, and nothing else before or between them. */
function takeBefore(taking: Taking, { nodes, prefix }: List, count: number): void {
  const { rows, ended, retry } = taking
  const later = new Set(nodes.slice(count).map(({ name }) => name))
  const next = nodes[count]
  const limit = (next && rows.get(prefix + next.name)?.position) ?? Number.POSITIVE_INFINITY
  const found = (ended.get(prefix) ?? []).filter(({ name, position }) => position < limit && !later.has(name))
  for (const [index, { name }] of nodes.slice(0, count).entries()) {
    const path = prefix + name
    const row = rows.get(path)
    if (!hasEnded(row)) throw misfit(taking, path, row ? `is ${row.status}` : 'has not started')
    if (row.stopsRun) {
      throw invalid(
        ['fromStep'],
        `is ${shown(retry.fromStep)}: step ${shown(path)} stopped run ${retry.run.runId}, so nothing came after it; allowed is ${shown(path)}, or a step before it`,
      )
    }
    if (found[index] !== row)
      throw changed(taking.retry, `its steps before ${shown(path)} were others, or in another order`)
    taking.whole.add(path)
  }
  const extra = found[count]
  if (extra) throw changed(taking.retry, `step ${shown(extra.path)} ran in it, which is not there any more`)
}

type Kept = Pick<Around, 'node' | 'path' | 'givenInput'>

/** Keeps what has ended of a node that is beside the way. @returns whether all of it has */
function keepNode(taking: Taking, { node, path, givenInput }: Kept): boolean {
  const row = taking.rows.get(path)
  if (hasEnded(row)) {
    if (!row.stopsRun) taking.whole.add(path)
    return !row.stopsRun
  }
  if (row?.kind === node.kind && (node.kind === 'sequence' || node.kind === 'workflow')) {
    const nodes = node.kind === 'sequence' ? node.steps : node.workflow.steps
    taking.opened.set(path, { decision: undefined, givenInput })
    keepList(taking, { nodes, prefix: `${path}/`, givenInput })
  }
  return false
}

/** Keeps the nodes of a list that have ended, up to the first that has not, or that was not there in this order. */
function keepList(taking: Taking, { nodes, prefix, givenInput }: List): void {
  const found = taking.ended.get(prefix) ?? []
  for (const [index, node] of nodes.entries()) {
    const other = found[index] && found[index].name !== node.name
    const first = givenInput && index === 0
    if (other || !keepNode(taking, { node, path: prefix + node.name, givenInput: first })) return
  }
}

/** The row of the new run that stands for one of the old run; null for one that is not taken over. @throws KernError CONFLICT */
function rowOf(taking: Taking, row: StepRecord): StepRecord | null {
  const { retry, opened, kinds } = taking
  const around = opened.get(row.path)
  if (!around && !isTaken(taking, row)) return null
  const kind = kinds.get(definitionPathOf(row.path))
  if (kind !== row.kind) {
    throw changed(retry, `step ${shown(row.path)} was of kind ${row.kind} in it, and is ${kind ?? 'nothing'} now`)
  }
  return around ? openedRow(retry, row, around) : reusedRow(retry, row)
}

function isTaken({ rows, whole }: Taking, row: StepRecord): boolean {
  for (let at: StepRecord | undefined = row; at; at = at.parentPath === null ? undefined : rows.get(at.parentPath)) {
    if (whole.has(at.path)) return true
  }
  return false
}

/** What the run did not come to cannot be taken over; whether the definition or the caller is to blame says its version. */
function misfit(taking: Taking, path: string, what: string): KernError {
  const { run, definition, fromStep } = taking.retry
  if (run.workflowVersion !== definition.version) return changed(taking.retry, `step ${shown(path)} ${what} in it`)
  return invalid(
    ['fromStep'],
    `is ${shown(fromStep)}: step ${shown(path)} ${what} in run ${run.runId}; allowed is that step, or one before it`,
  )
}
