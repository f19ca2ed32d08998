import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { KernError, NonRetryableError } from '../../src/errors.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import type { RetryOptions } from '../../src/workflow/retry.ts'
import { step } from '../../src/workflow/step.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createTestClock, eventLines, eventsOf, startKern } from '../support/kerns.ts'

/** A workflow of one step that fails as often as it is told, and keeps what its attempts were given. */
function flaky(name: string, retry: RetryOptions, failures: readonly unknown[]) {
  const contexts: StepContext[] = []
  const only = step({
    name: 'only',
    retry,
    run: (context: StepContext) => {
      contexts.push(context)
      if (contexts.length <= failures.length) throw failures[contexts.length - 1]
      return `attempt ${context.attempt}`
    },
  })
  return { workflow: new Workflow({ name, steps: [only] }), contexts }
}

/** The clock of these tests: what a retry waits for takes no time. */
const hurried = () => createTestClock(systemClock, { skip: (ms) => ms >= 20_000 })

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a retry', () => {
    test('comes after every failure until an attempt succeeds, and each is kept with its error', async () => {
      const errors = [new Error('first'), 'second', { code: 'E3' }]
      const { workflow, contexts } = flaky('Fixed', { maxAttempts: 4, delay: 30_000 }, errors)
      const clock = hurried()
      const kern = await startKern(database, [workflow], { clock, parkMs: 3_600_000 })
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'attempt 4', stepCount: 1, attemptCount: 4 })
      // What is left of the 30 seconds when the failure has been recorded.
      expect(clock.held.map((ms) => Math.ceil(ms / 10_000))).toEqual([3, 3, 3])
      const { attempts = [], maxAttempts } = run.steps.only ?? {}
      expect(maxAttempts).toBe(4)
      expect(attempts.map(({ number, error }) => [number, error?.message])).toEqual([
        [1, 'first'],
        [2, 'second'],
        [3, '{"code":"E3"}'],
        [4, undefined],
      ])
      for (const { startedAt, completedAt } of attempts) expect(startedAt <= (completedAt ?? '')).toBe(true)
      expect(attempts[2]?.error).toMatchObject({ name: 'Error', code: 'E3', stepPath: 'only', retryable: true })
      expect(contexts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4])
      expect(new Set(contexts.map(({ idempotencyKey }) => idempotencyKey))).toEqual(new Set([`${run.runId}:only`]))
      const retrying = (await eventsOf(kern, run.runId)).filter(({ type }) => type === 'STEP_RETRYING')
      expect(retrying.map(({ data }) => data)).toMatchObject([
        { attempt: 1, delayMs: 30_000, error: { message: 'first' } },
        { attempt: 2, delayMs: 30_000, error: { message: 'second' } },
        { attempt: 3, delayMs: 30_000, error: { code: 'E3' } },
      ])
    })

    test('waits twice as long each time, in the upper half of that, up to a limit', async () => {
      const retry = { maxAttempts: 5, backoff: 'exponential', delay: '1m', maxDelay: '3m' } as const
      const { workflow } = flaky('Exponential', retry, [1, 2, 3, 4])
      const clock = hurried()
      const kern = await startKern(database, [workflow], { clock, parkMs: 3_600_000 })
      expect(await kern.run(workflow, {})).toMatchObject({ status: 'COMPLETED', attemptCount: 5 })
      const full = [60_000, 120_000, 180_000, 180_000]
      expect(clock.held).toHaveLength(4)
      clock.held.forEach((ms, index) => {
        expect(ms).toBeLessThanOrEqual(full[index] ?? 0)
        // Less what recording the failure took of it.
        expect(ms).toBeGreaterThan((full[index] ?? 0) / 2 - 5_000)
      })
    })

    test.each([
      ['the attempts are used up', {}, [new Error('a'), new Error('b')], 2, 'b'],
      ['the error says so', {}, [new NonRetryableError('for good')], 1, 'for good'],
      ['retryIf says no', { retryIf: (error: unknown) => error !== 'no' }, ['yes', 'no'], 2, 'no'],
      [
        'retryIf throws',
        {
          retryIf: () => {
            throw new Error('in the filter')
          },
        },
        ['failed'],
        1,
        'failed',
      ],
    ])('does not come when %s', async (title, retry, errors, attemptCount, message) => {
      const policy = { maxAttempts: title.includes('used up') ? 2 : 9, delay: 30_000, ...retry }
      const { workflow } = flaky(`Ends as ${title}`, policy, errors)
      const kern = await startKern(database, [workflow], { clock: hurried(), parkMs: 3_600_000 })
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({ status: 'FAILED', attemptCount, error: { message, stepPath: 'only' } })
      expect(run.steps.only).toMatchObject({ status: 'FAILED', error: { message } })
    })

    test('in a sequence fails the sequence with the error and the path of the step', async () => {
      const breaks = step('breaks', () => {
        throw new RangeError('too far')
      })
      const workflow = new Workflow({ name: 'Deep', steps: [sequence('outer', [sequence('inner', [breaks])])] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      const error = { name: 'RangeError', message: 'too far', stepPath: 'outer/inner/breaks' }
      expect(run).toMatchObject({ status: 'FAILED', error })
      for (const path of ['outer', 'outer/inner', 'outer/inner/breaks']) {
        expect(run.steps[path]).toMatchObject({ status: 'FAILED', error })
      }
    })
  })

  describe('a timeout', () => {
    test('of a step ends the attempt, aborts its signal, and drops what comes later', async () => {
      const late = Promise.withResolvers<string>()
      const seen: { signal?: AbortSignal; refused?: unknown } = {}
      const after = Promise.withResolvers<void>()
      const slow = step({
        name: 'slow',
        timeout: 40_000,
        retry: { maxAttempts: 2, delay: 0 },
        run: async ({ attempt, signal, setState, emit }: StepContext) => {
          if (attempt === 2) return 'in time'
          setState({ attempt: 1 })
          seen.signal = signal
          const value = await late.promise
          try {
            setState({ late: true })
          } catch (error) {
            seen.refused = error
          }
          expect(() => emit('late')).toThrow(KernError)
          after.resolve()
          return value
        },
      })
      const workflow = new Workflow({ name: 'Slow', steps: [slow] })
      const clock = createTestClock(systemClock, { hold: (ms) => ms === 40_000 })
      const kern = await startKern(database, [workflow], { clock, parkMs: 3_600_000 })
      const running = kern.run(workflow, {})
      await clock.asked(40_000)
      clock.elapse(40_000)
      const run = await running
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'in time', stateAfter: {}, attemptCount: 2 })
      expect(run.steps.slow?.attempts[0]?.error).toMatchObject({ code: 'STEP_TIMEOUT', retryable: true })
      expect(seen.signal?.aborted).toBe(true)
      expect(seen.signal?.reason).toMatchObject({ code: 'STEP_TIMEOUT' })
      late.resolve('too late')
      await after.promise
      expect(seen.refused).toMatchObject({ code: 'CANCELLED' })
      expect(await kern.getRun(run.runId)).toEqual(run)
    })

    test('of a run fails it, and the step that was cut off', async () => {
      const waits = step('waits', ({ signal }: StepContext) => {
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      })
      const steps = [step('quick', () => 1), sequence('outer', [waits])] as const
      const workflow = new Workflow({ name: 'Too long', timeout: 50_000, steps })
      // The rest of the run's time is not more than its timeout, and far more than other waits.
      const lengths = Promise.withResolvers<number>()
      const hold = (ms: number) => {
        if (ms > 40_000 && ms <= 50_000) lengths.resolve(ms)
        return ms > 40_000 && ms <= 50_000
      }
      const clock = createTestClock(systemClock, { hold })
      const kern = await startKern(database, [workflow], { clock, parkMs: 3_600_000 })
      const running = kern.stream(workflow, {})
      for await (const event of running) {
        if (event.type === 'STEP_STARTED' && event.stepPath === 'outer/waits') clock.elapse(await lengths.promise)
      }
      const [run] = (
        await kern
          .readerFor({ userId: null, scopes: [] })
          .runPage(
            { workflowId: 'too-long' },
            { field: 'CREATED_AT', direction: 'ASC' },
            { limit: 1, fromEnd: false, after: null, before: null },
          )
      ).items
      const result = await kern.getRun(run?.item.runId ?? '')
      expect(result).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT', stepPath: 'outer/waits' } })
      expect(result?.steps.quick).toMatchObject({ status: 'COMPLETED' })
      expect(result?.steps['outer/waits']).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT' } })
      expect(result?.steps.outer).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT' } })
      expect((await eventLines(kern, result?.runId ?? '')).slice(-3)).toEqual([
        'STEP_FAILED outer/waits',
        'STEP_FAILED outer',
        'RUN_FAILED',
      ])
    })
  })

  describe('a schema', () => {
    test('of an output fails the step with the path to the fault, and gives the next step what it makes', async () => {
      const Out = z.object({ items: z.array(z.number()), unit: z.string().default('cm') })
      const good = step({ name: 'good', output: Out, run: () => ({ items: [1] }) })
      const bad = step({ name: 'bad', output: Out, run: () => ({ items: [1, 'two'] as number[] }) })
      const workflow = new Workflow({ name: 'Outputs', steps: [good, bad] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run.steps.good?.output).toEqual({ items: [1], unit: 'cm' })
      expect(run.steps.bad?.input).toEqual({ items: [1], unit: 'cm' })
      expect(run).toMatchObject({ status: 'FAILED', error: { code: 'OUTPUT_INVALID', stepPath: 'bad' } })
      expect(run.error?.message).toContain('items.1')
    })

    test('of an input fails the step at once, without calling its body', async () => {
      let calls = 0
      const gives = step('gives', () => ({ count: 'many' }) as unknown as { count: number })
      const takes = step({
        name: 'takes',
        input: z.object({ count: z.number() }),
        retry: { maxAttempts: 3, delay: 0 },
        run: () => {
          calls += 1
        },
      })
      const workflow = new Workflow({ name: 'Inputs', steps: [gives, takes] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({
        status: 'FAILED',
        attemptCount: 2,
        error: { code: 'INPUT_INVALID', stepPath: 'takes' },
      })
      expect(run.error?.message).toContain('count')
      expect(calls).toBe(0)
    })
  })
})
