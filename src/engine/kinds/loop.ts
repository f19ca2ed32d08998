import type { LoopNode } from '../../workflow/definition.ts'
import { copyJson, isJsonObject } from '../../json.ts'
import { runContainer } from '../container.ts'
import { consult, recordDecision, recordedDecision } from '../decision.ts'
import type { Flow, NodeOutcome, RunNodes, Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'

/** Runs steps again and again: the output is that of the last iteration. */
export function runLoop(scope: Scope, placed: Placed<LoopNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { node, place, input } = placed
  return runContainer(scope, placed, async () => {
    let flow = input
    for (let iteration = 1; ; iteration += 1) {
      const prefix = `${place.path}[${iteration}]`
      const outcome = await runNodes(scope, { nodes: node.steps, parentPath: place.path, prefix, input: flow })
      if (outcome.type !== 'done' || (await isLast(scope, placed, { iteration, output: outcome.flow }))) return outcome
      if (node.carry) flow = outcome.flow
    }
  })
}

interface Iteration {
  readonly iteration: number
  readonly output: Flow
}

async function isLast(scope: Scope, placed: Placed<LoopNode>, { iteration, output }: Iteration): Promise<boolean> {
  const { node, place, input } = placed
  // An iteration that has begun is gone on with, whatever the definition says by now.
  const following = `${place.path}[${iteration + 1}]/${node.steps[0]?.name}`
  if (scope.execution.steps.has(following)) return false
  if (iteration >= node.maxIterations) return true
  const decided = recordedDecision(scope, place)
  if (isJsonObject(decided) && Number(decided.iterations) >= iteration) {
    return decided.over === true && decided.iterations === iteration
  }
  const { until } = node
  if (!until) return false
  const over = await consult(scope, {
    place,
    input,
    reader: `${place.path}[${iteration}]/`,
    ask: async (context) => {
      const value = output.value === undefined ? undefined : copyJson(output.value)
      return Boolean(await until({ ...context, output: value, iteration }))
    },
  })
  await recordDecision(scope, place, { iterations: iteration, over })
  return over
}
