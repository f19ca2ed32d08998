import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { tool } from 'ai'
import { type } from 'arktype'
import * as v from 'valibot'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../../src/author.ts'
import { systemClock } from '../../../src/clock.ts'
import type { Database } from '../../../src/db/client.ts'
import { createTestClock } from '../../../src/testing/clock.ts'
import { agentStep } from '../../../src/workflow/agentStep.ts'
import type { ReadContext, StepContext } from '../../../src/workflow/context.ts'
import { step } from '../../../src/workflow/step.ts'
import { mockModel } from '../../support/agents.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, createTestClock as createHeldClock, eventLines, eventsOf, startKern } from '../../support/kerns.ts'
import { asksFor, breaksOff, refuses, says, saysThrough, startModelServer } from '../../support/modelServer.ts'
import { ended, seen, start } from '../kinds/support.ts'

const prompt = ({ input }: ReadContext<string>) => `Write about ${input}.`
const look = tool({ inputSchema: z.object({}), execute: () => 'seen' })

const retry = { maxAttempts: 3, delay: 0 } as const

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('an agent step', () => {
    test('yields the text of its model to the next step, and is recorded with it and its tokens', async () => {
      const model = mockModel([
        ['Once', ' upon'],
        [10, 5],
      ])
      const write = agentStep({ name: 'write', model, prompt })
      const count = step('count', ({ input }: StepContext<string>) => input.length)
      const workflow = new Workflow({ name: 'Text', steps: [write, count] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { input: 'foxes' })
      const usage = { inputTokens: 10, outputTokens: 5, totalTokens: 15 }
      expect(run).toMatchObject({ status: 'COMPLETED', output: 9, usage })
      expect(run.steps.write).toMatchObject({
        kind: 'agent',
        input: 'foxes',
        output: 'Once upon',
        outputPreview: 'Once upon',
        partialOutput: undefined,
        historyUsed: false,
        usage,
      })
      expect(run.steps.count?.usage).toBeNull()
      expect(model.doStreamCalls[0]?.prompt).toMatchObject([
        { role: 'user', content: [{ text: 'Write about foxes.' }] },
      ])
    })

    test.each([
      ['zod', z.object({ title: z.string(), pages: z.number().default(1) })],
      ['valibot', toStandardJsonSchema(v.object({ title: v.string(), pages: v.optional(v.number(), 1) }))],
      ['arktype', type({ title: 'string', pages: 'number = 1' })],
    ])('yields what its schema of %s gives, and asks again for what that refuses', async (vendor, output) => {
      const { model, exchanges } = await startModelServer(
        says(['{"title":5}'], { usage: [10, 5] }),
        says(['{"title"', ':"Foxes"}'], { usage: [20, 7] }),
      )
      const write = agentStep({ name: 'write', model, prompt: 'Write.', output, retry })
      const workflow = new Workflow({ name: `Object of ${vendor}`, steps: [write] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({ status: 'COMPLETED', output: { title: 'Foxes', pages: 1 } })
      const { attempts = [], usage } = run.steps.write ?? {}
      expect(attempts.map(({ error }) => error?.code)).toEqual(['OUTPUT_INVALID', undefined])
      expect(attempts[0]?.error?.message).toContain('output of step "write"')
      expect(attempts[0]?.error?.message).toContain('title')
      expect(usage).toEqual({ inputTokens: 30, outputTokens: 12, totalTokens: 42 })
      expect(exchanges).toHaveLength(2)
    })

    test('counts the tokens of every call, those of attempts that failed too, on its row and on the run', async () => {
      const { model } = await startModelServer(
        asksFor('look', {}, [10, 5]),
        refuses(500, 'not now'),
        asksFor('look', {}, [20, 5]),
        says(['Seen'], { usage: [30, 7] }),
        says(['Told'], { usage: [1, 2] }),
      )
      const first = agentStep({ name: 'first', model, prompt: 'Look.', tools: { look }, retry })
      const second = agentStep({ name: 'second', model, prompt: 'Tell.' })
      const workflow = new Workflow({ name: 'Tokens', steps: [first, second] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run.steps.first).toMatchObject({ output: 'Seen', attempts: [{ error: {} }, { error: null }] })
      expect(run.steps.first?.usage).toEqual({ inputTokens: 60, outputTokens: 17, totalTokens: 77 })
      expect(run.steps.second?.usage).toEqual({ inputTokens: 1, outputTokens: 2, totalTokens: 3 })
      expect(run.usage).toEqual({ inputTokens: 61, outputTokens: 19, totalTokens: 80 })
    })

    test('puts the block of history before its prompt, and is recorded without it', async () => {
      const { model, exchanges } = await startModelServer(says(['First']), says(['Second']), says(['Third']))
      const write = agentStep({ name: 'write', model, prompt })
      const workflow = new Workflow({
        name: 'Past',
        steps: [write],
        addWorkflowHistoryToSteps: true,
        numHistoryRuns: 1,
      })
      const kern = await startKern(database, [workflow])
      const { sessionId, runId } = await kern.run(workflow, { input: 'foxes' })
      const run = await kern.run(workflow, { sessionId, input: 'owls' })
      const asked = exchanges.map(({ request }) => request.messages)
      expect(asked[0]).toEqual([{ role: 'user', content: 'Write about foxes.' }])
      const block =
        '<workflow_history_context>\n[Workflow Run-1]\nUser input: foxes\nWorkflow output: First\n' +
        '</workflow_history_context>\n'
      expect(asked[1]).toEqual([{ role: 'user', content: `${block}\nWrite about owls.` }])
      expect(run.historyRunIds).toEqual([runId])
      expect(run.steps.write).toMatchObject({ input: 'owls', historyUsed: true, output: 'Second' })
    })
  })

  describe('a provider that refuses', () => {
    test('for now is asked again as the policy of the step says', async () => {
      const { model, exchanges } = await startModelServer(refuses(429, 'slowly'), refuses(500, 'oh'), says(['Hello']))
      const write = agentStep({ name: 'write', model, prompt: 'Write.', retry: { maxAttempts: 3, delay: '30s' } })
      const workflow = new Workflow({ name: 'Retried', steps: [write] })
      const clock = createTestClock(new Date('2030-01-01T00:00:00Z'))
      const kern = await startKern(database, [workflow], { clock })
      const runId = await start(kern, workflow)
      const asked: number[] = []
      for (const pass of ['0ms', '29s', '1s', '29s', '1s'] as const) {
        clock.advance(pass)
        await kern.idle()
        asked.push(exchanges.length)
      }
      expect(asked).toEqual([1, 1, 2, 2, 3])
      const run = await ended(kern, runId)
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'Hello', attemptCount: 3 })
      const retrying = (await eventsOf(kern, run.runId)).filter(({ type }) => type === 'STEP_RETRYING')
      expect(retrying.map(({ data }) => data)).toMatchObject([
        { attempt: 1, delayMs: 30_000, error: { code: 'MODEL_UNAVAILABLE', retryable: true } },
        { attempt: 2, delayMs: 30_000, error: { code: 'MODEL_UNAVAILABLE', retryable: true } },
      ])
    })

    test('for good is not asked again, and the tokens until then are counted', async () => {
      const { model, exchanges } = await startModelServer(asksFor('look', {}, [10, 5]), refuses(401, 'who?'))
      const write = agentStep({ name: 'write', model, prompt: 'Look.', tools: { look }, retry })
      const workflow = new Workflow({ name: 'Refused', steps: [write, step('never', () => 1)] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      const error = { code: 'MODEL_REFUSED', stepPath: 'write', retryable: false }
      const usage = { inputTokens: 10, outputTokens: 5, totalTokens: 15 }
      expect(run).toMatchObject({ status: 'FAILED', error, attemptCount: 1, usage })
      expect(run.steps.write).toMatchObject({ status: 'FAILED', error, usage })
      expect(run.steps.never).toBeUndefined()
      expect(exchanges).toHaveLength(2)
    })

    test('lets a step with onError skip be left out: the next one gets its input', async () => {
      const { model } = await startModelServer(refuses(401, 'who?'))
      const write = agentStep({ name: 'write', model, prompt, onError: 'skip' })
      const next = step('next', ({ input }: StepContext<string>) => `next got ${input}`)
      const workflow = new Workflow({ name: 'Skipped', steps: [write, next] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { input: 'foxes' })
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'next got foxes' })
      expect(run.steps.write).toMatchObject({ status: 'SKIPPED', output: undefined, error: { code: 'MODEL_REFUSED' } })
      expect(await eventLines(kern, run.runId)).toContain('STEP_SKIPPED write')
    })
  })

  describe('a provider that breaks off', () => {
    test('lets a step with onError pause wait for a person, with what was said, and go on when told to', async () => {
      const gate = createGate()
      const { model } = await startModelServer(
        breaksOff(gate, 'Once', ' upon'),
        says(['Once upon a time'], { usage: [10, 5] }),
      )
      const write = agentStep({ name: 'write', model, prompt: 'Write.', onError: 'pause' })
      const workflow = new Workflow({ name: 'Paused', steps: [write] })
      const kern = await startKern(database, [workflow])
      const stream = kern.stream(workflow, {})
      let runId = ''
      for await (const event of stream) {
        runId = event.runId
        if (event.type === 'STEP_PROGRESS' && event.data === 'Once upon') gate.open()
        if (event.type === 'RUN_PAUSED') break
      }
      const paused = await seen(kern, runId)
      expect(paused).toMatchObject({ status: 'PAUSED' })
      expect(paused.steps['write']).toMatchObject({
        status: 'PAUSED',
        error: { code: 'MODEL_UNAVAILABLE' },
        pending: { reason: 'error' },
        partialOutput: 'Once upon',
      })
      const run = await kern.resumeRun({ runId, action: 'RETRY' })
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'Once upon a time' })
      expect(run.steps['write']).toMatchObject({ partialOutput: undefined, usage: { totalTokens: 15 } })
    })
  })

  describe('the timeout of an attempt', () => {
    test('ends the request, and the next attempt asks anew', async () => {
      const gate = createGate()
      const { model, exchanges } = await startModelServer(saysThrough('Half', gate), says(['Whole']))
      const write = agentStep({
        name: 'write',
        model,
        prompt: 'Write.',
        timeout: 60_000,
        retry,
      })
      const workflow = new Workflow({ name: 'Late', steps: [write] })
      const clock = createHeldClock(systemClock, { hold: (ms) => ms === 60_000 })
      const kern = await startKern(database, [workflow], { clock })
      const running = kern.run(workflow, {})
      await gate.reached
      clock.elapse(60_000)
      const run = await running
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'Whole' })
      expect(run.steps.write?.attempts).toMatchObject([{ error: { code: 'STEP_TIMEOUT' } }, { error: null }])
      expect(await exchanges[0]?.over).toEqual({ complete: false })
      expect(exchanges).toHaveLength(2)
    })
  })

  describe('a process that ends in the middle of an answer', () => {
    test('ends the request; the next one asks anew, and nothing that was answered is asked again', async () => {
      const gate = createGate()
      const { model, exchanges } = await startModelServer(
        says(['A plan'], { usage: [10, 5] }),
        saysThrough('Half', gate),
        says(['Whole'], { usage: [20, 7] }),
      )
      const plan = agentStep({ name: 'plan', model, prompt: 'Plan.' })
      const write = agentStep({ name: 'write', model, prompt })
      const workflow = new Workflow({ name: 'Restarted', steps: [plan, write] })
      const first = await startKern(database, [workflow])
      const runId = await start(first, workflow)
      await gate.reached
      await first.close()
      expect(await exchanges[1]?.over).toEqual({ complete: false })

      const run = await ended(await startKern(database, [workflow]), runId)
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'Whole' })
      expect(run.steps['plan']).toMatchObject({ output: 'A plan', attempts: [{ error: null }] })
      expect(run.steps['write']?.attempts).toMatchObject([{ error: { code: 'INTERRUPTED' } }, { error: null }])
      expect(exchanges.map(({ request }) => request.messages[0]?.content)).toEqual([
        'Plan.',
        'Write about A plan.',
        'Write about A plan.',
      ])
      expect(run.usage).toEqual({ inputTokens: 30, outputTokens: 12, totalTokens: 42 })
    })
  })
})
