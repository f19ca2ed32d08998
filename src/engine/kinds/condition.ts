import type { ConditionNode } from '../../workflow/definition.ts'
import { runContainer } from '../container.ts'
import { consult, recordDecision, recordedDecision } from '../decision.ts'
import type { NodeOutcome, RunNodes, Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'

/** Runs one of two lists of steps; an empty one passes the input through. */
export function runCondition(scope: Scope, placed: Placed<ConditionNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { node, place, input } = placed
  return runContainer(scope, placed, async () => {
    const nodes = (await holds(scope, placed)) ? node.then : node.else
    return await runNodes(scope, { nodes, parentPath: place.path, input })
  })
}

/** Like an `if` of the language: anything that counts as true there does here. */
async function holds(scope: Scope, { node, place, input }: Placed<ConditionNode>): Promise<boolean> {
  const recorded = recordedDecision(scope, place)
  if (recorded !== undefined) return recorded === true
  const answer = await consult(scope, { place, input, ask: async (context) => Boolean(await node.if(context)) })
  await recordDecision(scope, place, answer)
  return answer
}
