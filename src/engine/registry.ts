import type { Workflows } from './api.ts'
import { KernError } from '../errors.ts'
import type { HasDefinition, WorkflowDefinition } from '../workflow/definition.ts'

/** The definitions that a Kern serves. @throws KernError DEFINITION_INVALID if two different ones have the same id */
export function createRegistry(workflows: readonly HasDefinition[]): Workflows {
  const byId = new Map<string, WorkflowDefinition>()
  for (const { definition } of workflows) {
    const present = byId.get(definition.id)
    if (present && present !== definition) {
      throw new KernError(
        'DEFINITION_INVALID',
        `two workflows have the id "${definition.id}": "${present.name}" and "${definition.name}"; give one of them another id`,
      )
    }
    byId.set(definition.id, definition)
  }
  const sorted = [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
  return { list: () => sorted, get: (id) => byId.get(id) }
}
