import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { eventsOf, startKern } from '../support/kerns.ts'

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('what a body is given', () => {
    test('names the run, the session, the owner and the step', async () => {
      const contexts: StepContext[] = []
      const keep = (name: string) => step(name, (context: StepContext) => contexts.push(context))
      const workflow = new Workflow({ name: 'Contexts', steps: [keep('a'), sequence('s', [keep('b')])] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { userId: 'ada' })
      const { runId, sessionId } = run
      const common = { runId, sessionId, userId: 'ada', attempt: 1 }
      expect(contexts).toMatchObject([
        { ...common, stepPath: 'a', idempotencyKey: `${runId}:a` },
        { ...common, stepPath: 's/b', idempotencyKey: `${runId}:s/b` },
      ])
    })

    test('has the run’s input in each step, the neighbour’s output, and any earlier one by outputOf', async () => {
      const first = step('first', ({ input }: StepContext) => ({ first: input }))
      const inner = step('inner', ({ outputOf }) => ({ inner: outputOf(first) }))
      const group = sequence('group', [inner])
      const last = step('last', ({ input, runInput, outputOf }: StepContext) => ({
        input,
        runInput,
        first: outputOf(first),
        inner: outputOf(inner),
        group: outputOf(group),
      }))
      const workflow = new Workflow({
        name: 'Outputs of',
        input: z.object({ n: z.number(), unit: z.string().default('cm') }),
        steps: [first, group, last],
      })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { input: { n: 1 } })
      const firstOutput = { first: { n: 1, unit: 'cm' } }
      expect(run.output).toEqual({
        input: { inner: firstOutput },
        runInput: { n: 1, unit: 'cm' },
        first: firstOutput,
        inner: { inner: firstOutput },
        group: { inner: firstOutput },
      })
      expect(run.input).toEqual({ n: 1 })
      expect(run.steps.first?.input).toEqual({ n: 1, unit: 'cm' })
    })

    test('refuses the output of a step that has none yet, by name', async () => {
      const later = step('later', () => 1)
      const early = step('early', ({ outputOf }: StepContext) => outputOf(later))
      const workflow = new Workflow({ name: 'Too early', steps: [early, later] })
      const kern = await startKern(database, [workflow])
      const { error } = await kern.run(workflow, {})
      expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('"later"') })
    })
  })

  describe('what a body does to what it is given', () => {
    test('changes nothing that is recorded, nor what later steps see', async () => {
      type Lists = { list: number[] }
      const given: unknown[] = []
      const spoil = (value: unknown) => void (value as Lists).list.push(99)
      let kept: Lists | undefined
      const first = step('first', ({ input, runInput }: StepContext) => {
        spoil(input)
        // What all steps share cannot be changed, as the state.
        expect(() => spoil(runInput)).toThrow(TypeError)
        kept = { list: [1] }
        return kept
      })
      const second = step('second', ({ input, runInput, outputOf }: StepContext) => {
        if (kept) spoil(kept)
        given.push(structuredClone({ input, runInput, first: outputOf(first) }))
        spoil(input)
        spoil(outputOf(first))
        return outputOf(first)
      })
      const workflow = new Workflow({
        name: 'Spoilers',
        input: z.object({ list: z.array(z.number()) }),
        steps: [first, second],
      })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { input: { list: [0] } })
      expect(given).toEqual([{ input: { list: [1] }, runInput: { list: [0] }, first: { list: [1] } }])
      expect(run).toMatchObject({ status: 'COMPLETED', input: { list: [0] }, output: { list: [1] } })
      expect(run.steps.first).toMatchObject({ input: { list: [0] }, output: { list: [1] } })
      expect(run.steps.second).toMatchObject({ input: { list: [1] }, output: { list: [1] } })
    })

    test('to its state throws, and to a patch after it was given has no effect', async () => {
      const workflow = new Workflow({
        name: 'Frozen',
        initialState: { deep: { list: [1] } },
        steps: [
          step('only', ({ state, setState }: StepContext<unknown, { deep: { list: number[] } }>) => {
            expect(() => state.deep.list.push(2)).toThrow(TypeError)
            expect(() => Object.assign(state, { other: 1 })).toThrow(TypeError)
            const patch = { added: { list: [1] } }
            setState(patch as object)
            patch.added.list.push(2)
            return 'done'
          }),
        ],
      })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({ status: 'COMPLETED', stateAfter: { deep: { list: [1] }, added: { list: [1] } } })
    })

    test('to history throws, so that all steps are given the same', async () => {
      const texts: string[] = []
      const look = (name: string) =>
        step(name, ({ history }: StepContext) => {
          texts.push(history.text)
          for (const { input } of history.runs)
            expect(() => Object.assign(input as object, { n: 2 })).toThrow(TypeError)
          return name
        })
      const workflow = new Workflow({ name: 'Past', addWorkflowHistoryToSteps: true, steps: [look('a'), look('b')] })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      await kern.run(workflow, { sessionId, input: { n: 1 } })
      const run = await kern.run(workflow, { sessionId, input: 'next' })
      expect(run.status).toBe('COMPLETED')
      expect(texts[3]).toBe(texts[2])
    })
  })

  describe('emit and log', () => {
    test('add events in their place, with their data', async () => {
      const talks = step('talks', ({ emit, log }: StepContext) => {
        emit('progress', { done: 1, of: 2 })
        log('half way', { level: 'warn', data: [1, null] })
        emit('bare')
        log('the rest')
      })
      const workflow = new Workflow({ name: 'Talker', steps: [talks, step('quiet', () => 1)] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run('talker', {})
      expect(run.error).toMatchObject({ code: 'VALUE_NOT_STORABLE', stepPath: 'talks' })
      const events = await eventsOf(kern, run.runId)
      expect(events.filter(({ type }) => type === 'CUSTOM' || type === 'LOG')).toMatchObject([
        { type: 'CUSTOM', stepPath: 'talks', name: 'progress', data: { done: 1, of: 2 } },
        { type: 'LOG', stepPath: 'talks', name: null, data: { level: 'warn', message: 'half way', data: [1, null] } },
        { type: 'CUSTOM', name: 'bare', data: undefined },
        { type: 'LOG', data: { level: 'info', message: 'the rest' } },
      ])
    })

    test.each([
      ['an empty name', ({ emit }: StepContext) => emit(''), 'INPUT_INVALID'],
      ['data that is no JSON', ({ emit }: StepContext) => emit('n', { when: new Date() }), 'VALUE_NOT_STORABLE'],
      ['a NUL in a line', ({ log }: StepContext) => log('a\0b'), 'VALUE_NOT_STORABLE'],
    ])('refuse %s', async (title, body, code) => {
      const workflow = new Workflow({
        name: `Refused ${title}`,
        steps: [step('only', (context: StepContext) => body(context) ?? 1)],
      })
      const kern = await startKern(database, [workflow])
      expect((await kern.run(workflow, {})).error).toMatchObject({ code })
    })

    test('are limited in number', async () => {
      const chatty = step('chatty', ({ emit }: StepContext) => {
        for (let index = 0; index <= 10_000; index += 1) emit('tick')
        return 'not reached'
      })
      const workflow = new Workflow({ name: 'Chatty', steps: [chatty] })
      const kern = await startKern(database, [workflow])
      const { error, lastSeq } = await kern.run(workflow, {})
      expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED' })
      expect(lastSeq).toBe(10_005)
    })
  })
})
