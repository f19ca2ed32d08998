import { KernError, shown } from '../../errors.ts'
import type { RouterNode, WorkflowNode } from '../../workflow/definition.ts'
import { runContainer } from '../container.ts'
import { consult, recordDecision, recordedDecision } from '../decision.ts'
import type { NodeOutcome, RunNodes, Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'

/** Runs the choices that a function names, in the order in which it does: the output is the last one's. */
export function runRouter(scope: Scope, placed: Placed<RouterNode>, runNodes: RunNodes): Promise<NodeOutcome> {
  const { place, input } = placed
  return runContainer(scope, placed, async () => {
    const nodes = chosen(placed, await selected(scope, placed))
    return await runNodes(scope, { nodes, parentPath: place.path, input })
  })
}

async function selected(scope: Scope, placed: Placed<RouterNode>): Promise<unknown> {
  const { node, place, input } = placed
  const recorded = recordedDecision(scope, place)
  if (recorded !== undefined) return recorded
  const nodes = await consult(scope, {
    place,
    input,
    ask: async (context) => chosen(placed, await node.select(context)),
  })
  const names = nodes.map(({ name }) => name)
  await recordDecision(scope, place, names)
  return names
}

/** @throws KernError OUTPUT_INVALID for anything but names of choices, each once */
function chosen({ node, place }: Placed<RouterNode>, selection: unknown): readonly WorkflowNode[] {
  const names: readonly unknown[] = Array.isArray(selection) ? selection : [selection]
  const nodes = names.flatMap((name) => node.choices.find((choice) => choice.name === name) ?? [])
  if (nodes.length === names.length && names.length > 0 && new Set(names).size === names.length) return nodes
  const choices = node.choices.map(({ name }) => name)
  throw new KernError(
    'OUTPUT_INVALID',
    `router "${place.path}" selected ${shown(selection)}: allowed is one of the choices, or a list of some, each once: ${choices.map(shown).join(', ')}`,
  )
}
