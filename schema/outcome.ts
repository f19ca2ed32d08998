import { isFinal, type RunRecord } from '../src/engine/records.ts'
import type { Builder } from './builder.ts'

/** Adds how runs and steps ended: `RunError`, `TokenUsage`, and the metrics of a run. */
export function addOutcome(builder: Builder): void {
  addMetrics(builder)
  addTokenUsage(builder)
  addRunError(builder)
}

/** From start to end, in milliseconds; null until the run ended. */
export function durationMs({ status, durationMs }: RunRecord): number | null {
  return isFinal(status) ? durationMs : null
}

function addMetrics(builder: Builder): void {
  builder.objectType('RunMetrics', {
    description: 'What a run took.',
    fields: (t) => ({
      queuedMs: t.float({
        nullable: true,
        description: 'From acceptance to start, in milliseconds; null until it began.',
        resolve: ({ createdAt, startedAt }) => (startedAt ? startedAt.getTime() - createdAt.getTime() : null),
      }),
      durationMs: t.float({
        nullable: true,
        description: 'From start to end, in milliseconds; null until it ended, and if it never began.',
        resolve: durationMs,
      }),
      stepCount: t.exposeInt('stepCount', {
        description:
          'How many steps began so far, those with steps inside included, and those that a retry took over from its run.',
      }),
      attemptCount: t.exposeInt('attemptCount', { description: 'How many attempts its steps took so far.' }),
      usage: t.field({
        type: 'TokenUsage',
        nullable: true,
        description: 'What language models used so far in all steps; null if none was called.',
        resolve: ({ usage }) => usage,
      }),
    }),
  })
  builder.objectField('Run', 'metrics', (t) =>
    t.field({ type: 'RunMetrics', description: 'What the run took.', resolve: (run) => run }),
  )
}

function addTokenUsage(builder: Builder): void {
  builder.objectType('TokenUsage', {
    description: 'Tokens that language models read and wrote.',
    fields: (t) => ({
      inputTokens: t.exposeInt('inputTokens', { description: 'How many they read.' }),
      outputTokens: t.exposeInt('outputTokens', { description: 'How many they wrote.' }),
      totalTokens: t.exposeInt('totalTokens', { description: 'How many they read and wrote, as the providers count.' }),
    }),
  })
}

function addRunError(builder: Builder): void {
  builder.objectType('RunError', {
    description: 'Why a run, a step or an attempt failed.',
    fields: (t) => ({
      name: t.exposeString('name', { description: "The name of the error's class." }),
      code: t.exposeString('code', {
        nullable: true,
        description: 'A code of the server, or the one that the error carried; null if it had none.',
      }),
      message: t.exposeString('message', { description: 'What went wrong.' }),
      stepPath: t.exposeString('stepPath', {
        nullable: true,
        description: 'The path of the step that failed; null where no step did.',
      }),
      retryable: t.exposeBoolean('retryable', { description: 'Whether the same may succeed when it is tried again.' }),
    }),
  })
}
