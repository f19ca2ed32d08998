import { afterAll, beforeAll, beforeEach, describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  agentStep,
  approval,
  map,
  nested,
  parallel,
  sequence,
  sleep,
  step,
  waitForInput,
  Workflow,
} from '../src/index.ts'
import { type TestKern, testKern, type TestKernOptions } from '../src/testing/index.ts'
import { createGate, type Gate } from './support/kerns.ts'

const SECOND = 1_000
const HOUR = 3_600 * SECOND
const DAY = 24 * HOUR

/** The steps that ran and say so, in order. */
let calls: string[] = []
let gate: Gate

beforeEach(() => {
  calls = []
  gate = createGate()
})

/** A step that says that it ran, and yields its name. */
function named<const Name extends string>(name: Name) {
  return step({
    name,
    output: z.string(),
    run: () => {
      calls.push(name)
      return name
    },
  })
}

/** A step that waits until the test lets it go on. */
const gated = step({
  name: 'gated',
  output: z.string(),
  timeout: '30s',
  run: async ({ signal }) => {
    await gate.pass()
    signal.throwIfAborted()
    calls.push('gated')
    return 'gated'
  },
})

describe('an override', () => {
  const gather = new Workflow({
    name: 'Gather',
    steps: [parallel('gather', [named('web'), named('papers')]), named('last')],
  })
  const other = new Workflow({ name: 'Other', steps: [named('last')] })
  const double = step({ name: 'double', input: z.object({ n: z.number() }), run: ({ input }) => input.n * 2 })
  const noting = new Workflow({ name: 'Noting', steps: [double, named('end')] })
  const failing = new Workflow({ name: 'Failing', steps: [named('fails')] })
  const stopping = new Workflow({ name: 'Stopping', steps: [named('stops'), named('never')] })
  const yielding = new Workflow({ name: 'Yielding', steps: [named('yields')] })
  const unfit = new Workflow({ name: 'Unfit', steps: [named('unfit')] })
  const model = { specificationVersion: 'v4', provider: 'none', modelId: 'none' }
  const inner = new Workflow({ name: 'Inner', steps: [agentStep({ name: 'write', model, prompt: 'Write.' })] })
  const outer = new Workflow({ name: 'Outer', steps: [map('each', { steps: [nested('inner', inner)] })] })

  const workflows = [gather, other, noting, failing, stopping, yielding, unfit, outer]
  let kern: TestKern
  beforeAll(async () => {
    kern = await testKern({
      workflows,
      overrides: {
        'gather/web': () => 'replaced',
        'other:last': () => 'mine',
        double: async ({ input, stepPath, setState }) => {
          setState({ seen: { stepPath, input: z.json().parse(input) } })
          return 1
        },
        fails: () => {
          throw new Error('no web today')
        },
        stops: ({ stop }) => stop('enough'),
        yields: async function* () {
          yield 'half'
          return 'whole'
        },
        unfit: () => 42,
        'each/inner/write': ({ input }) => `on ${String(input)}`,
      },
    })
  })
  afterAll(() => kern.close())

  test('takes the place of the step at its path, and of no other', async () => {
    const run = await kern.run(gather, {})
    expect(run.steps['gather']?.output).toEqual({ web: 'replaced', papers: 'papers' })
    expect(calls).toEqual(['papers', 'last'])
  })

  test('gets what the step would', async () => {
    const run = await kern.run(noting, { input: { n: 21 } })
    expect(run.stateAfter).toEqual({ seen: { stepPath: 'double', input: { n: 21 } } })
    expect(run.steps).toMatchObject({ double: { output: 1 }, end: { output: 'end' } })
  })

  test('may fail, stop the run, and yield partial output', async () => {
    const failed = await kern.run(failing, {})
    expect(failed).toMatchObject({ status: 'FAILED', error: { message: 'no web today', stepPath: 'fails' } })
    expect(await kern.run(stopping, {})).toMatchObject({ output: 'enough', stoppedBy: 'stops' })
    expect((await kern.run(yielding, {})).output).toBe('whole')
    expect(calls).toEqual([])
  })

  test("is held to the step's output schema", async () => {
    const run = await kern.run(unfit, {})
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'OUTPUT_INVALID', stepPath: 'unfit' } })
  })

  test('takes the place of the model of an agent step, in every item of a map and in a nested workflow', async () => {
    expect((await kern.run(outer, { input: ['tea', 'ink'] })).output).toEqual(['on tea', 'on ink'])
  })

  test('of a path that two workflows have is for the one whose id it names', async () => {
    expect((await kern.run(other, {})).output).toBe('mine')
    expect((await kern.run(gather, {})).output).toBe('last')
    await expect(testKern({ workflows, overrides: { last: () => 'mine' } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'overrides["last"] is the path of several steps: allowed are "gather:last", "other:last"',
    })
  })

  test('of a path that is not there is refused, with the paths that there are', async () => {
    const refused = testKern({ workflows: [gather], overrides: { 'gather/press': () => null } })
    await expect(refused).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'overrides["gather/press"] is no path of a step: allowed are "gather/web", "gather/papers", "last"',
    })
  })

  test('of a node that has no function of its own is refused', async () => {
    const refused = testKern({ workflows: [gather], overrides: { gather: () => ({}) } })
    await expect(refused).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'overrides["gather"] is no path of a step: allowed are "gather/web", "gather/papers", "last"',
    })
  })

  test('that is no function is refused', async () => {
    const overrides: object = { 'gather/web': 'mine' }
    const refused = testKern({ workflows: [gather], overrides: overrides as TestKernOptions['overrides'] }) // not one
    await expect(refused).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'overrides["gather/web"] is "mine": allowed is a function',
    })
  })
})

describe('a Kern for tests', () => {
  const NOW = new Date('2026-01-01T00:00:00Z')
  const plain = new Workflow({ name: 'Plain', steps: [named('only')] })
  const slow = new Workflow({ name: 'Slow', steps: [gated] })
  const sleeping = new Workflow({
    name: 'Sleeping',
    steps: [sleep('short', '1s'), sequence('inner', [sleep('long', '30d')]), named('last')],
  })
  const beside = new Workflow({ name: 'Beside', steps: [parallel('both', [sleep('rest', '1d'), gated])] })
  const retrying = new Workflow({
    name: 'Retrying',
    steps: [
      step({
        name: 'flaky',
        retry: { maxAttempts: 3, backoff: 'fixed', delay: '1h', maxDelay: '1h' },
        run: ({ attempt }) => {
          if (attempt < 3) throw new Error('not yet')
          return attempt
        },
      }),
    ],
  })
  const ask = waitForInput('ask', {
    prompt: 'Where?',
    schema: z.object({ region: z.string() }),
    timeout: '1h',
    onTimeout: { region: 'EU' },
  })
  const asking = new Workflow({ name: 'Asking', steps: [ask, sleep('rest', '1d'), step('tell', ({ input }) => input)] })
  const approving = new Workflow({ name: 'Approving', steps: [approval('sure', { prompt: 'Sure?', timeout: '1d' })] })
  const limited = new Workflow({ name: 'Limited', timeout: '1h', steps: [approval('sure', { prompt: 'Sure?' })] })
  let broken = true
  const fragile = step({
    name: 'fragile',
    output: z.string(),
    run: () => {
      if (broken) throw new Error('broken')
      return 'whole'
    },
  })
  const breaking = new Workflow({
    name: 'Breaking',
    steps: [named('first'), sleep('rest', '1h'), fragile, sleep('end', '1h')],
  })

  let kern: TestKern
  beforeAll(async () => {
    const workflows = [plain, slow, sleeping, beside, retrying, asking, approving, limited, breaking]
    kern = await testKern({ workflows, now: NOW })
  })
  afterAll(() => kern.close())

  let before: Date
  beforeEach(() => {
    before = kern.clock.now()
  })
  /** How far the clock has gone in this test. */
  const passed = () => kern.clock.now().getTime() - before.getTime()

  // The first test of its Kern: the clock has not been advanced.
  test('has a clock that shows what it was told, and stands still', async () => {
    const run = await kern.run(plain, {})
    expect([run.createdAt, run.startedAt, run.completedAt]).toEqual([NOW, NOW, NOW])
    expect(kern.clock.now()).toEqual(NOW)
  })

  test('lets the time of each sleep pass, however long, and no other', async () => {
    const run = await kern.run(sleeping, {})
    expect(run.output).toBe('last')
    expect(passed()).toBe(30 * DAY + SECOND)
    expect(run.completedAt).toEqual(kern.clock.now())
  })

  test('lets what runs beside a sleep end before its time passes', async () => {
    const running = kern.run(beside, { input: 1 })
    await gate.reached
    expect(passed()).toBe(0)
    gate.open()
    expect((await running).output).toEqual({ rest: 1, gated: 'gated' })
    expect(passed()).toBe(DAY)
  })

  test('lets the delay before each retry pass', async () => {
    const run = await kern.run(retrying, {})
    expect(run).toMatchObject({ status: 'COMPLETED', output: 3 })
    const times = run.steps['flaky']?.attempts.map(({ startedAt }) => Date.parse(startedAt) - before.getTime())
    expect(times).toEqual([0, HOUR, 2 * HOUR])
  })

  test('lets an attempt take as long as it likes, until time is advanced over its limit', async () => {
    const within = kern.run(slow, {})
    await gate.reached
    kern.clock.advance('29s')
    gate.open()
    expect(await within).toMatchObject({ status: 'COMPLETED' })

    gate = createGate()
    const late = kern.run(slow, {})
    await gate.reached
    kern.clock.advance('30s')
    expect(await late).toMatchObject({ status: 'FAILED', error: { code: 'STEP_TIMEOUT', stepPath: 'gated' } })
    gate.open()
  })

  test('gives a run that waits for a person as it waits, and lets no time pass for it', async () => {
    const run = await kern.run(asking, {})
    expect(run).toMatchObject({ status: 'PAUSED', steps: { ask: { status: 'PAUSED', pending: { prompt: 'Where?' } } } })
    expect(passed()).toBe(0)
  })

  test('resolves an answer once the run is over or waits again, and refuses one that does not fit', async () => {
    const { runId } = await kern.run(asking, {})
    await expect(kern.resumeRun({ runId, data: { region: 7 } })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    expect(await kern.getRun(runId)).toMatchObject({ status: 'PAUSED' })
    const run = await kern.resumeRun({ runId, data: { region: 'US' } })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { region: 'US' } })
    expect(passed()).toBe(DAY)
  })

  test('takes the default answer once its time is over, and not before', async () => {
    const { runId } = await kern.run(asking, {})
    await kern.advance('59m')
    expect(await kern.getRun(runId)).toMatchObject({ status: 'PAUSED' })
    await kern.advance('1m')
    expect(await kern.getRun(runId)).toMatchObject({ status: 'RUNNING', steps: { ask: { output: { region: 'EU' } } } })
    await kern.advance('1d')
    expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: { region: 'EU' } })
  })

  test('fails a run once its time is over where there is no default answer', async () => {
    const { runId } = await kern.run(approving, {})
    await kern.advance('1d')
    const error = { code: 'STEP_TIMEOUT', stepPath: 'sure' }
    expect(await kern.getRun(runId)).toMatchObject({ status: 'FAILED', error })
  })

  test('fails a run once the time of the whole run is over, which goes on while it waits', async () => {
    const { runId } = await kern.run(limited, {})
    await kern.advance('1h')
    expect(await kern.getRun(runId)).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT' } })
  })

  test('gives a run that waits for its turn as QUEUED, and executes it after the one before it', async () => {
    const first = await kern.run(approving, { sessionId: 'turns' })
    const second = await kern.run(approving, { sessionId: 'turns' })
    expect(second).toMatchObject({ status: 'QUEUED' })
    await kern.resumeRun({ runId: first.runId, data: { approved: true } })
    await kern.idle()
    expect(await kern.getRun(second.runId)).toMatchObject({ status: 'PAUSED' })
  })

  test('cancels a run that waits', async () => {
    const { runId } = await kern.run(approving, {})
    const run = await kern.cancelRun({ runId, reason: 'no need' })
    expect(run).toMatchObject({ status: 'CANCELLED', steps: { sure: { status: 'CANCELLED' } } })
  })

  test('retries a run with what it had done, and lets the time of what is left pass', async () => {
    const failed = await kern.run(breaking, {})
    expect(failed).toMatchObject({ status: 'FAILED', error: { stepPath: 'fragile' } })
    broken = false
    const run = await kern.retryRun({ runId: failed.runId })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'whole', retryOf: failed.runId })
    expect(calls).toEqual(['first'])
    expect(passed()).toBe(2 * HOUR)
  })

  test('is idle once nothing is executed any more', async () => {
    await kern.idle()
    const running = kern.run(slow, {})
    await gate.reached
    const idle = kern.idle().then(() => calls.push('idle'))
    gate.open()
    await idle
    expect(calls).toEqual(['gated', 'idle'])
    expect(await running).toMatchObject({ status: 'COMPLETED' })
  })

  test('streams events as any other', async () => {
    const types: string[] = []
    for await (const { type } of kern.stream(plain, {})) types.push(type)
    expect(types).toEqual(['RUN_QUEUED', 'RUN_STARTED', 'STEP_STARTED', 'STEP_COMPLETED', 'RUN_COMPLETED'])
  })

  test('knows the types of its workflows', async () => {
    const run = await kern.run(plain, {})
    expectTypeOf(run.output).toEqualTypeOf<string | undefined>()
    expectTypeOf(run.steps['only']?.output).toEqualTypeOf<string | undefined>()
  })

  test('knows nothing of another one, and is closed also where a body hangs', async () => {
    const other = await testKern({ workflows: [slow] })
    await kern.run(plain, { sessionId: 'mine' })
    expect(await other.getSession({ sessionId: 'mine' })).toBeNull()
    other.clock.advance('1h')
    expect(passed()).toBe(0)

    const running = other.run(slow, {}).catch(() => null)
    await gate.reached
    await other.close()
    gate.open()
    await running
  })
})
