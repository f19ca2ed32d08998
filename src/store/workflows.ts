import { sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { workflows } from '../db/tables.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import { encode } from './rows.ts'

/** Enters the definitions that a process serves. What is entered stays: sessions and runs refer to it. */
export async function enterWorkflows(db: Db, definitions: readonly WorkflowDefinition[]): Promise<void> {
  if (definitions.length === 0) return
  const values = definitions.map(({ id, version, name, data, initialState, priority }) => ({
    workflowId: id,
    version,
    name,
    data: encode(data) ?? '{}',
    initialState: encode(initialState) ?? '{}',
    priority,
  }))
  // Two processes that start at once enter their rows in the same order, and do not wait for each other.
  values.sort((a, b) => (a.workflowId < b.workflowId ? -1 : 1))
  await db
    .insert(workflows)
    .values(values)
    .onConflictDoUpdate({
      target: [workflows.workflowId, workflows.version],
      set: {
        name: sql`excluded.name`,
        data: sql`excluded.data`,
        initialState: sql`excluded.initial_state`,
        priority: sql`excluded.priority`,
        registeredAt: sql`now()`,
      },
    })
}
