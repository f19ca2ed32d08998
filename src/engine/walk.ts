import type { WorkflowNode } from '../workflow/definition.ts'
import type { NodeOutcome, RunNodes, Scope } from './execution.ts'
import { runAgent } from './kinds/agent.ts'
import { runCondition } from './kinds/condition.ts'
import { runLoop } from './kinds/loop.ts'
import { runMap } from './kinds/map.ts'
import { runNested } from './kinds/nested.ts'
import { runParallel } from './kinds/parallel.ts'
import { runRouter } from './kinds/router.ts'
import { runSequence } from './kinds/sequence.ts'
import { runSleep } from './kinds/sleep.ts'
import { runStep } from './kinds/step.ts'
import { runWait } from './kinds/wait.ts'
import type { Placed } from './stepRecord.ts'

/** Runs nodes one after another; those whose end is recorded are not run again. */
export const runNodes: RunNodes = async (scope, { nodes, parentPath, prefix = parentPath, input }) => {
  let flow = input
  for (const node of nodes) {
    const path = prefix === null ? node.name : `${prefix}/${node.name}`
    const outcome = await runNode(scope, { node, place: { path, parentPath }, input: flow })
    if (outcome.type !== 'done') return outcome
    flow = outcome.flow
  }
  return { type: 'done', flow }
}

function runNode(scope: Scope, { node, ...at }: Placed<WorkflowNode>): Promise<NodeOutcome> {
  switch (node.kind) {
    case 'step':
      return runStep(scope, { node, ...at })
    case 'agent':
      return runAgent(scope, { node, ...at })
    case 'sequence':
      return runSequence(scope, { node, ...at }, runNodes)
    case 'parallel':
      return runParallel(scope, { node, ...at }, runNodes)
    case 'condition':
      return runCondition(scope, { node, ...at }, runNodes)
    case 'router':
      return runRouter(scope, { node, ...at }, runNodes)
    case 'loop':
      return runLoop(scope, { node, ...at }, runNodes)
    case 'map':
      return runMap(scope, { node, ...at }, runNodes)
    case 'workflow':
      return runNested(scope, { node, ...at }, runNodes)
    case 'approval':
    case 'input':
      return runWait(scope, { node, ...at })
    case 'sleep':
      return runSleep(scope, { node, ...at })
  }
}
