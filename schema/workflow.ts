import { nextTick } from '../src/workflow/schedule.ts'
import { jsonSchemaOf } from '../src/workflow/jsonSchema.ts'
import type { Builder } from './builder.ts'
import { outputSchemaOf } from './nodeSchemas.ts'
import { runConnection, sessionConnection } from './paging.ts'
import { stepsOf } from './stepDefinition.ts'

/** Adds `Workflow` and its queries. */
export function addWorkflow(builder: Builder): void {
  addWorkflowType(builder)
  addWorkflowLists(builder)
  addSchedule(builder)
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
        description:
          'The JSON Schema (2020-12) of what a run yields, unless a step stops it; null if that of the last step is not known.',
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
        description:
          'All steps, each before those inside it, those of nested workflows included; `parentPath` gives the tree.',
        resolve: stepsOf,
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

function addSchedule(builder: Builder): void {
  builder.objectType('WorkflowSchedule', {
    description:
      'When runs of a workflow are started by themselves. Times at which no process runs are not made up for.',
    fields: (t) => ({
      cron: t.exposeString('cron', {
        description: 'A cron expression: minute, hour, day of the month, month, day of the week.',
      }),
      timeZone: t.exposeString('timeZone', { description: 'The IANA time zone in which the expression is read.' }),
      input: t.field({
        type: 'JSON',
        nullable: true,
        description: 'What each run is given; null if it is given nothing.',
        resolve: ({ input }) => input ?? null,
      }),
      sessionId: t.exposeString('sessionId', {
        nullable: true,
        description: 'The session of the runs; null if each has a new one.',
      }),
      nextRunAt: t.field({
        type: 'DateTime',
        description: 'The next time of the schedule. The run is accepted some seconds after it.',
        resolve: (schedule) => nextTick(schedule, new Date()),
      }),
    }),
  })
  builder.objectField('Workflow', 'schedule', (t) =>
    t.field({
      type: 'WorkflowSchedule',
      nullable: true,
      description: 'When runs are started by themselves; null if they are not.',
      resolve: ({ schedule }) => schedule,
    }),
  )
}
