import type { RunRecord } from '../src/engine/records.ts'
import type { Builder } from './builder.ts'
import { answer, resultUnion } from './errors.ts'
import { isGiven } from './filters.ts'
import type { RunAnswer } from './models.ts'

/** Adds the mutations of runs. */
export function addRunMutations(builder: Builder): void {
  addPayload(builder)
  addRunWorkflow(builder)
  addCancelRun(builder)
  addResumeRun(builder)
  addRetryRun(builder)
}

function addPayload(builder: Builder): void {
  builder.objectType('RunPayload', {
    description: 'The mutation was done.',
    fields: (t) => ({
      run: t.expose('run', { type: 'Run', description: 'The run as it is now.' }),
      edge: t.field({
        type: 'RunEdge',
        description: 'The run with its place in the default order of runs.',
        resolve: ({ run }, _args, { reader }) => ({ cursor: reader.runCursor(run), node: run }),
      }),
    }),
  })
}

/** How a mutation of a run that is there may be refused. */
const CHANGE_REFUSALS = ['NotFoundError', 'InputInvalidError', 'ConflictError', 'ForbiddenError'] as const

const done = (run: RunRecord): RunAnswer => ({ typename: 'RunPayload', run })

function addRunWorkflow(builder: Builder): void {
  const union = resultUnion(builder, {
    name: 'RunWorkflowResult',
    payload: 'RunPayload',
    refusals: ['NotFoundError', 'InputInvalidError', 'ConflictError', 'ForbiddenError', 'LimitExceededError'],
  })
  const input = runWorkflowInput(builder)
  builder.mutationField('runWorkflow', (t) =>
    t.field({
      type: union.ref,
      description:
        'Starts a run. Once it is answered with a run, the run will be executed whatever happens to the server.',
      args: { input: t.arg({ type: input, required: true, description: 'What to run, and with what.' }) },
      resolve: (_root, { input: given }, { commands, viewer }) =>
        answer(union, async () =>
          done(
            await commands.runWorkflow(viewer, {
              workflowId: given.workflowId,
              input: given.input ?? undefined,
              sessionId: given.sessionId ?? undefined,
              userId: given.userId ?? undefined,
              sessionName: given.sessionName ?? undefined,
              sessionState: given.sessionState ?? undefined,
              metadata: given.metadata ?? undefined,
              tags: given.tags ?? undefined,
              idempotencyKey: given.idempotencyKey ?? undefined,
              onBusy: given.onBusy ?? undefined,
              priority: given.priority ?? undefined,
              waitMs: given.waitMs ?? undefined,
            }),
          ),
        ),
    }),
  )
}

function runWorkflowInput(builder: Builder) {
  return builder.inputType('RunWorkflowInput', {
    description: 'What to run, and with what.',
    fields: (t) => ({
      workflowId: t.string({ required: true, description: 'The id of the workflow.' }),
      input: t.field({ type: 'JSON', description: 'What the first step is given. Null: nothing.' }),
      sessionId: t.string({
        description: 'The session to run in, created if it does not exist. Null: a new one with a UUID.',
      }),
      userId: t.string({ description: 'The owner of the run, and of the session if it is new. Null: the viewer.' }),
      sessionName: t.string({ description: 'Names the session, 1 to 200 characters. Null: the name stays.' }),
      sessionState: t.field({
        type: 'JSON',
        description: "A JSON object, merged over the session's state when the run starts. Null: nothing.",
      }),
      metadata: t.field({ type: 'JSON', description: "The caller's own, kept with the run. Null: none." }),
      tags: t.stringList({ description: "The caller's own, kept with the run. Null: none." }),
      idempotencyKey: t.string({
        description:
          'The same key with the same workflow, input and session gives the same run, else a conflict. Null: a new run.',
      }),
      onBusy: t.field({
        type: 'BusyPolicy',
        defaultValue: 'QUEUE',
        description: 'What to do if the session has a run that is not over. Null: QUEUE.',
      }),
      priority: t.int({
        description:
          "Among runs that wait for a worker, those with a higher one are taken first, -100 to 100. Null: the workflow's.",
      }),
      waitMs: t.int({
        defaultValue: 0,
        description:
          'Answer once the run ended or waits for a person, at the latest after this time in milliseconds, 0 to 60000. 0 or ' +
          'null: answer at once.',
      }),
    }),
  })
}

function addCancelRun(builder: Builder): void {
  const input = builder.inputType('CancelRunInput', {
    description: 'A run that is to end.',
    fields: (t) => ({
      runId: t.id({ required: true, description: 'The `runId` of the run.' }),
      reason: t.string({ description: 'Kept with the run, for people. Null: none.' }),
    }),
  })
  const union = resultUnion(builder, { name: 'CancelRunResult', payload: 'RunPayload', refusals: CHANGE_REFUSALS })
  builder.mutationField('cancelRun', (t) =>
    t.field({
      type: union.ref,
      description: 'Ends a queued, running or paused run. A run that was over before is answered as it is.',
      args: { input: t.arg({ type: input, required: true, description: 'Which run.' }) },
      resolve: (_root, { input: { runId, reason } }, { commands, viewer }) =>
        answer(union, async () => done(await commands.cancelRun(viewer, { runId, reason: reason ?? undefined }))),
    }),
  )
}

function addResumeRun(builder: Builder): void {
  const input = builder.inputType('ResumeRunInput', {
    description: 'An answer to a step that waits for a person.',
    fields: (t) => ({
      runId: t.id({ required: true, description: 'The `runId` of the run.' }),
      stepPath: t.string({
        description: 'The `path` of the step that is answered. Null: the one that waits; refused if several do.',
      }),
      data: t.field({
        type: 'JSON',
        description:
          'With CONTINUE: the data, which the `schema` of the `pendingInput` has to accept; null is a value, and left out ' +
          'is refused. With another action: left out or null.',
      }),
      action: t.field({
        type: 'ResumeAction',
        defaultValue: 'CONTINUE',
        description: 'What is to be done: one of the `actions` of the `pendingInput`. Null: CONTINUE.',
      }),
    }),
  })
  const union = resultUnion(builder, { name: 'ResumeRunResult', payload: 'RunPayload', refusals: CHANGE_REFUSALS })
  builder.mutationField('resumeRun', (t) =>
    t.field({
      type: union.ref,
      description:
        'Answers a step that waits for a person, and lets the run go on. Answered with the run as it goes on, not with its ' +
        'end. An answer that does not fit the step changes nothing; only the first one to a step counts.',
      args: { input: t.arg({ type: input, required: true, description: 'Which step, and what is said to it.' }) },
      resolve: (_root, { input: { runId, stepPath, data, action } }, { commands, viewer }) =>
        answer(union, async () =>
          done(
            await commands.resumeRun(viewer, {
              runId,
              stepPath: stepPath ?? undefined,
              // Null is an answer where data is asked for, and nothing where it is not.
              data: isGiven(action) && action !== 'CONTINUE' ? (data ?? undefined) : data,
              action: action ?? undefined,
            }),
          ),
        ),
    }),
  )
}

function addRetryRun(builder: Builder): void {
  const input = builder.inputType('RetryRunInput', {
    description: 'A run that is to be tried again, and from where.',
    fields: (t) => ({
      runId: t.id({ required: true, description: 'The `runId` of a run that is over.' }),
      fromStep: t.string({
        description:
          'The `path` of the first step that is executed again; the results before it are taken over. Null: the first step ' +
          'that failed, or was cut off by a cancel.',
      }),
      input: t.field({
        type: 'JSON',
        description:
          'The input of the new run; what is taken over stays as it is. Left out: as it was. Null is a value: the new run ' +
          'is given null.',
      }),
    }),
  })
  const union = resultUnion(builder, { name: 'RetryRunResult', payload: 'RunPayload', refusals: CHANGE_REFUSALS })
  builder.mutationField('retryRun', (t) =>
    t.field({
      type: union.ref,
      description:
        'Makes a new run of the same session, which takes over what another one recorded before a step and executes the ' +
        'rest. The other run stays as it is. The state is that of the session now.',
      args: { input: t.arg({ type: input, required: true, description: 'Which run, and from where.' }) },
      // An input that was left out is undefined here, and null only if it was given as null.
      resolve: (_root, { input: { runId, fromStep, input: newInput } }, { commands, viewer }) =>
        answer(union, async () =>
          done(await commands.retryRun(viewer, { runId, fromStep: fromStep ?? undefined, input: newInput })),
        ),
    }),
  )
}
