import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { StepKey } from '../../src/engine/reader.ts'
import type { PendingWait, StepRecord } from '../../src/engine/records.ts'
import { approval } from '../../src/workflow/approval.ts'
import { map } from '../../src/workflow/map.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { memoryContext, run, runIdOf, runRecord, stepRecord, type World } from './support.ts'

const RUN = runIdOf(1)
const SINCE = '2024-11-19T14:30:00.000Z'
const UNTIL = '2024-11-19T15:30:00.000Z'

const Region = z.object({ region: z.string().default('EU') })
const asking = defineWorkflow({
  name: 'Asking',
  steps: [
    map('each', { items: () => [1], steps: [waitForInput('details', { prompt: 'Which region?', schema: Region })] }),
    approval('publish?', { prompt: 'Publish?' }),
    step({ name: 'breaks', onError: 'pause', run: () => null }),
  ],
})

const pendingOf = (given: Partial<PendingWait> = {}): PendingWait => ({
  number: 1,
  reason: 'input',
  prompt: 'Which region?',
  requestedAt: SINCE,
  expiresAt: null,
  attempts: 1,
  ...given,
})

const paused = (path: string, given: Partial<StepRecord> = {}): StepRecord =>
  stepRecord(RUN, path, { status: 'PAUSED', pending: pendingOf(), ...given })

async function stepOf(record: StepRecord, fields: string, world: World = {}): Promise<unknown> {
  const runs = [runRecord(1, { workflowId: 'asking', status: 'PAUSED' })]
  const { data, errors } = await run(
    `{ run(runId: "${RUN}") { steps { ${fields} } } }`,
    memoryContext({ workflows: [asking], runs, steps: [record], ...world }),
  )
  expect(errors).toBeUndefined()
  return Object(data?.['run']).steps[0]
}

const PENDING = 'pendingInput { prompt schema actions requestedAt expiresAt }'

describe('what a step waits for', () => {
  test('is data, with the schema of what the step served now accepts, also in an item of a map', async () => {
    expect(await stepOf(paused('each[3]/details', { pending: pendingOf({ expiresAt: UNTIL }) }), PENDING)).toEqual({
      pendingInput: {
        prompt: 'Which region?',
        // What may be left out is not required: it is the schema of the input.
        schema: {
          $schema: expect.any(String),
          type: 'object',
          properties: { region: { type: 'string', default: 'EU' } },
        },
        actions: ['CONTINUE'],
        requestedAt: SINCE,
        expiresAt: UNTIL,
      },
    })
  })

  test('is a yes or no, with a comment', async () => {
    expect(await stepOf(paused('publish?'), 'pendingInput { schema actions expiresAt }')).toEqual({
      pendingInput: {
        schema: {
          $schema: expect.any(String),
          type: 'object',
          properties: { approved: { type: 'boolean' }, comment: { type: 'string' } },
          required: ['approved'],
          additionalProperties: false,
        },
        actions: ['CONTINUE'],
        expiresAt: null,
      },
    })
  })

  test('is a decision about its failure, and no data', async () => {
    const pending = pendingOf({ reason: 'error', prompt: 'It failed' })
    expect(await stepOf(paused('breaks', { pending }), 'pendingInput { prompt schema actions }')).toEqual({
      pendingInput: { prompt: 'It failed', schema: null, actions: ['RETRY', 'SKIP', 'FAIL'] },
    })
  })

  test('has no schema where neither the step nor its workflow is served any more', async () => {
    const schema = 'pendingInput { actions schema }'
    const unknown = { pendingInput: { actions: ['CONTINUE'], schema: null } }
    expect(await stepOf(paused('gone'), schema)).toEqual(unknown)
    expect(await stepOf(paused('publish?'), schema, { workflows: [] })).toEqual(unknown)
  })

  test('reads neither run nor definition unless its schema is asked for', async () => {
    const { context, calls } = memoryContext({
      workflows: [asking],
      runs: [runRecord(1, { workflowId: 'asking' })],
      steps: [paused('publish?'), paused('each[0]/details')],
    })
    const fields = (inner: string) => `{ run(runId: "${RUN}") { steps { pendingInput { ${inner} } } } }`
    await run(fields('prompt actions'), { context })
    expect(calls.splice(0)).toEqual(['runs', 'stepSummaries'])
    await run(fields('schema'), { context })
    expect(calls).toEqual(['runs', 'stepSummaries', 'runs'])
  })

  const answer = { number: 1, action: 'CONTINUE', at: SINCE, userId: null } as const
  test.each<[string, Partial<StepRecord>]>([
    ['it waits for nothing', { pending: null }],
    ['it was answered', { answer }],
    ['it goes on', { status: 'RUNNING' }],
    ['it is over', { status: 'COMPLETED' }],
    ['it waits for its next attempt', { status: 'RETRYING', pending: pendingOf({ reason: 'time', expiresAt: UNTIL }) }],
  ])('is null if %s', async (_why, given) => {
    expect(await stepOf(paused('publish?', given), PENDING)).toEqual({ pendingInput: null })
  })

  test('is there again after an answer to an earlier wait', async () => {
    const again = paused('breaks', { pending: pendingOf({ number: 2, reason: 'error' }), answer })
    expect(await stepOf(again, 'pendingInput { actions }')).toEqual({
      pendingInput: { actions: ['RETRY', 'SKIP', 'FAIL'] },
    })
  })
})

describe('the time that a step waits for', () => {
  const time = pendingOf({ reason: 'time', expiresAt: UNTIL })
  test.each<[string, Partial<StepRecord>, string | null]>([
    ['that sleeps', { kind: 'sleep', status: 'RUNNING', pending: time }, UNTIL],
    ['that is to be tried again', { status: 'RETRYING', pending: time }, UNTIL],
    ['that is tried again', { status: 'RUNNING', pending: time }, null],
    ['that has slept', { kind: 'sleep', status: 'COMPLETED', pending: time }, null],
    ['that waits for a person', { pending: pendingOf({ expiresAt: UNTIL }) }, null],
    ['that waits for nothing', { status: 'RUNNING', pending: null }, null],
  ])('of one %s', async (_which, given, waitsUntil) => {
    expect(await stepOf(paused('breaks', given), 'waitsUntil')).toEqual({ waitsUntil })
  })
})

describe('the partial output of a step', () => {
  const live =
    (value: string | undefined, asked: StepKey[] = []) =>
    (key: StepKey) => {
      asked.push({ runId: key.runId, path: key.path })
      return value
    }
  const partialOf = (given: Partial<StepRecord>, partialOutput: (key: StepKey) => string | undefined) =>
    stepOf(stepRecord(RUN, 'breaks', given), 'partialOutput', { streams: { partialOutput } })

  test('is that of this moment while the step is executed here', async () => {
    const asked: StepKey[] = []
    const given = { status: 'RUNNING', partialOutput: 'of an earlier attempt' } as const
    expect(await partialOf(given, live('so far', asked))).toEqual({ partialOutput: 'so far' })
    expect(asked).toEqual([{ runId: RUN, path: 'breaks' }])
  })

  test('is what was recorded where the step is not executed here, or is over', async () => {
    const running = { status: 'RUNNING', partialOutput: 'kept' } as const
    expect(await partialOf(running, live(undefined))).toEqual({ partialOutput: 'kept' })
    const cut = { status: 'CANCELLED', partialOutput: 'kept', completedAt: new Date(SINCE) } as const
    expect(await partialOf(cut, live('left behind'))).toEqual({ partialOutput: 'kept' })
  })

  test('is null where there was none, and once there is an output', async () => {
    expect(await partialOf({ status: 'RUNNING' }, live(undefined))).toEqual({ partialOutput: null })
    const done = { status: 'COMPLETED', partialOutput: 'old', completedAt: new Date(SINCE) } as const
    expect(await partialOf(done, live('old'))).toEqual({ partialOutput: null })
  })
})

describe('what language models used', () => {
  const usage = { inputTokens: 3, outputTokens: 4, totalTokens: 8 }
  test('is told of a step and of its run', async () => {
    const { data } = await run(
      `{ run(runId: "${RUN}") {
           metrics { usage { inputTokens outputTokens totalTokens } }
           steps { usage { inputTokens outputTokens totalTokens } } } }`,
      memoryContext({
        runs: [runRecord(1, { usage })],
        steps: [stepRecord(RUN, 'a', { usage }), stepRecord(RUN, 'b')],
      }),
    )
    expect(data?.['run']).toEqual({ metrics: { usage }, steps: [{ usage }, { usage: null }] })
  })
})

describe('a step of a retry', () => {
  const at = new Date(SINCE)
  const attempts = [{ number: 1, startedAt: SINCE, completedAt: SINCE, error: null }]
  test.each<[string, Partial<StepRecord>, boolean]>([
    ['was taken over', { completedAt: at }, true],
    ['was skipped in the first run', { status: 'SKIPPED', completedAt: at }, true],
    ['was executed again', { completedAt: at, attempts }, false],
    ['holds the step that is executed first', { status: 'RUNNING' }, false],
    ['was cut off before it began', { status: 'CANCELLED', completedAt: at }, false],
  ])('that %s tells so', async (_what, given, reused) => {
    expect(await stepOf(stepRecord(RUN, 'breaks', given), 'reused')).toEqual({ reused })
  })
})
