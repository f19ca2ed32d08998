import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from '../../../src/db/client.ts'
import { NonRetryableError } from '../../../src/errors.ts'
import { isJsonObject } from '../../../src/json.ts'
import { createTestClock } from '../../../src/testing/clock.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { map } from '../../../src/workflow/map.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { eventsOf, startKern } from '../../support/kerns.ts'
import { aborted, after, embedded, ended, execute, pathsOf, seen, start, workflowOf } from './support.ts'

const database = embedded()

/** A step that fails and may be left out. */
const skipped = (name = 'shaky') =>
  step({
    name,
    onError: 'skip',
    run: ({ setState }: StepContext) => {
      setState({ lost: true })
      throw Object.assign(new TypeError('not today'), { code: 'ECLOSED' })
    },
  })
const last = step('last', ({ input }: StepContext) => ({ input }))

describe('a step that fails and is skipped', () => {
  test('is SKIPPED with its error, and the next one gets its input and not a word of the error', async () => {
    const reads = step('reads', ({ input, outputOf, state }: StepContext) => ({ input, read: outputOf(shaky), state }))
    const shaky = skipped()
    const run = await execute(database(), [last, shaky, reads], { input: 'in' })
    const input = { input: 'in' }
    expect(run).toMatchObject({
      status: 'COMPLETED',
      output: { input, read: input, state: {} },
      error: null,
      stateAfter: {},
    })
    const error = { name: 'TypeError', code: 'ECLOSED', message: 'not today', stepPath: 'shaky' }
    expect(run.steps['shaky']).toMatchObject({ status: 'SKIPPED', input, error, attempts: [{ number: 1, error }] })
    expect(run.steps['shaky']).toMatchObject({
      output: undefined,
      statePatch: undefined,
      completedAt: expect.any(Date),
    })
    const kern = await startKern(database(), [workflowOf([last])])
    const skip = (await eventsOf(kern, run.runId)).filter(({ stepPath }) => stepPath === 'shaky')
    expect(skip).toMatchObject([{ type: 'STEP_STARTED' }, { type: 'STEP_SKIPPED', data: error }])
  })

  test('may be the first, the last, and the only one', async () => {
    expect(await execute(database(), [skipped('a'), skipped('b')], { input: [1] })).toMatchObject({
      status: 'COMPLETED',
      output: [1],
      outputPreview: '[1]',
    })
    const without = await execute(database(), [skipped('a')])
    expect(without).toMatchObject({ status: 'COMPLETED', output: undefined })
  })

  test('counts in what holds it as one that passed its input on', async () => {
    const both = parallel('both', [skipped('a'), sequence('in', [last, skipped('b')])])
    const run = await execute(database(), [both], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { a: 'in', in: { input: 'in' } } })
    const inMap = await execute(database(), [map('each', { steps: [skipped()] })], { input: [1, 2] })
    expect(inMap).toMatchObject({ status: 'COMPLETED', output: [1, 2] })
    const carry = loop('l', { steps: [last, skipped()], maxIterations: 2, carry: true })
    const inLoop = await execute(database(), [carry], { input: 'in' })
    expect(inLoop).toMatchObject({ status: 'COMPLETED', output: { input: { input: 'in' } } })
    expect(pathsOf(inLoop, 'STEP_SKIPPED')).toEqual(['l[1]/shaky', 'l[2]/shaky'])
  })

  test('is tried as often as it may before', async () => {
    let calls = 0
    const tries = step({
      name: 'tries',
      onError: 'skip',
      retry: { maxAttempts: 3, delay: 0 },
      run: () => {
        calls += 1
        if (calls < 3) throw new Error(`attempt ${calls}`)
        throw new NonRetryableError('for good')
      },
    })
    const run = await execute(database(), [tries], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'in', attemptCount: 3 })
    expect(run.steps['tries']).toMatchObject({ status: 'SKIPPED', error: { message: 'for good' } })
    const types = ['STEP_STARTED', 'STEP_RETRYING', 'STEP_STARTED', 'STEP_RETRYING', 'STEP_STARTED', 'STEP_SKIPPED']
    expect(run.lines.slice(2, -1)).toEqual(types.map((type) => `${type} tries`))
  })

  const failing = { name: 's', onError: 'skip' } as const
  test.each([
    ['an input that its schema refuses', step({ ...failing, input: z.number(), run: () => 1 }), 'INPUT_INVALID'],
    // As from JavaScript.
    [
      'an output that its schema refuses',
      step({ ...failing, output: z.number(), run: () => 'x' as unknown as number }),
      'OUTPUT_INVALID',
    ],
    ['an output that cannot be stored', step({ ...failing, run: () => new Map() }), 'VALUE_NOT_STORABLE'],
    ['a timeout', step({ ...failing, timeout: 1, run: ({ signal }: StepContext) => aborted(signal) }), 'STEP_TIMEOUT'],
  ])('may have failed by %s', async (_title, node, code) => {
    const run = await execute(database(), [node, last], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: 'in' } })
    expect(run.steps['s']).toMatchObject({ status: 'SKIPPED', error: { code } })
  })
})

describe('what is never skipped', () => {
  const hangs = step({
    name: 'hangs',
    onError: 'skip',
    run: ({ signal }: StepContext) => aborted(signal).then((reason) => Promise.reject(reason)),
  })

  test('is a step that a cancel of the run cuts off', async () => {
    const workflow = workflowOf([hangs, last])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow)
    await after(kern, runId, 'STEP_STARTED hangs')
    await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' }, stepCount: 1 })
    expect(run.steps['hangs']).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
  })

  test('is a step that is aborted since another one failed beside it', async () => {
    const fails = step('fails', () => {
      throw new Error('no')
    })
    const run = await execute(database(), [parallel('both', [hangs, fails]), last])
    expect(run).toMatchObject({ status: 'FAILED', error: { stepPath: 'both/fails' } })
    expect(run.steps['both/hangs']).toMatchObject({ status: 'CANCELLED' })
  })

  test('is a step that the time of the run cuts off', async () => {
    const clock = createTestClock(new Date())
    const workflow = workflowOf([hangs, last], { timeout: '1m' })
    const kern = await startKern(database(), [workflow], { clock })
    const runId = await start(kern, workflow)
    await after(kern, runId, 'STEP_STARTED hangs')
    clock.advance('1m')
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT', stepPath: 'hangs' } })
    expect(run.steps['hangs']).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT' } })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  /** A step that fails as often as it is told, and a clock that stands still. */
  function unlucky(failures: number, delay: '4s' | '30s') {
    const times: number[] = []
    const clock = createTestClock(new Date('2030-01-01T00:00:00Z'))
    const node = step({
      name: 'unlucky',
      retry: { maxAttempts: 5, backoff: 'exponential', delay, maxDelay: '1d' },
      run: ({ attempt, idempotencyKey }: StepContext) => {
        times.push(attempt)
        if (times.length <= failures) throw new Error(`failure ${times.length}`)
        return { attempt, idempotencyKey }
      },
    })
    return { times, clock, workflow: workflowOf([node, last]) }
  }

  test('a step that is to be tried again after some time lets go of its run until then', async () => {
    const { clock, workflow } = unlucky(1, '30s')
    const kern = await startKern(own, [workflow], { clock })
    const runId = await start(kern, workflow)
    await after(kern, runId, 'STEP_RETRYING unlucky')
    await kern.idle()
    const parked = await seen(kern, runId)
    const [retrying] = (await eventsOf(kern, runId)).filter(({ type }) => type === 'STEP_RETRYING')
    const delayMs = isJsonObject(retrying?.data) ? Number(retrying.data['delayMs']) : Number.NaN
    expect(parked.wakeAt).toEqual(new Date(clock.now().getTime() + delayMs))
    expect(parked).toMatchObject({ status: 'RUNNING', lastSeq: 4 })
    expect(parked.steps['unlucky']).toMatchObject({
      status: 'RETRYING',
      pending: { reason: 'time', expiresAt: parked.wakeAt?.toISOString() },
      attempts: [{ number: 1, error: { message: 'failure 1' } }],
    })
    clock.advanceTo(new Date(clock.now().getTime() + delayMs - 1))
    await kern.idle()
    expect(await seen(kern, runId)).toEqual(parked)
    clock.advance(1)
    await kern.idle()
    const run = await seen(kern, runId)
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: { attempt: 2 } }, attemptCount: 3 })
  })

  test('a step that is RETRYING when its process stops is tried again by the next one, at the time that was set', async () => {
    for (const delay of ['4s', '30s'] as const) {
      const { clock, workflow, times } = unlucky(2, delay)
      const first = await startKern(own, [workflow], { clock })
      const runId = await start(first, workflow)
      await after(first, runId, 'STEP_RETRYING unlucky')
      await first.close()
      const second = await startKern(own, [workflow], { clock })
      const waiting = await seen(second, runId)
      expect(waiting.steps['unlucky']).toMatchObject({ status: 'RETRYING', attempts: [{ number: 1 }] })
      expect(times).toEqual([1])
      // Past every wait that there may be, whether the run waits for it here or was put aside.
      const pass = () => {
        clock.advance('1h')
        return second.idle()
      }
      const passed = [pass()]
      const seq = waiting.lastSeq
      for await (const event of await second.streams.run(SYSTEM_VIEWER, { runId })) {
        if (event.type === 'STEP_RETRYING' && event.seq > seq) passed.push(pass())
      }
      await Promise.all(passed)
      const run = await seen(second, runId)
      expect(run).toMatchObject({ status: 'COMPLETED', attemptCount: 4 })
      const errors = run.steps['unlucky']?.attempts.map(({ error }) => error?.message)
      // None of them was cut off.
      expect(errors).toEqual(['failure 1', 'failure 2', undefined])
      expect(run.output).toEqual({ input: { attempt: 3, idempotencyKey: `${runId}:unlucky` } })
    }
  })
})
