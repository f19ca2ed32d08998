import { isReused, type RunRecord, type StepSummary } from '../src/engine/records.ts'
import { KernError } from '../src/errors.ts'
import type { Json } from '../src/json.ts'
import type { Builder } from './builder.ts'
import type { KernContext } from './context.ts'
import { stepKind } from './enums.ts'
import { readStepKey, stepKey } from './globalId.ts'

/** Adds `StepResult`, and the steps of a run. */
export function addStep(builder: Builder): void {
  addStepType(builder)
  addStepTimes(builder)
  addStepValues(builder)
  addStepAttempts(builder)
  builder.objectFields('Run', (t) => ({
    steps: t.field({
      type: ['StepResult'],
      description: 'The steps that ran, run, wait or were skipped, in the order in which they started.',
      args: {
        statuses: t.arg({ type: ['StepStatus'], description: 'Only steps with one of these. Null or empty: all.' }),
      },
      resolve: async ({ runId }, { statuses }, { loaders }) => {
        const steps = await loaders.steps(runId)
        return statuses?.length ? steps.filter(({ status }) => statuses.includes(status)) : steps
      },
    }),
    step: t.field({
      type: 'StepResult',
      nullable: true,
      description: 'One step; null if it did not start, or there is no such path.',
      args: { path: t.arg.string({ required: true, description: 'The `path` of the step.' }) },
      resolve: ({ runId }, { path }, { loaders }) => loaders.step({ runId, path }),
    }),
  }))
}

/**
 * The run of something that is part of one.
 *
 * @throws KernError NOT_FOUND if it was deleted in the meantime
 */
export async function runOf({ runId }: { readonly runId: string }, { loaders }: KernContext): Promise<RunRecord> {
  const run = await loaders.run(runId)
  if (!run) throw new KernError('NOT_FOUND', `run ${runId} is gone`)
  return run
}

function addStepType(builder: Builder): void {
  builder.node('StepResult', {
    description: 'A step of a run.',
    id: { resolve: stepKey },
    loadWithoutCache: (id, { loaders }) => {
      const key = readStepKey(id)
      return key && loaders.step(key)
    },
    fields: (t) => ({
      path: t.exposeString('path', {
        description:
          'The names from the outside in, joined by `/`; unique in the run. The name of a loop around the step has the ' +
          'number of the iteration behind it, from 1, that of a map the number of the item, from 0: `refine[2]/draft`.',
      }),
      parentPath: t.exposeString('parentPath', {
        nullable: true,
        description: 'The path of the step around it, which has no number of its own; null at the top.',
      }),
      name: t.exposeString('name', { description: 'The last part of the path, without a number.' }),
      kind: t.field({ type: 'StepKind', description: 'What the step is.', resolve: ({ kind }) => stepKind(kind) }),
      status: t.expose('status', { type: 'StepStatus', description: 'Where the step stands.' }),
      run: t.field({
        type: 'Run',
        description: 'The run that the step is part of.',
        resolve: async (step, _args, context) => runOf(step, context),
      }),
      reused: t.boolean({
        description:
          'Whether the result was taken over from the run that this one is a retry of: then the times are those of that run, ' +
          'and there are no events.',
        resolve: isReused,
      }),
    }),
  })
}

function addStepTimes(builder: Builder): void {
  builder.objectFields('StepResult', (t) => ({
    startedAt: t.expose('startedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the first attempt began; null before.',
    }),
    completedAt: t.expose('completedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the step ended, whatever its status; null before.',
    }),
    durationMs: t.float({
      nullable: true,
      description:
        'From the start of the first attempt to the end, in milliseconds, waits included; null until the step ended.',
      resolve: ({ startedAt, completedAt }) => (completedAt ? completedAt.getTime() - startedAt.getTime() : null),
    }),
    waitsUntil: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When a sleep ends, or the next attempt begins; null if the step waits for no time. How long it waits for a person ' +
        'is in `pendingInput`.',
      resolve: waitsUntil,
    }),
  }))
}

/** What the step waited for before it went on is still in the row. */
function waitsUntil({ status, kind, pending }: StepSummary): Date | null {
  const waits = status === 'RETRYING' || (status === 'RUNNING' && kind === 'sleep')
  return waits && pending?.expiresAt != null ? new Date(pending.expiresAt) : null
}

function addStepValues(builder: Builder): void {
  builder.objectFields('StepResult', (t) => ({
    input: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the step was given, without the block of history; null if that was null or nothing.',
      resolve: async (step, _args, { loaders }) => (await loaders.stepValues(step))?.input ?? null,
    }),
    output: t.field({
      type: 'JSON',
      nullable: true,
      description: 'What the step returned; null until it is COMPLETED, and if it returned null.',
      resolve: async (step, _args, { loaders }) => (await loaders.stepValues(step))?.output ?? null,
    }),
    outputPreview: t.exposeString('outputPreview', {
      nullable: true,
      description: 'The start of the output as text, cut to 256 characters; null until there is one.',
    }),
    partialOutput: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'What the step has put out so far, while it is executed by the server that is asked; else the last that it had put ' +
        'out when an attempt failed or was cut off. Null if there is nothing, and once there is an `output`.',
      resolve: partialOutput,
    }),
    error: t.expose('error', {
      type: 'RunError',
      nullable: true,
      description:
        'Why the step failed, was skipped or was cancelled, or waits for a person to decide; null unless one is so.',
    }),
    statePatch: t.field({
      type: 'JSON',
      nullable: true,
      description: "The JSON Merge Patch by which the step changed the session's state; null if it did not.",
      resolve: ({ statePatch }) => statePatch ?? null,
    }),
    historyUsed: t.exposeBoolean('historyUsed', {
      description: 'Whether the step was given earlier runs of the session.',
    }),
    usage: t.field({
      type: 'TokenUsage',
      nullable: true,
      description: 'What language models used in all attempts that ended; null if none was called.',
      resolve: ({ usage }) => usage,
    }),
  }))
}

async function partialOutput(step: StepSummary, _args: object, { loaders, streams }: KernContext): Promise<Json> {
  if (step.status === 'COMPLETED') return null
  const live = step.completedAt === null ? streams.partialOutput(step) : undefined
  return live ?? (await loaders.stepValues(step))?.partialOutput ?? null
}

function addStepAttempts(builder: Builder): void {
  builder.objectFields('StepResult', (t) => ({
    attempt: t.int({
      description: 'The number of the last attempt, from 1; 0 if there was none in this run.',
      resolve: ({ attempts }) => attempts.at(-1)?.number ?? 0,
    }),
    maxAttempts: t.exposeInt('maxAttempts', {
      description:
        'How often the step is tried at most, attempts that were cut off and retries by a person not counted.',
    }),
    attempts: t.field({
      type: ['StepAttempt'],
      description: 'Each attempt, oldest first.',
      resolve: ({ attempts }) => attempts,
    }),
  }))
  builder.objectType('StepAttempt', {
    description: 'One try of a step.',
    fields: (t) => ({
      number: t.exposeInt('number', { description: '1, 2, 3 … within the step.' }),
      startedAt: t.field({
        type: 'DateTime',
        description: 'When the attempt began.',
        resolve: ({ startedAt }) => new Date(startedAt),
      }),
      completedAt: t.field({
        type: 'DateTime',
        nullable: true,
        description: 'When the attempt ended; null before.',
        resolve: ({ completedAt }) => (completedAt === null ? null : new Date(completedAt)),
      }),
      error: t.expose('error', {
        type: 'RunError',
        nullable: true,
        description: 'Why the attempt failed or was cut off; null unless it was.',
      }),
    }),
  })
}
