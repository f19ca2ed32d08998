import type { AgentNode } from '../../workflow/definition.ts'
import { definitionPathOf } from '../../workflow/nodes.ts'
import { callAgent } from '../agent/call.ts'
import type { Body } from '../attemptOnce.ts'
import type { NodeOutcome, Scope } from '../execution.ts'
import type { Placed } from '../stepRecord.ts'
import { runWork } from '../work.ts'
import { bodyOf } from './step.ts'

/** Calls a language model. */
export function runAgent(scope: Scope, placed: Placed<AgentNode>): Promise<NodeOutcome> {
  const override = scope.execution.overrides.get(definitionPathOf(placed.place.path))
  return runWork(scope, { ...placed, body: override ? bodyOf(override) : callOf(placed.node) })
}

function callOf(node: AgentNode): Body {
  return (context, tools) => callAgent(node, context, tools)
}
