import { encodeEventCursor } from '../src/engine/cursor.ts'
import { isFinal, type SessionRecord } from '../src/engine/records.ts'
import { KernError } from '../src/errors.ts'
import type { Builder } from './builder.ts'
import type { KernContext } from './context.ts'
import { durationMs } from './outcome.ts'
import { runConnection } from './paging.ts'

/** Adds `Run` and its queries. Its mutations, steps, events and metrics are added by their own files. */
export function addRun(builder: Builder): void {
  addRunType(builder)
  addRunTimes(builder)
  addRunValues(builder)
  addRunRelations(builder)
  addQueries(builder)
}

function addRunType(builder: Builder): void {
  builder.node('Run', {
    description: 'One execution of a workflow, from input to output.',
    id: { resolve: ({ runId }) => runId },
    loadWithoutCache: (runId, { loaders }) => loaders.run(runId),
    fields: (t) => ({
      runId: t.exposeString('runId', { description: 'The UUID by which people and programs name the run.' }),
      number: t.exposeInt('number', { description: '1, 2, 3 … within the session, in order of acceptance.' }),
      status: t.expose('status', { type: 'RunStatus', description: 'Where the run stands.' }),
      queuePosition: t.int({
        nullable: true,
        description: 'Its place among the waiting runs of the session, from 1; null unless QUEUED.',
        resolve: ({ runId, status }, _args, { loaders }) => (status === 'QUEUED' ? loaders.queuePosition(runId) : null),
      }),
      priority: t.exposeInt('priority', {
        description: 'Among runs that wait for a worker, those with a higher one are taken first, -100 to 100.',
      }),
      workflowId: t.exposeString('workflowId', { description: 'The id of the workflow.' }),
      workflowName: t.exposeString('workflowName', {
        description: 'The name of the workflow when the run was accepted.',
      }),
      workflowVersion: t.exposeString('workflowVersion', {
        description:
          'The version of the workflow under which the run is executed, or was; until it begins, that of its acceptance.',
      }),
      error: t.expose('error', {
        type: 'RunError',
        nullable: true,
        description: 'Why the run failed or was cancelled; null unless it was.',
      }),
      stoppedBy: t.exposeString('stoppedBy', {
        nullable: true,
        description: 'The path of the step that ended the run early; null if none did.',
      }),
      tags: t.exposeStringList('tags', { description: "The caller's own." }),
      metadata: t.field({
        type: 'JSON',
        nullable: true,
        description: "The caller's own; null if there is none.",
        resolve: ({ metadata }) => metadata ?? null,
      }),
      lastCursor: t.string({
        description:
          'The cursor of the newest event as of this answer: subscribe to the run `after` it and miss nothing. That of ' +
          'a QUEUED run is a place in that run: a subscription to the session from there leaves out what the runs before ' +
          'it still do.',
        resolve: ({ runId, lastSeq }) => encodeEventCursor({ runId, seq: lastSeq }),
      }),
    }),
  })
}

function addRunTimes(builder: Builder): void {
  builder.objectFields('Run', (t) => ({
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the run was accepted.' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true, description: 'When it began; null before.' }),
    completedAt: t.expose('completedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the run ended, whatever its status; null before.',
    }),
    durationMs: t.float({
      nullable: true,
      description: 'From start to end, in milliseconds; null until it ended, and if it never began.',
      resolve: durationMs,
    }),
  }))
}

function addRunValues(builder: Builder): void {
  builder.objectFields('Run', (t) => ({
    input: t.field({
      type: 'JSON',
      nullable: true,
      description: 'As it was given; null if it was null, or not given.',
      resolve: async ({ runId }, _args, { loaders }) => (await loaders.payload(runId))?.input ?? null,
    }),
    inputPreview: t.exposeString('inputPreview', {
      description: 'The start of the input as text, cut to 256 characters; empty if there is none.',
    }),
    output: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the run returned; null until it is COMPLETED, and if it returned null.',
      resolve: async ({ runId, status }, _args, { loaders }) =>
        status === 'COMPLETED' ? ((await loaders.payload(runId))?.output ?? null) : null, // it may be newer than the status
    }),
    outputPreview: t.exposeString('outputPreview', {
      nullable: true,
      description: 'The start of the output as text, cut to 256 characters; null until there is one.',
    }),
    stateBefore: t.field({
      type: 'JSON',
      nullable: true,
      description: "The session's state at the start; null until the run began.",
      resolve: async ({ runId, startedAt }, _args, { loaders }) =>
        startedAt ? ((await loaders.payload(runId))?.stateBefore ?? null) : null,
    }),
    stateAfter: t.field({
      type: 'JSON',
      nullable: true,
      description: "The session's state at the end; null until the run ended, and if it never began.",
      resolve: async ({ runId, status }, _args, { loaders }) =>
        isFinal(status) ? ((await loaders.payload(runId))?.stateAfter ?? null) : null,
    }),
  }))
}

function addRunRelations(builder: Builder): void {
  builder.objectFields('Run', (t) => ({
    session: t.field({
      type: 'Session',
      description: 'The session that the run belongs to.',
      resolve: async ({ sessionId }, _args, context) => sessionOf(sessionId, context),
    }),
    workflow: t.field({
      type: 'Workflow',
      nullable: true,
      description: 'The workflow as it is now; null once it is no longer served.',
      resolve: ({ workflowId }, _args, { workflows }) => workflows.get(workflowId) ?? null,
    }),
    historyRuns: t.field({
      type: ['Run'],
      description: 'The earlier runs that its steps were given as history, oldest first.',
      resolve: async ({ historyRunIds }, _args, { loaders }) => {
        const runs = await Promise.all(historyRunIds.map((runId) => loaders.run(runId)))
        return runs.filter((run) => run !== null)
      },
    }),
    retryOf: t.field({
      type: 'Run',
      nullable: true,
      description: 'The run that this one was forked from; null if it was started afresh.',
      resolve: ({ retryOf }, _args, { loaders }) => (retryOf ? loaders.run(retryOf) : null),
    }),
    retries: t.field({
      type: ['Run'],
      description: 'The runs that were forked from this one, oldest first.',
      resolve: ({ runId }, _args, { loaders }) => loaders.retries(runId),
    }),
  }))
}

async function sessionOf(sessionId: string, { loaders }: KernContext): Promise<SessionRecord> {
  const session = await loaders.session(sessionId)
  if (!session) throw new KernError('NOT_FOUND', `session ${sessionId} is gone`)
  return session
}

function addQueries(builder: Builder): void {
  builder.queryFields((t) => ({
    runs: t.field({
      type: 'RunConnection',
      description: 'Runs of all sessions.',
      args: {
        ...t.arg.connectionArgs(),
        filter: t.arg({ type: 'RunFilter', description: 'Which of them. Null: all.' }),
        orderBy: t.arg({ type: 'RunOrder', description: 'Null: newest first.' }),
      },
      resolve: (_root, args, context) => runConnection(context, args),
    }),
    run: t.field({
      type: 'Run',
      nullable: true,
      description: 'A run; null if there is none with this id.',
      args: { runId: t.arg.id({ required: true, description: 'The `runId` of the run.' }) },
      resolve: (_root, { runId }, { loaders }) => loaders.run(runId),
    }),
  }))
}
