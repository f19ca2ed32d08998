import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import type { Schema } from '../../src/workflow/definition.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, createTestClock, startKern } from '../support/kerns.ts'

const RUN_TIMEOUT_MS = 50_000
const STEP_TIMEOUT_MS = 30_000
const GRACE_MS = 77_000

/** A clock whose run timeouts strike when the test says so. What is left of one is a little less than the whole. */
function clockOf(options: { readonly hold?: readonly number[]; readonly skip?: readonly number[] } = {}) {
  const left = Promise.withResolvers<number>()
  const isRunTimeout = (ms: number) => ms > RUN_TIMEOUT_MS - 15_000 && ms <= RUN_TIMEOUT_MS
  const hold = (ms: number) => {
    if (isRunTimeout(ms)) left.resolve(ms)
    return isRunTimeout(ms) || (options.hold ?? []).includes(ms)
  }
  const clock = createTestClock(systemClock, { hold, skip: (ms) => (options.skip ?? []).includes(ms) })
  return { clock, endRunTime: async () => clock.elapse(await left.promise) }
}

/** A schema that everything fits, but that gives no answer any more from one of its calls on. */
function silentFrom(call: number) {
  const reached = Promise.withResolvers<void>()
  let calls = 0
  const validate = (value: unknown) => {
    calls += 1
    if (calls < call) return { value }
    reached.resolve()
    return new Promise<{ readonly value: unknown }>(() => undefined)
  }
  const schema: Schema = { '~standard': { version: 1, vendor: 'test', validate } }
  return { schema, reached: reached.promise }
}

/** Where a schema can be asked during a run, with the call of it from which on it is silent there. */
const PLACES = {
  'the output schema of a step': { on: 'output', call: 1, inStep: true },
  'the input schema of a step': { on: 'input', call: 1, inStep: true },
  'the state schema of a step, before it': { on: 'state', call: 1, inStep: true },
  'the state schema of a step, after it': { on: 'state', call: 2, inStep: true },
  'the state schema of the workflow, after a step': { on: 'sessionState', call: 2, inStep: true },
  // The first call is that of the command, before the run is accepted.
  'the input schema of the workflow, at the start': { on: 'runInput', call: 2, inStep: false },
  'the state schema of the workflow, at the start': { on: 'sessionState', call: 1, inStep: false },
} as const
type PlaceName = keyof typeof PLACES
// `as`: the keys of an object are typed as any text.
const placeNames = Object.keys(PLACES) as PlaceName[]
const stepPlaces = placeNames.filter((name) => PLACES[name].inStep)

function silent(place: PlaceName, name: string, stepTimeout?: number) {
  const { on, call } = PLACES[place]
  const { schema, reached } = silentFrom(call)
  const at = (where: typeof on) => (on === where ? schema : undefined)
  const only = step({
    name: 'only',
    input: at('input'),
    output: at('output'),
    state: at('state'),
    timeout: stepTimeout,
    run: ({ setState }: StepContext<unknown, unknown>) => {
      setState({ changed: true })
      return 1
    },
  })
  const workflow = new Workflow({
    name: `${place} ${name}`,
    input: at('runInput'),
    state: at('sessionState'),
    timeout: RUN_TIMEOUT_MS,
    steps: [only],
  })
  return { workflow, reached }
}

async function begin(kern: Kern, workflow: { readonly id: string }) {
  return await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id, input: 'in' })
}

async function ended(kern: Kern, runId: string) {
  for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
  return await kern.getRun(runId)
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a validator that never answers', () => {
    test.each(stepPlaces)('of %s is ended by the timeout of the step', async (place) => {
      const { workflow, reached } = silent(place, 'step', STEP_TIMEOUT_MS)
      const { clock } = clockOf({ hold: [STEP_TIMEOUT_MS] })
      const kern = await startKern(database, [workflow], { clock })
      const { runId } = await begin(kern, workflow)
      await reached
      await clock.asked(STEP_TIMEOUT_MS)
      clock.elapse(STEP_TIMEOUT_MS)
      const error = { code: 'STEP_TIMEOUT', stepPath: 'only' }
      expect(await ended(kern, runId)).toMatchObject({ status: 'FAILED', error, stateAfter: {} })
    })

    test.each(placeNames)('of %s is ended by the timeout of the run', async (place) => {
      const { workflow, reached } = silent(place, 'run')
      const { clock, endRunTime } = clockOf({ hold: [GRACE_MS] })
      const kern = await startKern(database, [workflow], { clock, graceMs: GRACE_MS })
      const { runId } = await begin(kern, workflow)
      await reached
      await endRunTime()
      expect(await ended(kern, runId)).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT' } })
    })

    test.each(placeNames)('of %s is ended by a cancel', async (place) => {
      const { workflow, reached } = silent(place, 'cancel')
      const { clock } = clockOf({ skip: [GRACE_MS] })
      const kern = await startKern(database, [workflow], { clock, graceMs: GRACE_MS })
      const { runId } = await begin(kern, workflow)
      await reached
      expect(await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })).toMatchObject({ status: 'CANCELLED' })
    })

    test.each(placeNames)('of %s does not keep Kern from closing, and the run is left for later', async (place) => {
      const { workflow, reached } = silent(place, 'close')
      const { clock } = clockOf({ skip: [GRACE_MS] })
      const kern = await startKern(database, [workflow], { clock, graceMs: GRACE_MS })
      const { runId } = await begin(kern, workflow)
      await reached
      await kern.close()
      expect(await kern.getRun(runId)).toMatchObject({ status: 'RUNNING', completedAt: null })
    })
  })

  describe('a body that does not listen to its signal', () => {
    function deaf(name: string) {
      const gate = createGate()
      const only = step('only', () => gate.pass())
      return { workflow: new Workflow({ name, timeout: RUN_TIMEOUT_MS, steps: [only] }), gate }
    }

    test('is not waited for when the time of the run is over', async () => {
      const { workflow, gate } = deaf('Deaf to time')
      const { clock, endRunTime } = clockOf({ hold: [GRACE_MS] })
      const kern = await startKern(database, [workflow], { clock, graceMs: GRACE_MS })
      const { runId } = await begin(kern, workflow)
      await gate.reached
      await endRunTime()
      const run = await ended(kern, runId)
      expect(run).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT', stepPath: 'only' } })
      gate.open()
    })

    test('is given the grace time when the run is cancelled, and no longer', async () => {
      const { workflow, gate } = deaf('Deaf to cancels')
      const { clock } = clockOf({ hold: [GRACE_MS] })
      const kern = await startKern(database, [workflow], { clock, graceMs: GRACE_MS })
      const { runId } = await begin(kern, workflow)
      await gate.reached
      const cancelled = kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
      await clock.asked(GRACE_MS)
      expect(await kern.getRun(runId)).toMatchObject({ status: 'RUNNING' })
      clock.elapse(GRACE_MS)
      expect(await cancelled).toMatchObject({ status: 'CANCELLED' })
      gate.open()
    })
  })

  test('a step that blocks the process until its time is over has failed, although it returns', async () => {
    let blocked = 0
    const clock = { ...systemClock, now: () => new Date(Date.now() + blocked) }
    const blocks = step({
      name: 'blocks',
      timeout: STEP_TIMEOUT_MS,
      // No timer can strike meanwhile.
      run: ({ setState }: StepContext) => {
        setState({ late: true })
        blocked += STEP_TIMEOUT_MS
        return 'late'
      },
    })
    const workflow = new Workflow({ name: 'Blocks', steps: [blocks] })
    const kern = await startKern(database, [workflow], { clock })
    expect(await kern.run(workflow, {})).toMatchObject({
      status: 'FAILED',
      error: { code: 'STEP_TIMEOUT', stepPath: 'blocks' },
      stateAfter: {},
    })
  })

  test('a limit of values that is set above the default holds for the state too', async () => {
    const grows = step('grows', ({ setState, runInput }: StepContext) => {
      setState({ last: String(runInput) })
      return 1
    })
    const workflow = new Workflow({ name: 'Large', state: z.looseObject({}), steps: [grows] })
    const kern = await startKern(database, [workflow], { maxValueBytes: 4_000_000 })
    const big = 'x'.repeat(2_000_000)
    const first = await kern.run(workflow, { input: 'one', sessionState: { big } })
    const second = await kern.run(workflow, { input: 'two', sessionId: first.sessionId })
    for (const run of [first, second]) expect(run).toMatchObject({ status: 'COMPLETED', error: null })
    expect((await kern.getSession(first))?.state).toEqual({ big, last: 'two' })
    const tooBig = kern.run(workflow, { input: 'three', sessionState: { big: big.repeat(2) } })
    await expect(tooBig).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })
})
