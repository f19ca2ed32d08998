import type { Builder } from './builder.ts'
import { answer, resultUnion } from './errors.ts'
import { encodeGlobalId } from './globalId.ts'
import type { SessionAnswer } from './models.ts'
import type { SessionRecord } from '../src/engine/records.ts'
import { runConnectionOfSession, sessionConnection } from './paging.ts'

/** Adds `Session`, its queries and its mutations. */
export function addSession(builder: Builder): void {
  addSessionType(builder)
  addSessionRuns(builder)
  addQueries(builder)
  addPayloads(builder)
  addSetSessionName(builder)
  addCreateSession(builder)
  addUpdateSession(builder)
  addDeleteSession(builder)
}

function addSessionType(builder: Builder): void {
  builder.node('Session', {
    description: 'An ordered list of complete runs of one workflow, with a name and a state that the runs share.',
    id: { resolve: ({ sessionId }) => sessionId },
    loadWithoutCache: (sessionId, { loaders }) => loaders.session(sessionId),
    fields: (t) => ({
      sessionId: t.exposeString('sessionId', { description: 'The id that the caller gave it, or a UUID.' }),
      name: t.exposeString('name', { nullable: true, description: 'Null until the session is named.' }),
      nameSource: t.expose('nameSource', {
        type: 'NameSource',
        nullable: true,
        description: 'Where the name comes from; null until the session is named.',
      }),
      displayName: t.exposeString('displayName', {
        description: 'The name; until there is one the start of the first input, or "New … session".',
      }),
      userId: t.exposeString('userId', { nullable: true, description: 'The owner; null where nobody was asked.' }),
      workflow: t.field({
        type: 'Workflow',
        nullable: true,
        description: 'The workflow that the session belongs to; null once it is no longer served.',
        resolve: ({ workflowId }, _args, { workflows }) => workflows.get(workflowId) ?? null,
      }),
      workflowId: t.exposeString('workflowId', { description: 'The id of the workflow that the session belongs to.' }),
      workflowName: t.exposeString('workflowName', { description: 'The name of that workflow at the latest run.' }),
      state: t.expose('state', { type: 'JSON', description: 'What the runs share: a JSON object.' }),
      stateVersion: t.exposeInt('stateVersion', {
        description: 'One more after each change of the state; 0 at first.',
      }),
      workflowData: t.expose('workflowData', {
        type: 'JSON',
        description: 'The definition at the latest run: id, name, description, version and the tree of steps.',
      }),
      metadata: t.field({
        type: 'JSON',
        nullable: true,
        description: "The caller's own; null if there is none.",
        resolve: ({ metadata }) => metadata ?? null,
      }),
      tags: t.exposeStringList('tags', { description: "The caller's own." }),
      createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When the session was created.' }),
      updatedAt: t.expose('updatedAt', {
        type: 'DateTime',
        description: 'When a run was accepted in the session, or its name, state, metadata or tags changed last.',
      }),
    }),
  })
}

function addSessionRuns(builder: Builder): void {
  builder.objectFields('Session', (t) => ({
    runCount: t.exposeInt('runCount', { description: 'How many runs were accepted so far.' }),
    lastRun: t.field({
      type: 'Run',
      nullable: true,
      description: 'The run that was accepted last; null if there is none.',
      resolve: ({ lastRunId }, _args, { loaders }) => (lastRunId ? loaders.run(lastRunId) : null),
    }),
    activeRun: t.field({
      type: 'Run',
      nullable: true,
      description: 'The run that has its turn; null while the session is idle.',
      resolve: ({ activeRunId }, _args, { loaders }) => (activeRunId ? loaders.run(activeRunId) : null),
    }),
    runs: t.field({
      type: 'RunConnection',
      description: 'The runs of this session.',
      args: {
        ...t.arg.connectionArgs(),
        filter: t.arg({ type: 'RunFilter', description: 'Which of them. Null: all.' }),
        orderBy: t.arg({ type: 'RunOrder', description: 'Null: newest first.' }),
      },
      resolve: ({ sessionId }, args, context) => runConnectionOfSession(context, args, sessionId),
    }),
    historyContext: t.string({
      nullable: true,
      description: 'The block of earlier runs that the next run would be given; null if there is no completed run.',
      args: { numRuns: t.arg.int({ description: "How many runs. Null: as many as the workflow's settings say." }) },
      resolve: (session, { numRuns }, { commands, viewer }) =>
        commands.historyContext(viewer, session, numRuns ?? undefined),
    }),
  }))
}

function addQueries(builder: Builder): void {
  builder.queryFields((t) => ({
    sessions: t.field({
      type: 'SessionConnection',
      description: 'Sessions of all workflows.',
      args: {
        ...t.arg.connectionArgs(),
        filter: t.arg({ type: 'SessionFilter', description: 'Which of them. Null: all.' }),
        orderBy: t.arg({ type: 'SessionOrder', description: 'Null: most recently changed first.' }),
      },
      resolve: (_root, args, context) => sessionConnection(context, args),
    }),
    session: t.field({
      type: 'Session',
      nullable: true,
      description: 'A session; null if there is none with this id.',
      args: { sessionId: t.arg.string({ required: true, description: 'The id of the session.' }) },
      resolve: (_root, { sessionId }, { loaders }) => loaders.session(sessionId),
    }),
  }))
}

function addPayloads(builder: Builder): void {
  builder.objectType('SessionPayload', {
    description: 'The mutation was done.',
    fields: (t) => ({
      session: t.expose('session', { type: 'Session', description: 'The session as it is now.' }),
      edge: t.field({
        type: 'SessionEdge',
        description: 'The session with its place in the default order of sessions.',
        resolve: ({ session }, _args, { reader }) => ({ cursor: reader.sessionCursor(session), node: session }),
      }),
    }),
  })
  builder.objectType('DeletePayload', {
    description: 'The deletion was done.',
    fields: (t) => ({
      deletedId: t.exposeID('deletedId', { description: 'The global id (`id`) of what is gone.' }),
    }),
  })
}

const done = (session: SessionRecord): SessionAnswer => ({ typename: 'SessionPayload', session })

function addSetSessionName(builder: Builder): void {
  const input = builder.inputType('SetSessionNameInput', {
    description: 'Exactly one of `sessionName` and `autogenerate: true`.',
    fields: (t) => ({
      sessionId: t.string({ required: true, description: 'The id of the session.' }),
      sessionName: t.string({
        description:
          'The name: 1 to 200 characters without control characters, blanks around it left out. Null: not given.',
      }),
      autogenerate: t.boolean({
        defaultValue: false,
        description: "Whether to make the name of the workflow's description and the time. Null: false.",
      }),
    }),
  })
  const union = resultUnion(builder, {
    name: 'SetSessionNameResult',
    payload: 'SessionPayload',
    refusals: ['NotFoundError', 'InputInvalidError', 'ForbiddenError'],
  })
  builder.mutationField('setSessionName', (t) =>
    t.field({
      type: union.ref,
      description: 'Names a session, by hand or by itself.',
      args: { input: t.arg({ type: input, required: true, description: 'Which session, and the name.' }) },
      resolve: (_root, { input: { sessionId, sessionName, autogenerate } }, { commands, viewer }) =>
        answer(union, async () =>
          done(
            await commands.setSessionName(viewer, {
              sessionId,
              sessionName: sessionName ?? undefined,
              autogenerate: autogenerate ?? undefined,
            }),
          ),
        ),
    }),
  )
}

function addCreateSession(builder: Builder): void {
  const input = builder.inputType('CreateSessionInput', {
    description: 'A session without runs.',
    fields: (t) => ({
      workflowId: t.string({ required: true, description: 'The workflow that the session will belong to.' }),
      sessionId: t.string({ description: '1 to 200 characters without control characters. Null: a new UUID.' }),
      userId: t.string({ description: 'The owner. Null: the viewer.' }),
      sessionName: t.string({ description: 'The name, 1 to 200 characters. Null: unnamed.' }),
      state: t.field({
        type: 'JSON',
        description: "A JSON object, merged over the workflow's default. Null: the default.",
      }),
      metadata: t.field({ type: 'JSON', description: "The caller's own. Null: none." }),
      tags: t.stringList({ description: "The caller's own. Null: none." }),
    }),
  })
  const union = resultUnion(builder, {
    name: 'CreateSessionResult',
    payload: 'SessionPayload',
    refusals: ['NotFoundError', 'InputInvalidError', 'ConflictError', 'ForbiddenError'],
  })
  builder.mutationField('createSession', (t) =>
    t.field({
      type: union.ref,
      description: 'Creates a session without running anything.',
      args: { input: t.arg({ type: input, required: true, description: 'The new session.' }) },
      resolve: (_root, { input: given }, { commands, viewer }) =>
        answer(union, async () =>
          done(
            await commands.createSession(viewer, {
              workflowId: given.workflowId,
              sessionId: given.sessionId ?? undefined,
              userId: given.userId ?? undefined,
              sessionName: given.sessionName ?? undefined,
              state: given.state ?? undefined,
              metadata: given.metadata ?? undefined,
              tags: given.tags ?? undefined,
            }),
          ),
        ),
    }),
  )
}

function addUpdateSession(builder: Builder): void {
  const input = builder.inputType('UpdateSessionInput', {
    description: 'What to change in a session; what is not given stays as it is.',
    fields: (t) => ({
      sessionId: t.string({ required: true, description: 'The id of the session.' }),
      statePatch: t.field({
        type: 'JSON',
        description: 'A JSON Merge Patch (RFC 7396) of the state: keys replace, null deletes. Null: not given.',
      }),
      expectedStateVersion: t.int({
        description: 'Refuse the change unless `stateVersion` is this. Null: change whatever it is.',
      }),
      metadata: t.field({ type: 'JSON', description: 'Replaces the metadata. Null removes it; left out, it stays.' }),
      tags: t.stringList({ description: 'Replaces all tags. Null: not given.' }),
    }),
  })
  const union = resultUnion(builder, {
    name: 'UpdateSessionResult',
    payload: 'SessionPayload',
    refusals: ['NotFoundError', 'InputInvalidError', 'ConflictError', 'ForbiddenError'],
  })
  builder.mutationField('updateSession', (t) =>
    t.field({
      type: union.ref,
      description: 'Changes the state, metadata or tags of a session.',
      args: { input: t.arg({ type: input, required: true, description: 'Which session, and the changes.' }) },
      resolve: (_root, { input: { sessionId, statePatch, expectedStateVersion, metadata, tags } }, context) =>
        answer(union, async () =>
          done(
            await context.commands.updateSession(context.viewer, {
              sessionId,
              statePatch: statePatch ?? undefined,
              expectedStateVersion: expectedStateVersion ?? undefined,
              metadata,
              tags: tags ?? undefined,
            }),
          ),
        ),
    }),
  )
}

function addDeleteSession(builder: Builder): void {
  const input = builder.inputType('DeleteSessionInput', {
    description: 'A session that is to go.',
    fields: (t) => ({ sessionId: t.string({ required: true, description: 'The id of the session.' }) }),
  })
  const union = resultUnion(builder, {
    name: 'DeleteSessionResult',
    payload: 'DeletePayload',
    refusals: ['NotFoundError', 'InputInvalidError', 'ConflictError', 'ForbiddenError'],
  })
  builder.mutationField('deleteSession', (t) =>
    t.field({
      type: union.ref,
      description: 'Deletes a session with all its runs. Refused while one of them is not over.',
      args: { input: t.arg({ type: input, required: true, description: 'Which session.' }) },
      resolve: (_root, { input: { sessionId } }, { commands, viewer }) =>
        answer(union, async () => {
          const gone = await commands.deleteSession(viewer, { sessionId })
          return { typename: 'DeletePayload', deletedId: encodeGlobalId('Session', gone) }
        }),
    }),
  )
}
