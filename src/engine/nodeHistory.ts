import { renderHistory, withinBudget } from '../session/history.ts'
import type { History } from '../workflow/context.ts'
import type { WorkflowDefinition, WorkflowNode } from '../workflow/definition.ts'
import { childrenOf } from '../workflow/nodes.ts'
import type { Scope } from './execution.ts'

/** Whether a node is given history, and how many runs. */
export interface HistorySettings {
  readonly added: boolean
  readonly count: number
}

interface Asked {
  readonly addWorkflowHistory: boolean | null
  readonly numHistoryRuns: number | null
}

/** A node that does not say does as its workflow says. */
const UNSAID: Asked = Object.freeze({ addWorkflowHistory: null, numHistoryRuns: null })

function settingsOf(definition: WorkflowDefinition, node: Asked): HistorySettings {
  return {
    added: node.addWorkflowHistory ?? definition.addWorkflowHistoryToSteps,
    count: node.numHistoryRuns ?? definition.numHistoryRuns,
  }
}

/** The largest number of earlier runs that any node of the workflow, or of one nested in it, is given. */
export function historyNeeded(definition: WorkflowDefinition): number {
  return Math.max(...definition.steps.map((node) => neededBy(definition, node)))
}

function neededBy(definition: WorkflowDefinition, node: WorkflowNode): number {
  switch (node.kind) {
    case 'step':
    case 'agent': {
      const { added, count } = settingsOf(definition, node)
      return added ? count : 0
    }
    case 'workflow':
      return node.history ? historyNeeded(node.workflow) : 0
    default: {
      const { added, count } = settingsOf(definition, UNSAID)
      const own = added && hasFunction(node) ? count : 0
      return Math.max(own, ...childrenOf(node).map((child) => neededBy(definition, child)))
    }
  }
}

/** Whether an author's function is asked for the node, which may read history. */
function hasFunction(node: WorkflowNode): boolean {
  return Object.values(node).some((value) => typeof value === 'function')
}

/** The history that one node gets. */
export function historyFor(scope: Scope, node: Asked = UNSAID): History {
  const { historyRuns, readHistory } = scope.execution
  const settings = settingsOf(scope.definition, node)
  const added = scope.history && settings.added
  const runs = added ? withinBudget(historyRuns.slice(-settings.count), scope.definition.historyBudget) : []
  return { runs, text: renderHistory(runs), get: (count) => readHistory(count) }
}
