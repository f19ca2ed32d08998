import type { SequenceNode } from '../../workflow/definition.ts'
import { runContainer } from '../container.ts'
import type { NodeOutcome, RunNodes, Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'

/** Runs steps one after another, as one: the output is the last one's. */
export function runSequence(scope: Scope, placed: Placed<SequenceNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { node, place, input } = placed
  return runContainer(scope, placed, () => runNodes(scope, { nodes: node.steps, parentPath: place.path, input }))
}
