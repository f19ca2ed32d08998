import type { ParallelNode } from '../../workflow/definition.ts'
import { definitionPathOf } from '../../workflow/nodes.ts'
import { runBranches } from '../branches.ts'
import { runContainer } from '../container.ts'
import { checkedJson, type NodeOutcome, type RunNodes, type Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'

/** Runs steps at the same time, each with the node's input: the output has that of each by its name. */
export function runParallel(scope: Scope, placed: Placed<ParallelNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { node, place, input } = placed
  const { steps, failFast } = node
  return runContainer(scope, placed, async () => {
    const outcome = await runBranches(scope, {
      path: place.path,
      count: steps.length,
      concurrency: node.concurrency ?? steps.length,
      failFast,
      branchOf: (below) => steps.findIndex(({ name }) => definitionPathOf(below).split('/')[1] === name),
      run: (branch, index) => runNodes(branch, { nodes: steps.slice(index, index + 1), parentPath: place.path, input }),
    })
    if (outcome.type !== 'done') return outcome
    const output = Object.fromEntries(steps.map(({ name }, index) => [name, outcome.flows[index]?.value]))
    return { type: 'done', flow: { value: checkedJson(scope.execution, output), source: 'own' } }
  })
}
