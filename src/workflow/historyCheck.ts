import { shown } from '../errors.ts'
import type { PlacedNode, WorkflowNode } from './definition.ts'
import { type RawOptions, refused } from './validate.ts'

const HISTORY_KEYS = ['addWorkflowHistoryToSteps', 'numHistoryRuns', 'historyBudget'] as const

interface Told {
  readonly nodes: readonly PlacedNode[]
  /** Whether nodes are given history that do not say. */
  readonly byDefault: boolean
}

/**
 * Refuses settings of history that would have no effect.
 *
 * @throws KernError DEFINITION_INVALID
 */
export function checkHistory(
  named: string,
  options: RawOptions<(typeof HISTORY_KEYS)[number]>,
  { nodes, byDefault }: Told,
): void {
  const own = ownNodes(nodes)
  for (const { node, path } of own) {
    if (node.kind !== 'step' && node.kind !== 'agent') continue
    if (node.numHistoryRuns === null || getsHistory(node, byDefault)) continue
    const place = `numHistoryRuns of step ${shown(path)} of ${named}`
    throw refused(place, node.numHistoryRuns, 'allowed is none where neither step nor workflow adds history')
  }
  if (own.some(({ node }) => getsHistory(node, byDefault))) return
  const setting = HISTORY_KEYS.find((key) => options[key] !== undefined && options[key] !== false)
  if (setting !== undefined) {
    const allowed =
      'allowed is none where no step is given history (by addWorkflowHistoryToSteps or addWorkflowHistory)'
    throw refused(`${setting} of ${named}`, options[setting], allowed)
  }
}

/** The nodes for which the workflow's settings hold: a nested workflow has its own. */
function ownNodes(nodes: readonly PlacedNode[]): readonly PlacedNode[] {
  const nested = nodes.filter(({ node }) => node.kind === 'workflow').map(({ path }) => `${path}/`)
  return nodes.filter(({ path }) => !nested.some((prefix) => path.startsWith(prefix)))
}

/** Whether a function of the node is given history. */
function getsHistory(node: WorkflowNode, byDefault: boolean): boolean {
  switch (node.kind) {
    case 'step':
    case 'agent':
      return node.addWorkflowHistory ?? byDefault
    case 'condition':
    case 'router':
      return byDefault
    case 'loop':
      return byDefault && node.until !== null
    case 'map':
      return byDefault && node.items !== null
    case 'approval':
    case 'input':
      return byDefault && typeof node.prompt === 'function'
    case 'sequence':
    case 'parallel':
    case 'workflow':
    case 'sleep':
      return false
  }
}
