import { KernError, shown } from '../../errors.ts'
import { isJsonObject, type Json } from '../../json.ts'
import type { MapNode } from '../../workflow/definition.ts'
import { runBranches } from '../branches.ts'
import { orFail, runContainer } from '../container.ts'
import { consult, recordDecision, recordedDecision } from '../decision.ts'
import { checkedJson, type NodeOutcome, type RunNodes, type Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'

/** How many items a map may have: each has rows of its own. */
export const MAX_ITEMS = 10_000

/** Runs the same steps for each item, several at the same time: the output has that of each, in the items' order. */
export function runMap(scope: Scope, placed: Placed<MapNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { node, place } = placed
  return runContainer(scope, placed, async () => {
    const items = await itemsOf(scope, placed)
    const outcome = await runBranches(scope, {
      path: place.path,
      count: items.length,
      concurrency: node.concurrency,
      failFast: true,
      branchOf: (below) => Number.parseInt(below.slice(1), 10),
      run: (branch, index) =>
        runNodes(branch, {
          nodes: node.steps,
          parentPath: place.path,
          prefix: `${place.path}[${index}]`,
          input: { value: items[index], source: 'own' },
        }),
    })
    if (outcome.type !== 'done') return outcome
    const output = outcome.flows.map(({ value }) => value ?? null)
    return { type: 'done', flow: { value: checkedJson(scope.execution, output), source: 'own' } }
  })
}

/** The items: without a function the input itself, which needs no record. */
async function itemsOf(scope: Scope, { node, place, input }: Placed<MapNode>): Promise<readonly Json[]> {
  const { items } = node
  const named = `map "${place.path}"`
  if (!items) return checkedItems(input.value, { code: 'INPUT_INVALID', what: `input of ${named}` })
  const recorded = recordedDecision(scope, place)
  if (isJsonObject(recorded) && Array.isArray(recorded.items)) return recorded.items
  const found = await consult(scope, {
    place,
    input,
    ask: async (context) => {
      const value = checkedJson(scope.execution, await items(context))
      return checkedItems(value, { code: 'OUTPUT_INVALID', what: `result of the items function of ${named}` })
    },
  })
  await orFail(place.path, () => recordDecision(scope, place, { items: [...found] }))
  return found
}

interface Checking {
  readonly code: 'INPUT_INVALID' | 'OUTPUT_INVALID'
  readonly what: string
}

function checkedItems(value: Json | undefined, { code, what }: Checking): readonly Json[] {
  if (!Array.isArray(value)) throw new KernError(code, `the ${what} is ${shown(value)}: allowed is an array`)
  if (value.length <= MAX_ITEMS) return value
  throw new KernError('LIMIT_EXCEEDED', `the ${what} has ${value.length} items: allowed are ${MAX_ITEMS}`, {
    limit: MAX_ITEMS,
  })
}
