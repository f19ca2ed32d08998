import type { SequenceNode } from '../../workflow/definition.ts'
import { runContainer } from '../container.ts'
import type { Execution, Flow, NodeOutcome, Place, RunNodes } from '../execution.ts'

/** Runs steps one after another, as one: the output is the last one's. */
export function runSequence(
  execution: Execution,
  node: SequenceNode,
  place: Place,
  input: Flow,
  runNodes: RunNodes,
): Promise<NodeOutcome> {
  return runContainer(execution, node, place, input, () => runNodes(execution, node.steps, place.path, input))
}
