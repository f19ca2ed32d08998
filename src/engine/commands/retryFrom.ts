import { KernError, shown } from '../../errors.ts'
import type { LoopNode, MapNode, WorkflowDefinition, WorkflowNode } from '../../workflow/definition.ts'
import { childrenOf, definitionPathOf } from '../../workflow/nodes.ts'
import { invalid } from './checks.ts'
import type { RunRecord, StepRecord } from '../records.ts'
import { isBelow } from '../stepRecord.ts'

/** A run that is over, what was recorded of it, and the definition that it is tried again with. */
export interface RetrySource {
  readonly run: RunRecord
  readonly steps: readonly StepRecord[]
  readonly definition: WorkflowDefinition
}

/** A node on the way from the outside to the step that a retry begins with, which is the last one. */
export interface Stage {
  readonly node: WorkflowNode
  readonly path: string
  /** Which iteration or item the way goes through; null at the end of the way, and in any other node. */
  readonly number: number | null
}

/**
 * The path of the step that a retry begins with where none is given: the first that failed, of a cancelled run the first
 * that was cut off, and the first one without a result where that hit no step.
 *
 * @throws KernError INPUT_INVALID for a run without such a step, CONFLICT where the definition does not have it any more
 */
export function defaultStart({ run, steps, definition }: RetrySource): string {
  const { runId, status, workflowVersion } = run
  const found = status === 'COMPLETED' ? undefined : firstWith(status, steps)
  const cut = found && firstInside(definition, steps, found)
  const path = cut ?? definition.steps.find(({ name }) => !hasEnded(steps.find((step) => step.path === name)))?.name
  if (status === 'COMPLETED' || path === undefined) {
    throw invalid(['fromStep'], `is missing: every step of run ${runId}, which is ${status}, has a result`)
  }
  if (definition.nodes.some((placed) => placed.path === definitionPathOf(path))) return path
  throw new KernError(
    'CONFLICT',
    `step ${shown(path)} of run ${runId} is ${status} in version ${workflowVersion} of workflow "${definition.id}", and version ${definition.version} does not have it: give fromStep`,
    { runId },
  )
}

/** The first step with a status in which no other one has it: an outer one has it for what is in it. */
function firstWith(status: string, steps: readonly StepRecord[]): string | undefined {
  const found = steps.filter((step) => step.status === status)
  const inner = found.filter(({ path }) => !found.some((other) => isBelow(other.path, path)))
  return inner.sort((a, b) => a.position - b.position)[0]?.path
}

/** Where a container was opened by a retry that did not come to it: the first in it that has no result. */
function firstInside(definition: WorkflowDefinition, steps: readonly StepRecord[], path: string): string {
  const row = steps.find((step) => step.path === path)
  const node = definition.nodes.find((placed) => placed.path === definitionPathOf(path))?.node
  if (row?.attempts.length !== 0 || (node?.kind !== 'sequence' && node?.kind !== 'workflow')) return path
  const next = childrenOf(node).find(({ name }) => !hasEnded(steps.find((step) => step.path === `${path}/${name}`)))
  return next ? firstInside(definition, steps, `${path}/${next.name}`) : path
}

/** A row whose result can be taken over. */
export type Ended = StepRecord & { readonly status: 'COMPLETED' | 'SKIPPED' }

export function hasEnded(row: StepRecord | undefined): row is Ended {
  return row?.status === 'COMPLETED' || row?.status === 'SKIPPED'
}

/** Finds a step by its path in a run. @throws KernError INPUT_INVALID with what is there instead */
export function wayTo(definition: WorkflowDefinition, fromStep: string): readonly Stage[] {
  const segments = fromStep.split('/')
  const way: Stage[] = []
  let nodes = definition.steps
  let prefix = ''
  for (const [index, segment] of segments.entries()) {
    const [, name = '', digits] = /^([^[\]]*)(?:\[(0|[1-9]\d{0,9})\])?$/.exec(segment) ?? []
    const node = nodes.find((candidate) => candidate.name === name)
    if (!node) throw noSuchStep(definition, { fromStep, prefix, nodes })
    const path = prefix + name
    const last = index === segments.length - 1
    const number = digits === undefined ? null : Number(digits)
    if (!isNumbered(node) || last ? number !== null : number === null) throw wrongNumber(fromStep, { node, path, last })
    if (node.kind === 'loop' && number !== null) checkIteration(fromStep, { node, path, number })
    way.push({ node, path, number })
    nodes = childrenOf(node)
    prefix = `${path}${number === null ? '' : `[${number}]`}/`
  }
  return way
}

function isNumbered(node: WorkflowNode): node is LoopNode | MapNode {
  return node.kind === 'loop' || node.kind === 'map'
}

interface Missing {
  readonly fromStep: string
  readonly prefix: string
  readonly nodes: readonly WorkflowNode[]
}

function noSuchStep({ id }: WorkflowDefinition, { fromStep, prefix, nodes }: Missing): KernError {
  const there = nodes.map(({ name }) => shown(prefix + name)).join(', ')
  const allowed = there === '' ? `nothing is below ${shown(prefix.slice(0, -1))}` : `there are ${there}`
  return invalid(['fromStep'], `is ${shown(fromStep)}: workflow "${id}" has no such step, ${allowed}`)
}

interface Numbered {
  readonly node: WorkflowNode
  readonly path: string
  readonly last: boolean
}

function wrongNumber(fromStep: string, { node, path, last }: Numbered): KernError {
  if (!isNumbered(node) || last) return invalid(['fromStep'], `is ${shown(fromStep)}: allowed is ${shown(path)}`)
  const [what, first] = node.kind === 'loop' ? ['an iteration', 1] : ['an item', 0]
  return invalid(
    ['fromStep'],
    `is ${shown(fromStep)}: a step in ${node.kind} ${shown(path)} is in ${what}, such as ${shown(`${path}[${first}]`)}`,
  )
}

interface Iteration {
  readonly node: LoopNode
  readonly path: string
  readonly number: number
}

function checkIteration(fromStep: string, { node: { maxIterations }, path, number }: Iteration): void {
  if (number >= 1 && number <= maxIterations) return
  const allowed = `allowed are 1 to ${maxIterations}`
  throw invalid(['fromStep'], `is ${shown(fromStep)}: loop ${shown(path)} has no iteration ${number}, ${allowed}`)
}
