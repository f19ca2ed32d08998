import type { WorkflowDefinition, WorkflowNode } from '../src/workflow/definition.ts'
import type { Builder } from './builder.ts'
import { stepKind } from './enums.ts'
import type { ConditionBranch, PlacedStep } from './models.ts'
import { inputSchemaOf, outputSchemaOf } from './nodeSchemas.ts'

/** Adds `StepDefinition`. */
export function addStepDefinition(builder: Builder): void {
  builder.objectType('StepDefinition', {
    description: 'A step of a workflow, as its author defined it.',
    fields: (t) => ({
      path: t.exposeString('path', {
        description:
          'The names from the outside in, joined by `/`; unique in the workflow. In a run, the path of a step in a loop or ' +
          'map has numbers besides: `refine[2]/draft` for `refine/draft`.',
      }),
      parentPath: t.exposeString('parentPath', {
        nullable: true,
        description: 'The path of the step around it; null at the top.',
      }),
      branch: t.expose('branch', {
        type: 'ConditionBranch',
        nullable: true,
        description: 'Which branch of the condition around it the step is in; null directly below anything else.',
      }),
      name: t.string({ description: 'The last part of the path.', resolve: ({ node }) => node.name }),
      kind: t.field({ type: 'StepKind', description: 'What the step is.', resolve: ({ node }) => stepKind(node.kind) }),
      description: t.string({
        nullable: true,
        description: 'What the step does; null if the author wrote nothing.',
        resolve: ({ node }) => node.description,
      }),
      inputSchema: t.field({
        type: 'JSON',
        nullable: true,
        description: 'The JSON Schema (2020-12) of what the step takes; null if the author gave none.',
        resolve: ({ node }) => inputSchemaOf(node),
      }),
      outputSchema: t.field({
        type: 'JSON',
        nullable: true,
        description:
          'The JSON Schema (2020-12) of what the step yields, for steps in order that of the last; null if it is not known.',
        resolve: ({ node }) => outputSchemaOf(node),
      }),
      maxAttempts: t.int({
        description: 'How often the step is tried at most.',
        resolve: ({ node }) => ('retry' in node ? node.retry.maxAttempts : 1),
      }),
      timeoutMs: t.float({
        nullable: true,
        description:
          'How long one attempt may take, or a person may take to answer, in milliseconds; null for no limit, and for steps ' +
          'that hold others.',
        resolve: ({ node }) => ('timeoutMs' in node ? node.timeoutMs : null),
      }),
      addsHistory: t.exposeBoolean('addsHistory', {
        description:
          'Whether the step is given earlier runs of the session, by its own setting or by that of its workflow; false for ' +
          'steps that do no work of their own.',
      }),
    }),
  })
}

/** What is around a step. */
interface Around {
  readonly parent: WorkflowNode | null
  /** The workflow that the step is part of: the nested one, if it is in one. */
  readonly definition: WorkflowDefinition
  /** Whether a nested workflow around it is given no history. */
  readonly withoutHistory: boolean
}

/** The steps of a workflow, with what is known only from what stands around each. */
export function stepsOf(definition: WorkflowDefinition): PlacedStep[] {
  const top: Around = { parent: null, definition, withoutHistory: false }
  // Parents stand before their children.
  const aroundBelow = new Map<string, Around>()
  return definition.nodes.map((placed) => {
    const { node, path, parentPath } = placed
    const around = (parentPath === null ? undefined : aroundBelow.get(parentPath)) ?? top
    aroundBelow.set(path, below(node, around))
    return { ...placed, addsHistory: addsHistory(node, around), branch: branchOf(node, around.parent) }
  })
}

function below(node: WorkflowNode, { definition, withoutHistory }: Around): Around {
  if (node.kind !== 'workflow') return { parent: node, definition, withoutHistory }
  return { parent: node, definition: node.workflow, withoutHistory: withoutHistory || !node.history }
}

function addsHistory(node: WorkflowNode, { definition, withoutHistory }: Around): boolean {
  if (withoutHistory || (node.kind !== 'step' && node.kind !== 'agent')) return false
  return node.addWorkflowHistory ?? definition.addWorkflowHistoryToSteps
}

function branchOf(node: WorkflowNode, parent: WorkflowNode | null): ConditionBranch | null {
  if (parent?.kind !== 'condition') return null
  return parent.then.includes(node) ? 'THEN' : 'ELSE'
}
