import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/client.ts'
import type { ReadContext, StepContext } from '../../../src/workflow/context.ts'
import { map } from '../../../src/workflow/map.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate } from '../../support/kerns.ts'
import {
  acrossRestart,
  createBreak,
  createCrowd,
  createPatient,
  embedded,
  execute,
  pathsOf,
  workflowOf,
} from './support.ts'

const database = embedded()

const fetchPage = step('fetchPage', ({ input }: StepContext<unknown>) => ({ page: input }))
const summarise = step('summarise', ({ input }: StepContext<unknown>) => [input])
const after = step('after', ({ input }: StepContext<unknown>) => ({ input }))
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

describe('a map', () => {
  test('does the same steps with each item, and yields an array in the order of the items', async () => {
    const gates = [createGate(), createGate()]
    // The later an item comes, the sooner it ends.
    const waits = step('waits', async ({ input }: StepContext<unknown>) => {
      await gates[Number(input)]?.pass()
      gates[Number(input) - 1]?.open()
      return input
    })
    const run = await execute(database(), [map('each', { steps: [waits, fetchPage, summarise] }), after], {
      input: [0, 1, 2],
    })
    const output = [0, 1, 2].map((page) => [{ page }])
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: output }, stepCount: 11 })
    expect(run.steps['each']).toMatchObject({ kind: 'map', input: [0, 1, 2], output })
    const row = { parentPath: 'each', name: 'waits', input: 2, output: 2 }
    expect(run.steps['each[2]/waits']).toMatchObject(row)
    const ends = pathsOf(run, 'STEP_COMPLETED').filter((path) => path.endsWith('waits'))
    expect(ends).toEqual(['each[2]/waits', 'each[1]/waits', 'each[0]/waits'])
  })

  test('may be given its items by a function, which knows its input, the state and what came before', async () => {
    let seen: ReadContext | undefined
    const each = map('each', {
      items: async (context: ReadContext<{ page: unknown }>) => {
        seen = context
        await Promise.resolve()
        return ['x', { y: [1] }, null]
      },
      steps: [summarise],
    })
    const run = await execute(database(), [fetchPage, each], { input: 'in', sessionState: { s: 1 } })
    expect(run).toMatchObject({ status: 'COMPLETED', output: [['x'], [{ y: [1] }], [null]] })
    expect(run.steps['each']).toMatchObject({ input: { page: 'in' }, decision: { items: ['x', { y: [1] }, null] } })
    expect(run.steps['each[1]/summarise']).toMatchObject({ input: { y: [1] } })
    expect(seen).toMatchObject({ input: { page: 'in' }, runInput: 'in', state: { s: 1 }, stepPath: 'each' })
    expect(seen?.outputOf(fetchPage)).toEqual({ page: 'in' })
    for (const changes of ['setState', 'stop', 'emit', 'log']) expect(seen).not.toHaveProperty(changes)
  })

  test('of no items yields an empty array, and none of its steps runs', async () => {
    const run = await execute(database(), [map('each', { steps: [fetchPage] }), after], { input: [] })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: [] }, stepCount: 2 })
  })

  test.each<[string, unknown]>([
    ['an object', { length: 2 }],
    ['text', 'text'],
    ['null', null],
  ])('of an input that is %s fails, and says what it got', async (_title, input) => {
    const run = await execute(database(), [map('each', { steps: [fetchPage] }), after], { input })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'INPUT_INVALID', stepPath: 'each' }, stepCount: 1 })
    expect(run.error?.message).toContain(JSON.stringify(input))
    expect(run.error?.message).toContain('allowed is an array')
  })

  test.each<[string, unknown, string]>([
    ['no array', { length: 2 }, 'OUTPUT_INVALID'],
    ['a set', new Set([1]), 'VALUE_NOT_STORABLE'],
    ['nothing', undefined, 'VALUE_NOT_STORABLE'],
    ['an array with a hole of undefined', [1, undefined], 'VALUE_NOT_STORABLE'],
    ['more items than are allowed', numbers(10_001), 'LIMIT_EXCEEDED'],
  ])('whose function gives %s fails', async (_title, given, code) => {
    // As from JavaScript.
    const each = map('each', { items: () => given as number[], steps: [fetchPage] })
    const run = await execute(database(), [each])
    expect(run).toMatchObject({ status: 'FAILED', error: { code, stepPath: 'each' }, stepCount: 1 })
    if (code === 'LIMIT_EXCEEDED') expect(run.error?.message).toMatch(/10001 items: allowed are 10000/)
  })

  test('whose function throws fails with that', async () => {
    const items = (): number[] => {
      throw new Error('no items')
    }
    const run = await execute(database(), [map('each', { items, steps: [fetchPage] })])
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'no items', stepPath: 'each' } })
  })

  test.each([
    [undefined, 10],
    [3, 3],
    [1, 1],
  ])(
    'with a concurrency of %s has %s items under way at the same time, which begin in order',
    async (concurrency, most) => {
      const crowd = createCrowd(most)
      const visits = step('visits', () => crowd.visit())
      const each = map('each', { steps: [visits, fetchPage], ...(concurrency === undefined ? {} : { concurrency }) })
      const run = await execute(database(), [each], { input: numbers(25) })
      expect(run).toMatchObject({ status: 'COMPLETED', stepCount: 51 })
      expect(crowd.most).toBe(most)
      const begun = pathsOf(run, 'STEP_STARTED').filter((path) => path.endsWith('visits'))
      expect(begun).toEqual(numbers(25).map((index) => `each[${index}]/visits`))
    },
  )

  test('does a thousand items', { timeout: 300_000 }, async () => {
    const run = await execute(database(), [map('each', { steps: [fetchPage], concurrency: 50 })], {
      input: numbers(1_000),
    })
    expect(run).toMatchObject({ status: 'COMPLETED', stepCount: 1_001, attemptCount: 1_001 })
    expect(run.output).toEqual(numbers(1_000).map((page) => ({ page })))
  })

  test('fails with the first item that fails, aborts the others, and begins no more', async () => {
    const patient = createPatient('patient')
    const uneven = step('uneven', async (context: StepContext) => {
      if (context.input !== 1) return await patient.node.run(context)
      await patient.reached
      throw new Error('no')
    })
    const run = await execute(database(), [map('each', { steps: [uneven], concurrency: 2 }), after], {
      input: [0, 1, 2],
    })
    const error = { message: 'no', stepPath: 'each[1]/uneven' }
    expect(run).toMatchObject({ status: 'FAILED', error, stateAfter: {}, stepCount: 3 })
    expect(run.steps['each[0]/uneven']).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
    expect(patient.reasons).toMatchObject([{ message: expect.stringContaining('each[1]/uneven') }])
    expect(run.steps['each[2]/uneven']).toBeUndefined()
    expect(run.steps['each']).toMatchObject({ status: 'FAILED', error })
  })

  test('ends with the run where the step of an item stops it', async () => {
    const stops = step('stops', ({ input, stop }: StepContext) => (input === 1 ? stop('early') : input))
    const each = map('each', { steps: [sequence('in', [stops])], concurrency: 1 })
    const run = await execute(database(), [each, after], { input: [0, 1, 2] })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'early', stoppedBy: 'each[1]/in/stops', stepCount: 5 })
  })
})

describe('outputOf in a map', () => {
  test('reads the step of the same item, also through what holds others', async () => {
    const reads = step('reads', ({ outputOf }: StepContext) => outputOf(fetchPage))
    const each = map('each', { steps: [sequence('in', [fetchPage]), summarise, reads] })
    expect((await execute(database(), [each], { input: ['a', 'b'] })).output).toEqual([{ page: 'a' }, { page: 'b' }])
  })

  test('reads no step of one item from outside, but the map as a whole', async () => {
    const each = map('each', { steps: [fetchPage] })
    const whole = step('whole', ({ outputOf }: StepContext) => ({ all: outputOf(each) }))
    const one = step('one', ({ outputOf }: StepContext) => outputOf(fetchPage))
    const run = await execute(database(), [each, whole, one], { input: ['a'] })
    expect(run.steps['whole']?.output).toEqual({ all: [{ page: 'a' }] })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'NOT_FOUND', stepPath: 'one' } })
    expect(run.error?.message).toMatch(/has an output for each item: read that of map "each"/)
  })

  test('reads no step of another item that comes before it in the list', async () => {
    const reads = step('reads', ({ outputOf, input }: StepContext) => (input === 'b' ? outputOf(fetchPage) : 'nothing'))
    const each = map('each', { steps: [reads, fetchPage], concurrency: 1 })
    const run = await execute(database(), [each], { input: ['a', 'b'] })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'NOT_FOUND', stepPath: 'each[1]/reads' } })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a map keeps to the items that it was given first, and does none of the finished ones again', async () => {
    const broken = createBreak('broken')
    const done: unknown[] = []
    let asked = 0
    const works = step('works', async (context: StepContext) => {
      if (context.input === 'c') return await broken.node.run(context)
      done.push(context.input)
      return context.input
    })
    const each = map('each', {
      items: () => {
        asked += 1
        return asked === 1 ? ['a', 'b', 'c', 'd'] : ['other']
      },
      steps: [works],
      concurrency: 1,
    })
    const run = await acrossRestart(own, workflowOf([each]), { reached: broken.reached })
    expect(run).toMatchObject({ status: 'COMPLETED', output: ['a', 'b', 'c', 'd'] })
    expect(done).toEqual(['a', 'b', 'd'])
    expect(asked).toBe(1)
  })
})
