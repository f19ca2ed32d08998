import type { Json } from '../src/json.ts'
import type { Schema, WorkflowNode } from '../src/workflow/definition.ts'
import { jsonSchemaOf } from '../src/workflow/jsonSchema.ts'
import type { Builder } from './builder.ts'
import { stepKind } from './enums.ts'
import type { PlacedStep } from './models.ts'
import { runConnection, sessionConnection } from './paging.ts'

/** Adds `Workflow`, `StepDefinition` and the queries for them. */
export function addWorkflow(builder: Builder): void {
  addWorkflowType(builder)
  addWorkflowLists(builder)
  addStepDefinition(builder)
  builder.queryFields((t) => ({
    workflows: t.field({
      type: ['Workflow'],
      description: 'The workflows that are served, in order of their ids.',
      resolve: (_root, _args, { workflows }) => workflows.list(),
    }),
    workflow: t.field({
      type: 'Workflow',
      nullable: true,
      description: 'A workflow that is served; null if there is none with this id.',
      args: { workflowId: t.arg.string({ required: true, description: 'The id that its author gave it.' }) },
      resolve: (_root, { workflowId }, { workflows }) => workflows.get(workflowId) ?? null,
    }),
  }))
}

function addWorkflowType(builder: Builder): void {
  builder.node('Workflow', {
    description: 'A named, ordered tree of steps, as its author defined it.',
    id: { resolve: ({ id }) => id },
    loadWithoutCache: (id, { workflows }) => workflows.get(id) ?? null,
    fields: (t) => ({
      workflowId: t.exposeString('id', { description: 'The id by which people and programs name the workflow.' }),
      name: t.exposeString('name', { description: 'For people.' }),
      description: t.exposeString('description', {
        nullable: true,
        description: 'What the workflow does; null if the author wrote nothing.',
      }),
      version: t.exposeString('version', {
        description: 'A hash of the structure: kinds, names, order and settings of the steps.',
      }),
      inputSchema: t.field({
        type: 'JSON',
        nullable: true,
        description: 'The JSON Schema (2020-12) of what a run takes; null if the author gave none.',
        resolve: ({ input }) => jsonSchemaOf(input, 'input'),
      }),
      outputSchema: t.field({
        type: 'JSON',
        nullable: true,
        description: 'The JSON Schema (2020-12) of what a run yields; null if the last step has none.',
        resolve: (definition) => outputSchemaOf(definition.steps.at(-1)),
      }),
      stateSchema: t.field({
        type: 'JSON',
        nullable: true,
        description: 'The JSON Schema (2020-12) of the state of its sessions; null if the author gave none.',
        resolve: ({ state }) => jsonSchemaOf(state, 'output'),
      }),
      steps: t.field({
        type: ['StepDefinition'],
        description: 'All steps, each before those inside it; `parentPath` gives the tree.',
        resolve: (definition) => definition.nodes.map((placed) => ({ ...placed, definition })),
      }),
      addWorkflowHistoryToSteps: t.exposeBoolean('addWorkflowHistoryToSteps', {
        description: 'Whether steps that do not say otherwise are given earlier runs of the session.',
      }),
      numHistoryRuns: t.exposeInt('numHistoryRuns', {
        description: 'How many earlier runs a step is given that does not say otherwise.',
      }),
    }),
  })
}

function addWorkflowLists(builder: Builder): void {
  builder.objectFields('Workflow', (t) => ({
    sessions: t.field({
      type: 'SessionConnection',
      description: 'The sessions of this workflow.',
      args: {
        ...t.arg.connectionArgs(),
        filter: t.arg({ type: 'SessionFilter', description: 'Which of them. Null: all.' }),
        orderBy: t.arg({ type: 'SessionOrder', description: 'Null: most recently changed first.' }),
      },
      resolve: ({ id }, args, context) => sessionConnection(context, args, { workflowId: id }),
    }),
    runs: t.field({
      type: 'RunConnection',
      description: 'The runs of this workflow, of all sessions.',
      args: {
        ...t.arg.connectionArgs(),
        filter: t.arg({ type: 'RunFilter', description: 'Which of them. Null: all.' }),
        orderBy: t.arg({ type: 'RunOrder', description: 'Null: newest first.' }),
      },
      resolve: ({ id }, args, context) => runConnection(context, args, { workflowId: id }),
    }),
  }))
}

function addStepDefinition(builder: Builder): void {
  builder.objectType('StepDefinition', {
    description: 'A step of a workflow, as its author defined it.',
    fields: (t) => ({
      path: t.exposeString('path', {
        description: 'The names from the outside in, joined by `/`; unique in the workflow.',
      }),
      parentPath: t.exposeString('parentPath', {
        nullable: true,
        description: 'The path of the step around it; null at the top.',
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
        resolve: ({ node }) => jsonSchemaOf(schemasOf(node).input, 'input'),
      }),
      outputSchema: t.field({
        type: 'JSON',
        nullable: true,
        description: 'The JSON Schema (2020-12) of what the step yields; null if the author gave none.',
        resolve: ({ node }) => jsonSchemaOf(schemasOf(node).output, 'output'),
      }),
      maxAttempts: t.int({
        description: 'How often the step is tried at most.',
        resolve: ({ node }) => (node.kind === 'step' ? node.retry.maxAttempts : 1),
      }),
      timeoutMs: t.float({
        nullable: true,
        description: 'How long one attempt may take, in milliseconds; null for no limit.',
        resolve: ({ node }) => (node.kind === 'step' ? node.timeoutMs : null),
      }),
      addsHistory: t.boolean({
        description: "Whether the step is given earlier runs of the session, by its own setting or by the workflow's.",
        resolve: addsHistory,
      }),
    }),
  })
}

function addsHistory({ node, definition }: PlacedStep): boolean {
  return node.kind === 'step' && (node.addWorkflowHistory ?? definition.addWorkflowHistoryToSteps)
}

function schemasOf(node: WorkflowNode): { readonly input: Schema | null; readonly output: Schema | null } {
  return node.kind === 'step' ? node : { input: null, output: null }
}

/** The schema of what a run yields is that of its last step, however deep it stands. */
function outputSchemaOf(node: WorkflowNode | undefined): Json {
  switch (node?.kind) {
    case undefined:
      return null
    case 'step':
      return jsonSchemaOf(node.output, 'output')
    case 'sequence':
      return outputSchemaOf(node.steps.at(-1))
  }
}
