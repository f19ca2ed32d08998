import { beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import type { Database } from '../../../src/db/client.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, createTestClock, eventsOf, startKern } from '../../support/kerns.ts'
import { aborted, after, embedded, ended, execute, start, workflowOf } from './support.ts'

const database = embedded()

/** A step that yields a partial output, and goes on when its signal aborts, as `then` says. */
function halfway(then: (signal: AbortSignal) => Promise<unknown>) {
  const reached = Promise.withResolvers<void>()
  const node = step('writes', async function* ({ signal }: StepContext) {
    yield 'Once'
    yield 'Once upon'
    reached.resolve()
    await aborted(signal)
    return await then(signal)
  })
  return { node, reached: reached.promise }
}

describe('a step that is an async generator', () => {
  test('yields to the next step what it returns, or else what it yielded last', async () => {
    const returns = step('returns', async function* ({ input }: StepContext) {
      yield 'part'
      await Promise.resolve()
      return { whole: input }
    })
    const yields = step('yields', async function* ({ input }: StepContext) {
      for (const part of [1, 2, 3]) yield { part, input }
    })
    const run = await execute(database(), [returns, yields], { input: 'in' })
    const output = { part: 3, input: { whole: 'in' } }
    expect(run).toMatchObject({ status: 'COMPLETED', output })
    expect(run.steps['returns']).toMatchObject({ output: { whole: 'in' }, partialOutput: undefined })
    expect(run.steps['yields']).toMatchObject({ output, partialOutput: undefined })
  })

  test('may change the state, tell events and stop the run like any other', async () => {
    const stops = step('stops', async function* ({ setState, stop, emit }: StepContext) {
      setState({ set: 1 })
      yield 'part'
      emit('half')
      yield stop('early')
    })
    const run = await execute(database(), [stops, step('never', () => 1)])
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'early', stoppedBy: 'stops', stateAfter: { set: 1 } })
    expect(run.lines).toContain('CUSTOM stops')
  })

  test.each([
    ['yields and returns nothing', async function* () {}],
    [
      'yields what cannot be stored',
      async function* () {
        yield new Map()
      },
    ],
    [
      'is none, since it does not wait for anything',
      function* () {
        yield 1
      },
    ],
  ])('and %s fails', async (_title, body) => {
    const run = await execute(database(), [step('wrong', () => body())])
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'VALUE_NOT_STORABLE', stepPath: 'wrong' } })
  })

  test('is ended with what it has in `finally` where what it yielded cannot be stored', async () => {
    const ended = Promise.withResolvers<string>()
    const wrong = step('wrong', async function* () {
      try {
        yield Number.NaN
        yield 'more'
      } finally {
        ended.resolve('finally')
      }
    })
    const run = await execute(database(), [wrong])
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'VALUE_NOT_STORABLE' } })
    expect(await Promise.race([ended.promise, Promise.resolve('not ended')])).toBe('finally')
  })

  test('keeps what it had when it fails, and nothing of that once another attempt succeeds', async () => {
    const unsure = (succeeds: boolean) =>
      step({
        name: 'unsure',
        retry: { maxAttempts: 2, delay: 0 },
        run: async function* ({ attempt }: StepContext) {
          yield `half of ${attempt}`
          if (attempt === 1 || !succeeds) throw new Error('no')
        },
      })
    const failed = await execute(database(), [unsure(false)])
    expect(failed.steps['unsure']).toMatchObject({ status: 'FAILED', partialOutput: 'half of 2', output: undefined })
    const run = await execute(database(), [unsure(true)])
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'half of 2' })
    expect(run.steps['unsure']).toMatchObject({ partialOutput: undefined, attempts: [{}, {}] })
  })

  test('keeps what it had when its time is over', async () => {
    const slow = step({
      name: 'slow',
      timeout: 44_000,
      run: async function* ({ signal }: StepContext) {
        yield 'half'
        gate.open()
        yield await aborted(signal)
      },
    })
    const gate = createGate()
    const clock = createTestClock(systemClock, { hold: (ms) => ms === 44_000 })
    const workflow = workflowOf([slow])
    const kern = await startKern(database(), [workflow], { clock })
    const runId = await start(kern, workflow)
    await gate.pass()
    clock.elapse(44_000)
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STEP_TIMEOUT' } })
    expect(run.steps['slow']).toMatchObject({ partialOutput: 'half', error: { code: 'STEP_TIMEOUT' } })
  })

  test('keeps what it had when a step beside it fails', async () => {
    const { node, reached } = halfway(async (signal) => Promise.reject(signal.reason))
    const fails = step('fails', async () => {
      await reached
      throw new Error('no')
    })
    const run = await execute(database(), [parallel('both', [node, fails])])
    const row = { status: 'CANCELLED', partialOutput: 'Once upon', output: undefined }
    expect(run.steps['both/writes']).toMatchObject(row)
  })

  test('is ended with what it has in `finally` when it goes on after it was left behind', async () => {
    const [gate, over] = [createGate(), Promise.withResolvers<string>()]
    const deaf = step('deaf', async function* () {
      try {
        yield 'half'
        await gate.pass()
        yield 'late'
        over.resolve('went on')
      } finally {
        over.resolve('finally')
      }
    })
    const clock = createTestClock(systemClock, { skip: (ms) => ms === 77_000 })
    const workflow = workflowOf([deaf])
    const kern = await startKern(database(), [workflow], { clock, graceMs: 77_000 })
    const runId = await start(kern, workflow)
    await gate.reached
    await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
    const run = await ended(kern, runId)
    gate.open()
    expect(await over.promise).toBe('finally')
    expect(run.steps['deaf']).toMatchObject({ status: 'CANCELLED', partialOutput: 'half' })
    expect(await kern.getRun(runId)).toMatchObject({ steps: { deaf: { partialOutput: 'half' } } })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('what a step yields is told to those who watch, and none of it is stored as an event', async () => {
    const gate = createGate()
    const writes = step('writes', async function* () {
      yield 'Once'
      await gate.pass()
      yield 'Once upon a time'
    })
    const workflow = workflowOf([writes])
    const kern = await startKern(own, [workflow])
    const runId = await start(kern, workflow)
    const told: unknown[] = []
    for await (const { type, stepPath, data } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
      if (type !== 'STEP_PROGRESS') continue
      told.push([stepPath, data])
      gate.open()
    }
    // Whether the second one is still told depends on how soon the step ends after it.
    expect(told[0]).toEqual(['writes', 'Once'])
    expect((await eventsOf(kern, runId)).map(({ type }) => type)).not.toContain('STEP_PROGRESS')
  })

  test('a cancel keeps what a step had so far in its row', async () => {
    const { node, reached } = halfway(async () => 'not kept')
    const workflow = workflowOf([step('first', () => 1), node])
    const kern = await startKern(own, [workflow])
    const runId = await start(kern, workflow)
    await Promise.all([reached, after(kern, runId, 'STEP_STARTED writes')])
    await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'CANCELLED', steps: { first: { status: 'COMPLETED', output: 1 } } })
    const row = { status: 'CANCELLED', partialOutput: 'Once upon', output: undefined }
    expect(run.steps['writes']).toMatchObject(row)
  })
})
