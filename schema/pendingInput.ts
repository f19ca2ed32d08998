import { type PendingWait, RESUME_ACTIONS, type ResumeAction, type StepSummary } from '../src/engine/records.ts'
import type { Json } from '../src/json.ts'
import { definitionPathOf } from '../src/workflow/nodes.ts'
import type { Builder } from './builder.ts'
import type { KernContext } from './context.ts'
import type { WaitingStep } from './models.ts'
import { answerSchemaOf } from './nodeSchemas.ts'
import { runOf } from './step.ts'

/** Adds `PendingInput`, and the field of `StepResult` that leads to it. */
export function addPendingInput(builder: Builder): void {
  builder.objectType('PendingInput', {
    description: 'What a step waits for. A person answers it by the mutation `resumeRun`.',
    fields: (t) => ({
      prompt: t.string({
        nullable: true,
        description: 'What the person is asked; null if nothing is.',
        resolve: ({ pending }) => pending.prompt,
      }),
      schema: t.field({
        type: 'JSON',
        nullable: true,
        description:
          'The JSON Schema (2020-12) of the `data` of an answer; null if none is asked for, if the step is not served any ' +
          'more, and where the author gave a schema that cannot be expressed so.',
        resolve: ({ step }, _args, context) => schemaOf(step, context),
      }),
      actions: t.field({
        type: ['ResumeAction'],
        description: 'What may be answered: CONTINUE where data is asked for, the others after a failure.',
        resolve: ({ pending }) => actionsFor(pending),
      }),
      requestedAt: t.field({
        type: 'DateTime',
        description: 'Since when the step waits.',
        resolve: ({ pending }) => new Date(pending.requestedAt),
      }),
      expiresAt: t.field({
        type: 'DateTime',
        nullable: true,
        description:
          'Until when it may be answered: then the answer counts that the author gave for this, or the step fails. Null: for ' +
          'as long as it takes.',
        resolve: ({ pending: { expiresAt } }) => (expiresAt === null ? null : new Date(expiresAt)),
      }),
    }),
  })
  builder.objectField('StepResult', 'pendingInput', (t) =>
    t.field({
      type: 'PendingInput',
      nullable: true,
      description: 'What the step waits for; null unless it is PAUSED, and as soon as it was answered.',
      resolve: (step) => waitingStep(step),
    }),
  )
}

function waitingStep(step: StepSummary): WaitingStep | null {
  const { status, pending, answer } = step
  return status === 'PAUSED' && pending && answer?.number !== pending.number ? { step, pending } : null
}

function actionsFor({ reason }: PendingWait): ResumeAction[] {
  return RESUME_ACTIONS.filter((action) => (action === 'CONTINUE') === (reason === 'input'))
}

async function schemaOf(step: StepSummary, context: KernContext): Promise<Json> {
  const { workflowId } = await runOf(step, context)
  const path = definitionPathOf(step.path)
  const placed = context.workflows.get(workflowId)?.nodes.find((other) => other.path === path)
  return placed ? answerSchemaOf(placed.node) : null
}
