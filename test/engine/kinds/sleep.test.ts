import { beforeAll, describe, expect, test } from 'vitest'
import type { Duration } from '../../../src/clock.ts'
import type { Database } from '../../../src/db/client.ts'
import type { Kern } from '../../../src/kern.ts'
import { createTestClock } from '../../../src/testing/clock.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import type { HasDefinition, WorkflowNode } from '../../../src/workflow/definition.ts'
import { approval } from '../../../src/workflow/approval.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sleep } from '../../../src/workflow/sleep.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, startKern } from '../../support/kerns.ts'
import { after, embedded, ended, execute, pathsOf, seen, start, workflowOf } from './support.ts'

const database = embedded()

const before = step('before', ({ input }: StepContext) => [input])
const last = step('last', ({ input }: StepContext) => ({ input }))

const HOUR = 3_600_000

/** A run on a clock that stands still. */
async function begin(steps: readonly WorkflowNode[], options: Parameters<typeof workflowOf>[1] = {}) {
  const clock = createTestClock(new Date('2030-01-01T00:00:00Z'))
  const workflow = workflowOf(steps, options)
  const kern = await startKern(database(), [workflow], { clock })
  const runId = await start(kern, workflow, { input: 'in' })
  return {
    kern,
    runId,
    clock,
    /** Lets time pass; resolves with the run once nothing goes on in it. */
    async pass(duration: Duration) {
      clock.advance(duration)
      await kern.idle()
      return await seen(kern, runId)
    },
  }
}

describe('a sleep', () => {
  test('of no time passes its input on', async () => {
    const run = await execute(database(), [before, sleep('nap', 0), last], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: ['in'] } })
    expect(run.steps['nap']).toMatchObject({
      kind: 'sleep',
      input: ['in'],
      output: ['in'],
      pending: { reason: 'time' },
    })
    expect(pathsOf(run, 'STEP_COMPLETED')).toEqual(['before', 'nap', 'last'])
  })

  test('of a short time keeps its run where it is', async () => {
    const { kern, runId, clock } = await begin([sleep('nap', '5s'), last])
    const asleep = await after(kern, runId, 'STEP_STARTED nap')
    expect(asleep).toMatchObject({ status: 'RUNNING', wakeAt: null })
    clock.advance('5s')
    expect(await ended(kern, runId)).toMatchObject({ status: 'COMPLETED', output: { input: 'in' } })
    expect(await epochOf(kern, runId)).toBe(1)
  })

  test('of a longer time lets go of its run until the time has come, and no later step runs before that', async () => {
    const { kern, runId, clock, pass } = await begin([sleep('nap', '1h'), last])
    await after(kern, runId, 'STEP_STARTED nap')
    const wakeAt = new Date(clock.now().getTime() + HOUR)
    // Nothing is executed here while the run sleeps.
    expect(await pass('59m')).toMatchObject({ status: 'RUNNING', wakeAt, stepCount: 1 })
    const run = await pass('1m')
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: 'in' }, wakeAt: null })
    expect(run.steps['nap']?.attempts).toHaveLength(1)
    expect(run.steps['nap']).toMatchObject({ completedAt: wakeAt })
    expect(await epochOf(kern, runId)).toBe(2)
    expect(run.lines).toEqual([
      'RUN_QUEUED',
      'RUN_STARTED',
      'STEP_STARTED nap',
      'STEP_COMPLETED nap',
      'STEP_STARTED last',
      'STEP_COMPLETED last',
      'RUN_COMPLETED',
    ])
  })

  test('may be longer than any timer', async () => {
    const { kern, runId, clock, pass } = await begin([sleep('winter', '400d')])
    await after(kern, runId, 'STEP_STARTED winter')
    clock.advance('20d')
    for (let days = 20; days < 400; days += 20) {
      expect(await pass('0s')).toMatchObject({ status: 'RUNNING' })
      clock.advance('20d')
    }
    expect(await pass('0s')).toMatchObject({ status: 'COMPLETED', output: 'in' })
  })

  test('beside others waits for itself only, and the longest one counts', async () => {
    const work = [step('works', () => 'done'), last] as const
    const { kern, runId, pass } = await begin([parallel('all', [sleep('long', '2h'), sleep('short', '1h'), ...work])])
    await after(kern, runId, 'STEP_COMPLETED all/works')
    const first = await pass('1h')
    expect(pathsOf(first, 'STEP_COMPLETED').toSorted()).toEqual(['all/last', 'all/short', 'all/works'])
    expect(first).toMatchObject({ status: 'RUNNING' })
    expect(await pass('59m')).toMatchObject({ status: 'RUNNING', lastSeq: first.lastSeq })
    const output = { long: 'in', short: 'in', works: 'done', last: { input: 'in' } }
    expect(await pass('1m')).toMatchObject({ status: 'COMPLETED', output, attemptCount: 5 })
  })

  test('beside a step that works ends in its time, while that works on', async () => {
    const gate = createGate()
    const works = step('works', async () => {
      await gate.pass()
      return 'done'
    })
    const { kern, runId, clock } = await begin([parallel('all', [sleep('nap', '1h'), works])])
    await Promise.all([gate.reached, after(kern, runId, 'STEP_STARTED all/nap')])
    clock.advance('1h')
    expect(await after(kern, runId, 'STEP_COMPLETED all/nap')).toMatchObject({ status: 'RUNNING' })
    gate.open()
    expect(await ended(kern, runId)).toMatchObject({ status: 'COMPLETED', output: { nap: 'in', works: 'done' } })
  })

  test('beside one that fails is cancelled, also where it had let go of its run', async () => {
    const fails = step('fails', () => {
      throw new Error('no')
    })
    const { kern, runId } = await begin([parallel('all', [sleep('nap', '1h'), fails])])
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { stepPath: 'all/fails' } })
    expect(run.steps['all/nap']).toMatchObject({ status: 'CANCELLED', completedAt: run.completedAt })
    const later = await begin([
      parallel('all', [sleep('long', '2h'), loop('l', { steps: [sleep('nap', '1h'), fails], maxIterations: 1 })]),
    ])
    await after(later.kern, later.runId, 'STEP_STARTED all/l[1]/nap')
    const failed = await later.pass('1h')
    expect(failed).toMatchObject({ status: 'FAILED', error: { stepPath: 'all/l[1]/fails' } })
    expect(failed.steps['all/long']).toMatchObject({ status: 'CANCELLED' })
  })

  test('beside an approval leaves the run to be answered, and both go on by themselves', async () => {
    const ask = approval('ask', { prompt: 'Agreed?' })
    const { kern, runId, pass } = await begin([parallel('all', [sleep('nap', '1h'), ask])])
    expect(await after(kern, runId, 'RUN_PAUSED')).toMatchObject({ status: 'PAUSED' })
    const awake = await pass('1h')
    expect(awake).toMatchObject({ status: 'PAUSED', wakeAt: null })
    expect(awake.steps['all/nap']).toMatchObject({ status: 'COMPLETED' })
    const answered = await kern.resumeRun({ runId, stepPath: 'all/ask', data: { approved: true } })
    const output = { nap: 'in', ask: { approved: true, input: 'in' } }
    expect(answered).toMatchObject({ status: 'COMPLETED', output })
  })

  test('can be cancelled with its run', async () => {
    const { kern, runId, pass } = await begin([sleep('nap', '1h'), last])
    await after(kern, runId, 'STEP_STARTED nap')
    expect(await pass('1m')).toMatchObject({ status: 'RUNNING' })
    await kern.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'enough' })
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED', stepPath: 'nap' } })
    expect(run.steps['nap']).toMatchObject({ status: 'CANCELLED' })
    expect(await pass('1h')).toEqual(run)
  })

  test('ends with the time of its run, if that is over before', async () => {
    const { kern, runId, clock, pass } = await begin([sleep('nap', '2h'), last], { timeout: '1h' })
    await after(kern, runId, 'STEP_STARTED nap')
    const wakeAt = new Date(clock.now().getTime() + HOUR)
    expect(await pass('59m')).toMatchObject({ status: 'RUNNING', wakeAt })
    const run = await pass('1m')
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT', stepPath: 'nap' } })
    expect(run.steps['nap']).toMatchObject({ status: 'FAILED', error: { code: 'RUN_TIMEOUT' } })
  })
})

/** How often the run was taken by a worker. */
async function epochOf(kern: Kern, runId: string): Promise<number | undefined> {
  const [run] = await kern.readerFor(SYSTEM_VIEWER).runs([runId])
  return run?.epoch
}

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  /** Lets another process go on with a run, at a time. */
  async function goOn(workflow: HasDefinition, runId: string, now: Date) {
    const clock = createTestClock(now)
    const kern = await startKern(own, [workflow], { clock })
    await kern.idle()
    return { kern, clock, run: await seen(kern, runId) }
  }

  test('a sleep goes on while no process is there, and begins anew with none of them', async () => {
    const workflow = workflowOf([before, sleep('nap', '1h'), last])
    const first = createTestClock(new Date('2030-01-01T00:00:00Z'))
    const kern = await startKern(own, [workflow], { clock: first })
    const runId = await start(kern, workflow, { input: 'in' })
    await after(kern, runId, 'STEP_STARTED nap')
    await kern.close()
    const second = await goOn(workflow, runId, new Date('2030-01-01T00:30:00Z'))
    const wakeAt = new Date('2030-01-01T01:00:00Z')
    expect(second.run).toMatchObject({ status: 'RUNNING', wakeAt })
    await second.kern.close()
    const third = await goOn(workflow, runId, new Date('2030-01-01T01:00:00Z'))
    expect(third.run).toMatchObject({ status: 'COMPLETED', output: { input: ['in'] }, attemptCount: 3 })
    expect(third.run.steps['nap']).toMatchObject({ completedAt: wakeAt })
  })
})
