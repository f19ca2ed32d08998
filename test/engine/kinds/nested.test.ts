import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from '../../../src/db/client.ts'
import { newId } from '../../../src/ids.ts'
import { createTestClock } from '../../../src/testing/clock.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import { nested } from '../../../src/workflow/nested.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { step } from '../../../src/workflow/step.ts'
import { approval } from '../../../src/workflow/approval.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { eventsOf, startKern } from '../../support/kerns.ts'
import {
  acrossRestart,
  after,
  createBreak,
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

const adds = step('adds', ({ input }: StepContext) => Number(input) + 1)
const reads = step('reads', ({ input, runInput, state }: StepContext) => ({ input, runInput, state }))
const last = step('last', ({ input }: StepContext) => ({ input }))

describe('a nested workflow', () => {
  test('runs its steps below its node, each with what the one before yields, and yields what the last one does', async () => {
    const inner = workflowOf([adds, reads])
    const run = await execute(database(), [adds, nested('sub', inner), last], { input: 1 })
    const output = { input: 3, runInput: 2, state: {} }
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: output }, stepCount: 5 })
    expect(pathsOf(run, 'STEP_STARTED')).toEqual(['adds', 'sub', 'sub/adds', 'sub/reads', 'last'])
    expect(run.steps['sub']).toMatchObject({ kind: 'workflow', name: 'sub', parentPath: null, input: 2, output })
    expect(run.steps['sub/adds']).toMatchObject({ kind: 'step', name: 'adds', parentPath: 'sub', input: 2, output: 3 })
  })

  test('takes its input as its schema gives it, and that is the run’s input for its steps', async () => {
    const inner = workflowOf([reads], { input: z.object({ topic: z.string(), limit: z.number().default(3) }) })
    const gives = step('gives', () => ({ topic: 'tea' }))
    const run = await execute(database(), [gives, nested('sub', inner)], { input: 'of the run' })
    const parsed = { topic: 'tea', limit: 3 }
    expect(run.output).toEqual({ input: parsed, runInput: parsed, state: {} })
    expect(run.steps['sub']).toMatchObject({ input: { topic: 'tea' } })
    expect(run.steps['sub/reads']).toMatchObject({ input: parsed })
  })

  test('whose schema refuses its input fails before any of its steps, and says where', async () => {
    const inner = workflowOf([reads], { input: z.object({ topic: z.string() }) })
    const run = await execute(database(), [nested('sub', inner), last], { input: { topic: 1 } })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'INPUT_INVALID', stepPath: 'sub' }, stepCount: 1 })
    expect(run.error?.message).toMatch(/input of step "sub".*topic/)
  })

  test('fails with its step, and stops the whole run with it', async () => {
    const ends = step('ends', ({ input, stop }: StepContext) => {
      if (input === 'stop') return stop('early')
      throw new Error('no')
    })
    const inner = nested('sub', workflowOf([ends, last]))
    const steps = [nested('outer', workflowOf([inner, last], { timeout: '1h' })), last]
    const failed = await execute(database(), steps, { input: 'fail' })
    expect(failed).toMatchObject({
      status: 'FAILED',
      error: { message: 'no', stepPath: 'outer/sub/ends' },
      stepCount: 3,
    })
    expect(failed.steps['outer']).toMatchObject({ status: 'FAILED', error: { stepPath: 'outer/sub/ends' } })
    const stopped = await execute(database(), steps, { input: 'stop' })
    expect(stopped).toMatchObject({ status: 'COMPLETED', output: 'early', stoppedBy: 'outer/sub/ends', stepCount: 3 })
  })

  test('may be there several times, and outputOf reads that of the nearest', async () => {
    const source = step('source', ({ input }: StepContext) => [input])
    const inner = workflowOf([source, step('near', ({ outputOf }: StepContext) => outputOf(source))])
    const outside = step('outside', ({ outputOf }: StepContext) => outputOf(source))
    const both = parallel('both', [nested('a', inner), nested('b', inner)])
    const inOrder = await execute(database(), [nested('a', inner), nested('b', inner), outside], { input: 'in' })
    expect(inOrder.steps['a']?.output).toEqual(['in'])
    expect(inOrder.output).toEqual([['in']])
    const beside = await execute(database(), [both], { input: 'in' })
    expect(beside).toMatchObject({ status: 'COMPLETED', output: { a: ['in'], b: ['in'] } })
  })

  test('reads what came before it by outputOf, and is read itself by what comes after it', async () => {
    const inner = workflowOf([step('looks', ({ outputOf }: StepContext) => ({ saw: outputOf(adds) }))])
    const sub = nested('sub', inner)
    const looks = step('looks', ({ outputOf }: StepContext) => [outputOf(sub)])
    expect((await execute(database(), [adds, sub, looks], { input: 1 })).output).toEqual([{ saw: 2 }])
  })
})

describe('the state of a nested workflow', () => {
  const sets = step('sets', ({ setState, state }: StepContext) => {
    setState({ count: Number(state['count']) + 1 })
    return state
  })

  test('is that of the session, with its own defaults below what is there, and goes on after it', async () => {
    const inner = workflowOf([sets], { initialState: { count: 5, deep: { a: 1, b: 1 } } })
    const run = await execute(database(), [nested('sub', inner), reads], {
      sessionState: { deep: { b: 2 }, own: true },
    })
    const before = { own: true, count: 5, deep: { a: 1, b: 2 } }
    expect(run.steps['sub/sets']?.output).toEqual(before)
    expect(run.output).toMatchObject({ state: { ...before, count: 6 } })
    expect(run.stateAfter).toEqual({ ...before, count: 6 })
    expect(run.stateBefore).toEqual({ deep: { b: 2 }, own: true })
    expect(run.steps['sub']?.statePatch).toEqual({ count: 5, deep: { a: 1 } })
    const kern = await startKern(database(), [inner])
    const changes = (await eventsOf(kern, run.runId)).filter(({ type }) => type === 'STATE_CHANGED')
    expect(changes.map(({ stepPath }) => stepPath)).toEqual([null, 'sub', 'sub/sets'])
  })

  test('is completed and checked by its schema when it begins, and after each of its steps', async () => {
    const State = z.looseObject({ count: z.number().max(6).default(4) })
    const inner = workflowOf(
      [sets, sets].map((each, index) => step(`sets${index}`, each.run)),
      { state: State },
    )
    const run = await execute(database(), [nested('sub', inner)], { sessionState: { other: 1 } })
    expect(run).toMatchObject({ status: 'COMPLETED', stateAfter: { other: 1, count: 6 } })
    const begins = await execute(database(), [nested('sub', inner)], { sessionState: { count: 'many' } })
    expect(begins).toMatchObject({ status: 'FAILED', error: { code: 'STATE_INVALID', stepPath: 'sub' }, stepCount: 1 })
    const later = await execute(database(), [nested('sub', inner)], { sessionState: { count: 5 } })
    expect(later).toMatchObject({ status: 'FAILED', error: { code: 'STATE_INVALID', stepPath: 'sub/sets1' } })
    expect(later.stateAfter).toEqual({ count: 6 })
  })

  test('of one beside others is merged with theirs, and conflicts with theirs', async () => {
    const inner = (count: number) => workflowOf([last], { initialState: { count } })
    const kept = step('kept', ({ setState }: StepContext) => {
      setState({ kept: true })
      return 1
    })
    const agree = await execute(database(), [parallel('both', [nested('a', inner(5)), nested('b', inner(5)), kept])])
    expect(agree).toMatchObject({ status: 'COMPLETED', stateAfter: { count: 5, kept: true } })
    const clash = await execute(database(), [parallel('both', [nested('a', inner(5)), nested('b', inner(7))])])
    expect(clash).toMatchObject({ status: 'FAILED', error: { code: 'STATE_CONFLICT' } })
    expect(clash.error?.message).toMatch(/"both\/a" and "both\/b".*"count"/)
  })
})

describe('the history of a nested workflow', () => {
  const numbers = step('numbers', ({ history }: StepContext) => history.runs.map(({ number }) => number))
  const told = step('told', ({ input, history }: StepContext) => ({
    input,
    own: history.runs.map(({ number }) => number),
  }))

  /** What the third run of a session is given. */
  async function third(options: { readonly history?: boolean }, outer: object): Promise<unknown> {
    const inner = workflowOf([numbers], { addWorkflowHistoryToSteps: true, numHistoryRuns: 1 })
    const workflow = workflowOf([nested('sub', inner, options), told], outer)
    const kern = await startKern(database(), [workflow])
    const sessionId = newId()
    for (let run = 1; run <= 2; run += 1) await kern.run(workflow.definition.id, { sessionId })
    return (await kern.run(workflow.definition.id, { sessionId })).output
  }

  test('is as its own settings say, whatever those around it are', async () => {
    expect(await third({}, {})).toEqual({ input: [2], own: [] })
    expect(await third({}, { addWorkflowHistoryToSteps: true })).toEqual({ input: [2], own: [1, 2] })
  })

  test('is none where it was nested without', async () => {
    expect(await third({ history: false }, { addWorkflowHistoryToSteps: true })).toEqual({ input: [], own: [1, 2] })
    expect(await third({ history: true }, {})).toEqual({ input: [2], own: [] })
  })
})

describe('the timeout of a nested workflow', () => {
  test('ends its steps and fails it, and not the run as such', async () => {
    const clock = createTestClock(new Date())
    const patient = createPatient('patient')
    const workflow = workflowOf([nested('sub', workflowOf([patient.node], { timeout: '1m' })), last])
    const kern = await startKern(database(), [workflow], { clock })
    const runId = await start(kern, workflow)
    await patient.reached
    clock.advance('1m')
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STEP_TIMEOUT', stepPath: 'sub' }, stateAfter: {} })
    expect(run.error?.message).toContain('60000 ms')
    expect(patient.reasons).toMatchObject([{ code: 'STEP_TIMEOUT' }])
    expect(run.steps['sub/patient']).toMatchObject({ status: 'CANCELLED', error: { code: 'STEP_TIMEOUT' } })
    expect(run.lines.slice(-3)).toEqual(['STEP_CANCELLED sub/patient', 'STEP_FAILED sub', 'RUN_FAILED'])
  })

  test('goes on while it waits for a person', async () => {
    const clock = createTestClock(new Date())
    const inner = workflowOf([approval('agree', { prompt: 'Agreed?' })], { timeout: '1h' })
    const workflow = workflowOf([nested('sub', inner), last])
    const kern = await startKern(database(), [workflow], { clock })
    const runId = await start(kern, workflow)
    const paused = await after(kern, runId, 'RUN_PAUSED')
    expect(paused).toMatchObject({ status: 'PAUSED', wakeAt: new Date(clock.now().getTime() + 3_600_000) })
    clock.advance('1h')
    await kern.idle()
    const run = await seen(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STEP_TIMEOUT', stepPath: 'sub' } })
    expect(run.steps['sub/agree']).toMatchObject({ status: 'CANCELLED' })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('after a restart a nested workflow has the input and the defaults that it had first', async () => {
    let asked = 0
    const broken = createBreak('broken')
    const Input = z.object({}).transform(() => ({ asked: (asked += 1) }))
    const removes = step('removes', ({ setState }: StepContext) => {
      setState({ default: null })
      return 1
    })
    const inner = workflowOf([removes, broken.node, reads], { input: Input, initialState: { default: 'once' } })
    const run = await acrossRestart(own, workflowOf([nested('sub', inner)]), { reached: broken.reached, input: {} })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: 1, runInput: { asked: 1 }, state: {} } })
    expect(run.stateAfter).toEqual({})
    expect(asked).toBe(1)
  })
})
