import { KernError, shown } from '../errors.ts'
import { copyJson, type Json } from '../json.ts'
import type { PlacedNode, WorkflowNode } from '../workflow/definition.ts'
import { definitionPathOf } from '../workflow/nodes.ts'
import type { Execution } from './execution.ts'
import type { StepRecord } from './records.ts'

/**
 * What an earlier node has yielded, as one that runs now may read it. Where the node stands in several places, the one
 * nearest to the reader counts.
 *
 * @throws KernError NOT_FOUND if it has no output, or may be running at this moment
 */
export function outputFor(execution: Execution, source: unknown, reader: string): Json {
  const places = execution.definition.nodes.filter(({ node }) => node === source)
  const named = `step ${nameOf(source)}`
  if (places.length === 0) {
    throw new KernError('NOT_FOUND', `${named} is no part of workflow "${execution.definition.id}"`)
  }
  const byNearness = Map.groupBy(places, ({ path }) => nearness(path, reader))
  // The nearest first: what stands further away is not looked at where they have an output.
  for (const [, near] of [...byNearness].sort(([a], [b]) => b - a)) {
    const records = near.flatMap((place) => recordFor(execution, place, reader) ?? [])
    const newest = records.sort((a, b) => b.position - a.position)[0]
    const output = newest?.status === 'SKIPPED' ? newest.input : newest?.output
    if (output !== undefined) return copyJson(output)
  }
  throw new KernError('NOT_FOUND', `${named} has no output in run ${execution.run.runId} before step "${reader}"`)
}

function nameOf(step: unknown): string {
  return typeof step === 'object' && step !== null && 'name' in step ? `"${String(step.name)}"` : shown(step)
}

function recordFor(execution: Execution, place: PlacedNode, reader: string): StepRecord | null {
  for (const path of candidates(execution, place, reader)) {
    const record = execution.steps.get(path)
    if (record?.status === 'COMPLETED' || record?.status === 'SKIPPED') return record
  }
  return null
}

/** The paths in the run at which the node may have been executed before the reader, the newest first. */
function* candidates(execution: Execution, { path: wanted }: PlacedNode, reader: string): Generator<string> {
  const names = wanted.split('/')
  const around = reader.split('/')
  const common = sharedLength(names, around)
  const parent = common > 0 ? nodeAt(execution, names.slice(0, common).join('/')) : undefined
  if (parent?.kind === 'parallel' && common < names.length) {
    throw new KernError(
      'NOT_FOUND',
      `step "${wanted}" runs at the same time as step "${reader}": its output is not there`,
    )
  }
  yield* resolved(execution, around.slice(0, common).join('/'), names.slice(common))
  // What this iteration has not come to, an earlier one may have.
  for (let index = common - 1; index >= 0; index -= 1) {
    const [, name = '', digits] = /^(.*)\[(\d+)\]$/.exec(around[index] ?? '') ?? []
    if (nodeAt(execution, names.slice(0, index + 1).join('/'))?.kind !== 'loop') continue
    for (let iteration = Number(digits) - 1; iteration >= 1; iteration -= 1) {
      const own = [...around.slice(0, index), `${name}[${iteration}]`].join('/')
      yield* resolved(execution, own, names.slice(index + 1))
    }
  }
}

/** How many names two paths have in common from the outside, the last of the reader's own excepted. */
function sharedLength(names: readonly string[], around: readonly string[]): number {
  let length = 0
  while (length < around.length - 1 && names[length] === definitionPathOf(around[length] ?? '')) length += 1
  return Math.min(length, names.length)
}

function nearness(path: string, reader: string): number {
  return sharedLength(path.split('/'), reader.split('/'))
}

function nodeAt({ definition }: Execution, path: string): WorkflowNode | undefined {
  return definition.nodes.find((placed) => placed.path === path)?.node
}

/** The paths of a node below `own`, through each iteration of the loops that are on the way, the last one first. */
function* resolved(execution: Execution, own: string, [name, ...below]: readonly string[]): Generator<string> {
  if (name === undefined) {
    yield own
    return
  }
  const path = own === '' ? name : `${own}/${name}`
  const node = below.length > 0 ? nodeAt(execution, definitionPathOf(path)) : undefined
  if (node?.kind === 'map') {
    throw new KernError('NOT_FOUND', `step "${below.at(-1)}" has an output for each item: read that of map "${path}"`)
  }
  if (node?.kind !== 'loop') return yield* resolved(execution, path, below)
  for (let iteration = lastIteration(execution.steps.get(path), node.maxIterations); iteration >= 1; iteration -= 1) {
    yield* resolved(execution, `${path}[${iteration}]`, below)
  }
}

function lastIteration(loop: StepRecord | undefined, maxIterations: number): number {
  const decision = loop?.decision
  const over = typeof decision === 'object' && decision !== null && 'over' in decision && decision.over === true
  return over && 'iterations' in decision ? Number(decision.iterations) : maxIterations
}
