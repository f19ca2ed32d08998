import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ReadContext } from '../../src/workflow/context.ts'
import { approval } from '../../src/workflow/approval.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { data, onEachServer, type Served, watchWebSocket } from '../support/server.ts'

const Region = z.object({ region: z.enum(['EU', 'US']) })

/** Asks for data, then for a yes, and fails until somebody has it tried again. */
const publishing = defineWorkflow({
  name: 'Publishing',
  steps: [
    step('prepare', ({ input }: { input: unknown }) => ({ text: input ?? null })),
    waitForInput('details', { prompt: 'Which region?', schema: Region }),
    approval('publish?', {
      prompt: ({ input }: ReadContext<z.infer<typeof Region>>) => `Publish in ${input.region}?`,
      timeout: '1d',
    }),
    step({
      name: 'deliver',
      onError: 'pause',
      run: ({ input, attempt }: { input: { approved: boolean; input: unknown }; attempt: number }) => {
        if (attempt === 1) throw new Error('nobody is in')
        return { delivered: input.approved, to: input.input }
      },
    }),
  ],
})

const both = defineWorkflow({
  name: 'Both',
  steps: [parallel('both', [approval('one', { prompt: 'One?' }), approval('two', { prompt: 'Two?' })])],
})

const broken = defineWorkflow({
  name: 'Broken',
  steps: [
    step('first', ({ input }: { input: unknown }) => input ?? null),
    step('breaks', ({ runInput }: { runInput: unknown }) => {
      if (runInput !== 'mended') throw new Error('it broke')
      return 'done'
    }),
  ],
})

const WAITING = 'status steps { path status pendingInput { prompt actions schema expiresAt } }'
const RESUME = `mutation ($input: ResumeRunInput!) { answer: resumeRun(input: $input) {
  __typename
  ... on RunPayload { run { runId status } }
  ... on Error { code message }
  ... on InputInvalidError { issues { path message } }
  ... on ConflictError { conflict: run { runId status } }
} }`
const RETRY = RESUME.replace('ResumeRunInput', 'RetryRunInput').replace('resumeRun', 'retryRun')

async function answer(served: Served, query: string, input: object): Promise<unknown> {
  return (await data<{ answer: unknown }>(served, query, { input })).answer
}

async function start(served: Served, workflowId: string, given: object = {}): Promise<{ readonly runId: string }> {
  const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string } } }>(
    served,
    `mutation ($input: RunWorkflowInput!) { runWorkflow(input: $input) {
       ... on RunPayload { run { runId status } } ... on Error { message } } }`,
    { input: { workflowId, waitMs: 10_000, ...given } },
  )
  return runWorkflow.run
}

onEachServer(
  () => ({ workflows: [publishing, both, broken].map((definition) => ({ definition })) }),
  (served) => {
    test('a run is led to its end by those who watch it and answer', async () => {
      const { runId } = await start(served(), 'publishing', { input: 'news' })
      const resume = (input: object) => answer(served(), RESUME, { runId, ...input })
      const answers: Record<string, () => Promise<unknown>> = {
        details: () => resume({ data: { region: 'EU' } }),
        'publish?': () => resume({ stepPath: 'publish?', data: { approved: true, comment: 'fine' } }),
        deliver: () => resume({ action: 'RETRY', data: null }),
      }
      const told: string[] = []
      const given: unknown[] = []
      const query = `subscription { event: runEvents(runId: "${runId}") { type step { path pendingInput { prompt actions } } } }`
      for await (const { data: event } of watchWebSocket<{ event: Event }>(served(), { query })) {
        const { type, step: at } = event?.event ?? { type: '', step: null }
        told.push(at ? `${type} ${at.path}` : type)
        if (type !== 'STEP_PAUSED' || !at) continue
        given.push([at.path, at.pendingInput, await answers[at.path]?.()])
      }
      const going = { __typename: 'RunPayload', run: { runId, status: 'RUNNING' } }
      expect(given).toEqual([
        ['details', { prompt: 'Which region?', actions: ['CONTINUE'] }, going],
        ['publish?', { prompt: 'Publish in EU?', actions: ['CONTINUE'] }, going],
        ['deliver', { prompt: expect.stringContaining('nobody is in'), actions: ['RETRY', 'SKIP', 'FAIL'] }, going],
      ])
      const steps = told.filter((text) => !text.startsWith('RUN_'))
      expect(steps).toEqual(
        [
          ['prepare', 'STARTED', 'COMPLETED'],
          ['details', 'STARTED', 'PAUSED', 'COMPLETED'],
          ['publish?', 'STARTED', 'PAUSED', 'COMPLETED'],
          ['deliver', 'STARTED', 'PAUSED', 'STARTED', 'COMPLETED'],
        ].flatMap(([path, ...types]) => types.map((type) => `STEP_${type} ${path}`)),
      )
      const { run } = await data<{ run: unknown }>(served(), `{ run(runId: "${runId}") { output ${WAITING} } }`)
      expect(run).toMatchObject({
        status: 'COMPLETED',
        output: { delivered: true, to: { region: 'EU' } },
        steps: ['prepare', 'details', 'publish?', 'deliver'].map((path) => ({ path, pendingInput: null })),
      })
    })

    interface Event {
      readonly type: string
      readonly step: { readonly path: string; readonly pendingInput: unknown } | null
    }

    test('runWorkflow answers with a run that waits, and what that waits for', async () => {
      const { runWorkflow } = await data<{ runWorkflow: unknown }>(
        served(),
        `mutation { runWorkflow(input: { workflowId: "publishing", waitMs: 10000 }) {
           ... on RunPayload { run { completedAt ${WAITING} } } } }`,
      )
      const schema = { type: 'object', properties: { region: { type: 'string', enum: ['EU', 'US'] } } }
      expect(runWorkflow).toMatchObject({
        run: {
          status: 'PAUSED',
          completedAt: null,
          steps: [
            { path: 'prepare', pendingInput: null },
            {
              path: 'details',
              status: 'PAUSED',
              pendingInput: { prompt: 'Which region?', actions: ['CONTINUE'], schema, expiresAt: null },
            },
          ],
        },
      })
    })

    describe('resumeRun', () => {
      test('refuses an answer that does not fit, and the run waits as before', async () => {
        const { runId } = await start(served(), 'publishing')
        const waits = () => data(served(), `{ run(runId: "${runId}") { ${WAITING} } }`)
        const before = await waits()
        const refused = { __typename: 'InputInvalidError', code: 'INPUT_INVALID' }
        const issue = (...path: string[]) => ({ ...refused, issues: [expect.objectContaining({ path })] })
        for (const [input, expected] of [
          [{ data: { region: 'moon' } }, issue('data', 'region')],
          [{ data: null }, issue('data')],
          [{}, issue('data')],
          [{ data: { region: 'EU' }, action: 'SKIP' }, issue('action')],
        ] as const) {
          expect(await answer(served(), RESUME, { runId, ...input })).toMatchObject(expected)
        }
        expect(await waits()).toEqual(before)
      })

      test('asks which step is meant where several wait, and refuses one that does not', async () => {
        const { runId } = await start(served(), 'both')
        const yes = { approved: true }
        expect(await answer(served(), RESUME, { runId, data: yes })).toMatchObject({
          __typename: 'InputInvalidError',
          issues: [{ path: ['stepPath'] }],
        })
        const conflict = { __typename: 'ConflictError', code: 'CONFLICT', conflict: { runId } }
        const one = { runId, stepPath: 'both/one', data: yes }
        expect(await answer(served(), RESUME, { ...one, stepPath: 'both' })).toMatchObject(conflict)
        expect(await answer(served(), RESUME, one)).toMatchObject({ __typename: 'RunPayload' })
        // Only the first answer counts.
        expect(await answer(served(), RESUME, { ...one, data: { approved: false } })).toMatchObject(conflict)
      })

      test('refuses a run that waits for nothing, and one that is not there', async () => {
        const { runId } = await start(served(), 'broken')
        const yes = { approved: true }
        expect(await answer(served(), RESUME, { runId, data: yes })).toMatchObject({
          __typename: 'ConflictError',
          message: expect.stringContaining('FAILED'),
          conflict: { runId, status: 'FAILED' },
        })
        for (const [missing, __typename] of [
          [crypto.randomUUID(), 'NotFoundError'],
          ['x', 'InputInvalidError'],
        ]) {
          expect(await answer(served(), RESUME, { runId: missing, data: yes })).toMatchObject({ __typename })
        }
      })
    })

    describe('retryRun', () => {
      const settled = (runId: string) =>
        data<{ run: unknown }>(
          served(),
          `{ run(runId: "${runId}") {
               number status input output retryOf { runId } retries { number } metrics { stepCount attemptCount }
               steps { path status reused attempt output } } }`,
        )

      /** Tries the run again, and waits until that is over. */
      async function retried(input: object): Promise<unknown> {
        const { run } = Object(await answer(served(), RETRY, input))
        const query = `subscription { runEvents(runId: "${run.runId}", types: [RUN_COMPLETED]) { seq } }`
        for await (const _answer of watchWebSocket(served(), { query }));
        return (await settled(run.runId)).run
      }

      test('makes a run that takes over what was done, with another input or the same, be it null', async () => {
        const { runId } = await start(served(), 'broken', { input: 'as it was' })
        const first = { path: 'first', status: 'COMPLETED', reused: true, attempt: 0, output: 'as it was' }
        const failed = { path: 'breaks', status: 'FAILED', reused: false, attempt: 1 }
        expect(await retried({ runId })).toMatchObject({
          number: 2,
          status: 'FAILED',
          input: 'as it was',
          retryOf: { runId },
          metrics: { stepCount: 2, attemptCount: 1 },
          steps: [first, failed],
        })
        expect(await retried({ runId, input: null })).toMatchObject({ number: 3, input: null, steps: [first, failed] })
        expect(await retried({ runId, input: 'mended', fromStep: 'first' })).toMatchObject({
          number: 4,
          status: 'COMPLETED',
          output: 'done',
          steps: [
            { path: 'first', reused: false, attempt: 1, output: 'mended' },
            { path: 'breaks', status: 'COMPLETED' },
          ],
        })
        expect(await settled(runId)).toMatchObject({
          run: { status: 'FAILED', retryOf: null, retries: [{ number: 2 }, { number: 3 }, { number: 4 }] },
        })
      })

      test('refuses a run that is not over, a step that is not there, and a run that is not there', async () => {
        const waiting = await start(served(), 'both')
        expect(await answer(served(), RETRY, { runId: waiting.runId })).toMatchObject({
          __typename: 'ConflictError',
          conflict: { runId: waiting.runId, status: 'PAUSED' },
        })
        const { runId } = await start(served(), 'broken')
        expect(await answer(served(), RETRY, { runId, fromStep: 'nowhere' })).toMatchObject({
          __typename: 'InputInvalidError',
          issues: [{ path: ['fromStep'] }],
        })
        expect(await answer(served(), RETRY, { runId: crypto.randomUUID() })).toMatchObject({
          __typename: 'NotFoundError',
        })
      })
    })
  },
)
