import type { Overrides } from '../engine/execution.ts'
import { KernError, shown } from '../errors.ts'
import type { StepContext } from '../workflow/context.ts'
import type { HasDefinition, WorkflowDefinition } from '../workflow/definition.ts'

/** A function that takes the place of a step's own. What it returns is checked by the step's output schema. */
export type Override = (context: StepContext) => unknown

/**
 * Reads overrides: each key is the path of a step or agent step in its definition, `gather/web`, with the id of the
 * workflow before it, `research:gather/web`, where several workflows have that path.
 *
 * @throws KernError CONFIG_INVALID for a path that is not there, or is there twice, or is not that of a step
 */
export function readOverrides(
  workflows: readonly HasDefinition[],
  given: Readonly<Record<string, Override>>,
): ReadonlyMap<string, Overrides> {
  const read = new Map<string, Map<string, Override>>()
  for (const [key, override] of Object.entries(given)) {
    const { workflowId, path } = target(workflows, key)
    if (typeof override !== 'function') {
      throw new KernError('CONFIG_INVALID', `overrides[${shown(key)}] is ${shown(override)}: allowed is a function`)
    }
    const ofWorkflow = read.get(workflowId) ?? new Map<string, Override>()
    read.set(workflowId, ofWorkflow.set(path, override))
  }
  return read
}

interface Target {
  readonly workflowId: string
  readonly path: string
}

function target(workflows: readonly HasDefinition[], key: string): Target {
  const targets = workflows.flatMap(({ definition }) => stepsOf(definition))
  const found = targets.filter(({ workflowId, path }) => key === path || key === `${workflowId}:${path}`)
  const [first, second] = found
  if (first && !second) return first
  const what = first ? 'is the path of several steps' : 'is no path of a step'
  const allowed = (first ? found : targets).map(({ workflowId, path }) => (first ? `${workflowId}:${path}` : path))
  throw new KernError(
    'CONFIG_INVALID',
    `overrides[${shown(key)}] ${what}: allowed are ${allowed.map(shown).join(', ')}`,
  )
}

function stepsOf({ id, nodes }: WorkflowDefinition): Target[] {
  const steps = nodes.filter(({ node }) => node.kind === 'step' || node.kind === 'agent')
  return steps.map(({ path }) => ({ workflowId: id, path }))
}
