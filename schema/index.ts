import type { GraphQLSchema } from 'graphql'
import { createBuilder } from './builder.ts'
import { addEnums } from './enums.ts'
import { addErrors } from './errors.ts'
import { addEvent } from './event.ts'
import { addFilters } from './filters.ts'
import { addOutcome } from './outcome.ts'
import { addConnections } from './paging.ts'
import { addRun } from './run.ts'
import { addRunChange } from './runChange.ts'
import { addRunMutations } from './runMutations.ts'
import { addPendingInput } from './pendingInput.ts'
import { addScalars } from './scalars.ts'
import { addSession } from './session.ts'
import { addStep } from './step.ts'
import { addStepDefinition } from './stepDefinition.ts'
import { refuseBrokenText } from './text.ts'
import { addViewer } from './viewer.ts'
import { addWorkflow } from './workflow.ts'

/** Makes the GraphQL schema of Kern. What its resolvers need comes through the context: see `KernContext`. */
export function createSchema(): GraphQLSchema {
  const builder = createBuilder()
  builder.queryType({ description: 'Everything that can be read.' })
  builder.mutationType({
    description: 'Everything that changes something. Each takes one input and answers with a union: done, or why not.',
  })
  builder.subscriptionType({ description: 'Streams of what happens.' })
  addScalars(builder)
  addEnums(builder)
  addFilters(builder)
  addErrors(builder)
  addConnections(builder)
  addWorkflow(builder)
  addStepDefinition(builder)
  addSession(builder)
  addRun(builder)
  addRunMutations(builder)
  addOutcome(builder)
  addStep(builder)
  addPendingInput(builder)
  addEvent(builder)
  addRunChange(builder)
  addViewer(builder)
  return refuseBrokenText(builder.toSchema())
}
