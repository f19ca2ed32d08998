import { beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import type { Database } from '../../../src/db/client.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, createTestClock, startKern } from '../../support/kerns.ts'
import {
  acrossRestart,
  createBreak,
  createCrowd,
  createPatient,
  embedded,
  ended,
  execute,
  pathsOf,
  seen,
  start,
  workflowOf,
} from './support.ts'

const database = embedded()

const one = step('one', () => 1)
const after = step('after', ({ input }) => input)

describe('steps at the same time', () => {
  test('are each given the same input, and yield an object by their names in their order', async () => {
    const [second, third] = [createGate(), createGate()]
    const gather = parallel('gather', [
      step('first', async ({ input }) => {
        await second.pass()
        return [input, 'a']
      }),
      step('middle', async ({ input }) => {
        await third.pass()
        second.open()
        return [input, 'b']
      }),
      step('last', ({ input }) => {
        third.open()
        return [input, 'c']
      }),
    ])
    const run = await execute(database(), [gather, after], { input: 'in' })
    const output = { first: ['in', 'a'], middle: ['in', 'b'], last: ['in', 'c'] }
    expect(run).toMatchObject({ status: 'COMPLETED', output, stepCount: 5, attemptCount: 5 })
    expect(Object.keys(run.output ?? {})).toEqual(['first', 'middle', 'last'])
    expect(run.steps['gather']).toMatchObject({ kind: 'parallel', parentPath: null, input: 'in', output })
    expect(run.steps['gather/middle']).toMatchObject({ parentPath: 'gather', input: 'in', output: ['in', 'b'] })
    expect(run.steps['after']).toMatchObject({ input: output })
    const begun = ['gather', 'gather/first', 'gather/middle', 'gather/last', 'after']
    expect(pathsOf(run, 'STEP_STARTED')).toEqual(begun)
    const over = ['gather/last', 'gather/middle', 'gather/first', 'gather', 'after']
    expect(pathsOf(run, 'STEP_COMPLETED')).toEqual(over)
  })

  test('may be one alone, and yield an object all the same', async () => {
    expect((await execute(database(), [parallel('alone', [one])])).output).toEqual({ one: 1 })
  })

  test('may be of any kind, also such as hold others', async () => {
    const inner = parallel('inner', [one, step('two', ({ input }) => input)])
    const gather = parallel('outer', [sequence('both', [inner, step('sum', ({ input }) => [input])]), one])
    const run = await execute(database(), [gather], { input: 2 })
    expect(run.output).toEqual({ both: [{ one: 1, two: 2 }], one: 1 })
    expect(run.steps['outer/both/inner/two']).toMatchObject({ parentPath: 'outer/both/inner', input: 2 })
  })

  test('are as many as their number allows, and start in order', async () => {
    const crowd = createCrowd(2)
    const names = ['a', 'b', 'c', 'd', 'e']
    const visits = names.map((name) => step(name, () => crowd.visit()))
    const run = await execute(database(), [parallel('gather', visits, { concurrency: 2 })])
    expect(run.status).toBe('COMPLETED')
    expect(crowd.most).toBe(2)
    expect(pathsOf(run, 'STEP_STARTED')).toEqual(['gather', ...names.map((name) => `gather/${name}`)])
  })

  test('are all of them where no number is given', async () => {
    const crowd = createCrowd(40)
    const visits = Array.from({ length: 40 }, (_, index) => step(`s${index}`, () => crowd.visit()))
    expect(await execute(database(), [parallel('gather', visits)])).toMatchObject({ status: 'COMPLETED' })
    expect(crowd.most).toBe(40)
  })

  test.each([null, 1])('cannot read what another yields, with a concurrency of %s', async (concurrency) => {
    const peeks = step('peeks', ({ outputOf }: StepContext) => outputOf(one))
    const options = concurrency === null ? {} : { concurrency }
    const run = await execute(database(), [parallel('gather', [one, sequence('in', [peeks])], options)])
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'NOT_FOUND', stepPath: 'gather/in/peeks' } })
    expect(run.error?.message).toMatch(/"gather\/one" runs at the same time as step "gather\/in\/peeks"/)
  })

  test('can be read by those that come after, one by one and together', async () => {
    const deep = step('deep', () => 2)
    const gather = parallel('gather', [one, sequence('in', [deep])])
    const reads = step('reads', ({ outputOf }: StepContext) => [outputOf(one), outputOf(deep), outputOf(gather)])
    const run = await execute(database(), [gather, after, reads])
    expect(run.output).toEqual([1, 2, { one: 1, in: 2 }])
  })
})

describe('a step that fails beside others', () => {
  /** Fails once the others are under way. */
  const failing = (name: string, reached: Promise<unknown>) =>
    step(name, async () => {
      await reached
      throw new Error(`${name} failed`)
    })

  test('aborts them by their signal, and those that have not begun never do', async () => {
    const patient = createPatient('patient')
    const gather = parallel('gather', [patient.node, failing('bad', patient.reached), one], { concurrency: 2 })
    const run = await execute(database(), [gather, after])
    const error = { message: 'bad failed', stepPath: 'gather/bad' }
    expect(run).toMatchObject({ status: 'FAILED', error, stateAfter: {}, stepCount: 3 })
    const reason = { code: 'CANCELLED', message: expect.stringContaining('"gather/bad" failed') }
    expect(patient.reasons).toMatchObject([reason])
    const cut = { ...reason, stepPath: 'gather/patient' }
    expect(run.steps['gather/patient']).toMatchObject({ status: 'CANCELLED', output: undefined, error: cut })
    expect(run.steps['gather/patient']?.attempts).toMatchObject([{ number: 1, error: cut }])
    expect(run.steps['gather']).toMatchObject({ status: 'FAILED', error })
    expect(run.lines.slice(-4)).toEqual([
      'STEP_FAILED gather/bad',
      'STEP_CANCELLED gather/patient',
      'STEP_FAILED gather',
      'RUN_FAILED',
    ])
  })

  test('leaves one behind that does not obey within the grace time, and what that does later is dropped', async () => {
    const [gate, done] = [createGate(), Promise.withResolvers<unknown>()]
    const deaf = step('deaf', async ({ setState }: StepContext) => {
      await gate.pass()
      try {
        setState({ late: true })
      } catch (error) {
        done.resolve(error)
      }
      return 'late'
    })
    const workflow = workflowOf([parallel('gather', [sequence('in', [deaf]), failing('bad', gate.reached)])])
    const clock = createTestClock(systemClock, { skip: (ms) => ms === 77_000 })
    const kern = await startKern(database(), [workflow], { clock, graceMs: 77_000 })
    const run = await ended(kern, await start(kern, workflow))
    expect(run).toMatchObject({ status: 'FAILED', error: { stepPath: 'gather/bad' }, stateAfter: {} })
    expect(run.steps['gather/in/deaf']).toMatchObject({ status: 'CANCELLED' })
    expect(pathsOf(run, 'STEP_CANCELLED')).toEqual(['gather/in/deaf', 'gather/in'])
    gate.open()
    expect(await done.promise).toMatchObject({ code: 'CANCELLED' })
    expect(await seen(kern, run.runId)).toEqual(run)
  })

  test('lets them go on to their end where failFast is off, and the first of those that failed counts', async () => {
    const [gate, patience] = [createGate(), createGate()]
    const sooner = failing('sooner', gate.reached)
    const later = step('later', async () => {
      await gate.pass()
      throw new Error('later failed')
    })
    const works = step('works', async ({ setState }: StepContext) => {
      setState({ works: true })
      await patience.pass()
      return 'kept'
    })
    const workflow = workflowOf([parallel('gather', [sooner, later, works], { failFast: false }), after])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow)
    for await (const { type, stepPath } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
      if (type !== 'STEP_FAILED') continue
      if (stepPath === 'gather/sooner') gate.open()
      if (stepPath === 'gather/later') patience.open()
    }
    const run = await seen(kern, runId)
    const error = { message: 'sooner failed', stepPath: 'gather/sooner' }
    expect(run).toMatchObject({ status: 'FAILED', error, stateAfter: { works: true } })
    expect(run.steps['gather']).toMatchObject({ status: 'FAILED', error })
    expect(run.steps['gather/works']).toMatchObject({ status: 'COMPLETED', output: 'kept' })
    expect(pathsOf(run, 'STEP_FAILED')).toEqual(['gather/sooner', 'gather/later', 'gather'])
  })

  test('counts only if it comes first in the list, whichever failed first', async () => {
    const gate = createGate()
    const slow = step('slow', async () => {
      await gate.pass()
      throw new Error('slow failed')
    })
    const workflow = workflowOf([parallel('gather', [slow, failing('quick', gate.reached)], { failFast: false })])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow)
    for await (const { type } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
      if (type === 'STEP_FAILED') gate.open()
    }
    const run = await seen(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'slow failed', stepPath: 'gather/slow' } })
  })
})

describe('a step that stops the run beside others', () => {
  const stopping = (name: string, reached: Promise<unknown>) =>
    step(name, async ({ setState, stop }: StepContext) => {
      setState({ stopped: name })
      await reached
      return stop({ by: name })
    })

  test.each([true, false])('aborts them, and the run is over with its output; failFast is %s', async (failFast) => {
    const patient = createPatient('patient')
    const stops = sequence('in', [stopping('stops', patient.reached)])
    const run = await execute(database(), [parallel('gather', [patient.node, stops], { failFast }), after])
    const output = { by: 'stops' }
    expect(run).toMatchObject({ status: 'COMPLETED', output, stoppedBy: 'gather/in/stops', error: null })
    expect(run.stateAfter).toEqual({ stopped: 'stops' })
    expect(patient.reasons).toMatchObject([{ message: expect.stringContaining('"gather/in/stops" stopped the run') }])
    expect(run.steps['gather/patient']).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
    expect(run.steps['gather']).toMatchObject({ status: 'COMPLETED', output })
    expect(run.steps['after']).toBeUndefined()
    const last = ['STEP_CANCELLED gather/patient', 'STEP_COMPLETED gather', 'RUN_COMPLETED']
    expect(run.lines.slice(-3)).toEqual(last)
  })

  test.each([true, false])('gives way to one that fails at that moment; failFast is %s', async (failFast) => {
    const both = Promise.withResolvers<void>()
    const fails = step('fails', async () => {
      both.resolve()
      await both.promise
      throw new Error('fails failed')
    })
    const run = await execute(database(), [parallel('gather', [stopping('stops', both.promise), fails], { failFast })])
    expect(run.steps['gather/stops']).toMatchObject({ status: 'COMPLETED' })
    expect(run).toMatchObject({ status: 'FAILED', error: { stepPath: 'gather/fails' }, stoppedBy: null })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a cancel of the run ends all that are under way, and what is finished stays', async () => {
    const [left, right] = [createPatient('left'), createPatient('right')]
    const workflow = workflowOf([parallel('gather', [one, left.node, sequence('in', [right.node])])])
    const kern = await startKern(own, [workflow])
    const runId = await start(kern, workflow)
    await Promise.all([left.reached, right.reached])
    await kern.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'enough' })
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' }, stateAfter: {} })
    for (const { reasons } of [left, right]) expect(reasons).toMatchObject([{ code: 'CANCELLED' }])
    expect(run.steps['gather/one']).toMatchObject({ status: 'COMPLETED', output: 1 })
    const cut = pathsOf(run, 'STEP_CANCELLED')
    expect(cut.toSorted()).toEqual(['gather', 'gather/in', 'gather/in/right', 'gather/left'])
    for (const path of cut) expect(run.steps[path]).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
  })

  test('after a restart only those go on that were not finished', async () => {
    const done: string[] = []
    const counted = (name: string) =>
      step(name, ({ setState }: StepContext) => {
        done.push(name)
        setState({ [name]: done.length })
        return name
      })
    const broken = createBreak('broken')
    const both = sequence('both', [counted('a'), broken.node, counted('b')])
    const workflow = workflowOf([parallel('gather', [counted('c'), both]), after])
    const run = await acrossRestart(own, workflow, { reached: broken.reached })
    const state = { c: 1, a: 2, b: 3 }
    expect(run).toMatchObject({ status: 'COMPLETED', output: { c: 'c', both: 'b' }, stateAfter: state })
    expect(done).toEqual(['c', 'a', 'b'])
    expect(run.steps['gather/both/broken']?.attempts).toMatchObject([
      { error: { code: 'INTERRUPTED' } },
      { error: null },
    ])
    expect(run.steps['gather']?.attempts).toHaveLength(1)
  })
})
