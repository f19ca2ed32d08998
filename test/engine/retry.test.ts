/* oxlint-disable unicorn/no-thenable -- `then` of a condition is a list of steps */
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import type { RetryRequest } from '../../src/engine/api.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { createTestClock } from '../../src/testing/clock.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { approval } from '../../src/workflow/approval.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import type { WorkflowNode } from '../../src/workflow/definition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'
import { createGate, eventsOf, runsOf, startKern } from '../support/kerns.ts'
import { ended, seen, start, workflowOf } from './kinds/support.ts'

/** Steps that tell where they are executed, and break where they are told to. */
function createWorld() {
  const bodies: string[] = []
  const broken = new Set<string>()
  return {
    bodies,
    broken,
    /** Yields what it is given and its own name. */
    s: (name: string) =>
      step(name, ({ stepPath, input }: StepContext) => {
        bodies.push(stepPath)
        if (broken.has(stepPath)) throw new Error(`${stepPath} broke`)
        return `${typeof input === 'string' ? input : JSON.stringify(input)}>${name}`
      }),
  }
}

type Make = (s: (name: string) => WorkflowNode) => readonly WorkflowNode[]

interface Case {
  readonly steps: Make
  readonly breaks: string
  /** Which bodies the retry executes. */
  readonly again: readonly string[]
}

const CASES: Readonly<Record<string, Case>> = {
  'a list': {
    steps: (s) => [s('a'), s('b'), s('c')],
    breaks: 'b',
    again: ['b', 'c'],
  },
  'a sequence': {
    steps: (s) => [s('a'), sequence('seq', [s('x'), s('y')]), s('b')],
    breaks: 'seq/y',
    again: ['seq/y', 'b'],
  },
  'a nested workflow': {
    steps: (s) => [s('a'), nested('sub', workflowOf([s('x'), s('y')], { initialState: { sub: 1 } })), s('b')],
    breaks: 'sub/y',
    again: ['sub/y', 'b'],
  },
  'a condition': {
    steps: (s) => [condition('if', { if: () => true, then: [s('x'), s('y')] }), s('b')],
    breaks: 'if/y',
    again: ['if/y', 'b'],
  },
  'a router': {
    steps: (s) => [router('route', { select: () => ['y', 'x'], choices: [s('x'), s('y')] }), s('b')],
    breaks: 'route/x',
    again: ['route/x', 'b'],
  },
  'a loop': {
    steps: (s) => [
      loop('again', { steps: [s('x'), s('y')], maxIterations: 5, until: ({ iteration }) => iteration === 3 }),
      s('b'),
    ],
    breaks: 'again[2]/y',
    again: ['again[2]/y', 'again[3]/x', 'again[3]/y', 'b'],
  },
  'a loop that carries on': {
    steps: (s) => [loop('again', { steps: [s('x'), s('y')], maxIterations: 3, carry: true }), s('b')],
    breaks: 'again[3]/x',
    again: ['again[3]/x', 'again[3]/y', 'b'],
  },
  'a parallel, one at a time': {
    steps: (s) => [parallel('par', [s('x'), sequence('seq', [s('y'), s('z')]), s('w')], { concurrency: 1 }), s('b')],
    breaks: 'par/seq/z',
    again: ['par/seq/z', 'par/w', 'b'],
  },
  'a parallel in which all go on': {
    steps: (s) => [parallel('par', [s('x'), sequence('seq', [s('y'), s('z')]), s('w')], { failFast: false })],
    breaks: 'par/x',
    again: ['par/x'],
  },
  'a map of what a function gives': {
    steps: (s) => [map('each', { items: () => ['p', 'q', 'r'], steps: [s('x'), s('y')], concurrency: 1 }), s('b')],
    breaks: 'each[1]/y',
    again: ['each[1]/y', 'each[2]/x', 'each[2]/y', 'b'],
  },
  'a map of its input': {
    steps: (s) => [step('list', () => ['p', 'q']), map('each', { steps: [s('x'), s('y')], concurrency: 1 })],
    breaks: 'each[1]/x',
    again: ['each[1]/x', 'each[1]/y'],
  },
  'a loop in a map in a parallel': {
    steps: (s) => [
      parallel('par', [
        s('w'),
        map('each', {
          items: () => ['p', 'q'],
          concurrency: 1,
          steps: [s('x'), loop('again', { steps: [s('y'), s('z')], maxIterations: 2 })],
        }),
      ]),
    ],
    breaks: 'par/each[1]/again[2]/z',
    again: ['par/each[1]/again[2]/z'],
  },
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  async function refusal(kern: Kern, request: RetryRequest): Promise<unknown> {
    return await kern.commands.retryRun(SYSTEM_VIEWER, request).then(
      () => 'accepted',
      (error: unknown) => error,
    )
  }

  describe('a retry', () => {
    test.each(Object.entries(CASES))('in %s goes on where the run failed', async (_title, { steps, breaks, again }) => {
      const { s, bodies, broken } = createWorld()
      const workflow = workflowOf(steps(s))
      const kern = await startKern(database, [workflow])
      const { id } = workflow.definition
      const whole = await kern.run(id, { input: 'in' })
      expect(whole.status).toBe('COMPLETED')
      broken.add(breaks)
      const failed = await kern.run(id, { input: 'in' })
      expect(failed).toMatchObject({ status: 'FAILED', error: { stepPath: breaks } })
      broken.clear()
      bodies.length = 0
      const run = await kern.retryRun({ runId: failed.runId })
      expect(run).toMatchObject({ status: 'COMPLETED', output: whole.output, retryOf: failed.runId })
      expect(bodies).toEqual(again)
      const outputs = ({ steps: rows }: typeof run) =>
        Object.fromEntries(Object.values(rows).map((row) => [row?.path, [row?.status, row?.input, row?.output]]))
      expect(outputs(run)).toEqual(outputs(whole))
    })

    test('is a new run of the same session with the same input, metadata and tags, and leaves the old one as it was', async () => {
      const { s, broken } = createWorld()
      const workflow = workflowOf([s('a'), s('b')])
      const kern = await startKern(database, [workflow])
      broken.add('b')
      const given = {
        input: { n: 1 },
        userId: 'ann',
        metadata: { from: 'test' },
        tags: ['one'],
        idempotencyKey: newId(),
      }
      const failed = await kern.run(workflow.definition.id, given)
      broken.clear()
      const run = await kern.retryRun({ runId: failed.runId })
      expect(run.runId).not.toBe(failed.runId)
      expect(run).toMatchObject({
        sessionId: failed.sessionId,
        number: 2,
        userId: 'ann',
        input: { n: 1 },
        metadata: { from: 'test' },
        tags: ['one'],
        idempotencyKey: null,
        retryOf: failed.runId,
      })
      expect(await kern.getRun(failed.runId)).toEqual(failed)
      const reader = kern.readerFor(SYSTEM_VIEWER)
      expect((await reader.retries([failed.runId]))[0]?.map(({ runId }) => runId)).toEqual([run.runId])
    })

    test('tells of what it executes only, and of how much it reuses', async () => {
      const { s, broken } = createWorld()
      const workflow = workflowOf([s('a'), sequence('seq', [s('x'), s('y')])])
      const kern = await startKern(database, [workflow])
      broken.add('seq/y')
      const { runId } = await kern.run(workflow.definition.id, {})
      broken.clear()
      const run = await kern.retryRun({ runId })
      expect((await seen(kern, run.runId)).lines).toEqual([
        'RUN_QUEUED',
        'RUN_STARTED',
        'STEP_STARTED seq',
        'STEP_STARTED seq/y',
        'STEP_COMPLETED seq/y',
        'STEP_COMPLETED seq',
        'RUN_COMPLETED',
      ])
      expect((await eventsOf(kern, run.runId))[1]?.data).toMatchObject({ retryOf: runId, reusedSteps: 2 })
      expect(run).toMatchObject({ stepCount: 4, attemptCount: 2, usage: null })
      expect(run.steps['seq/x']).toMatchObject({ status: 'COMPLETED', attempts: [] })
    })

    test('hands reused results to whoever asks for them', async () => {
      const { s, broken } = createWorld()
      const first = s('first')
      const asks = step('asks', ({ outputOf, input }: StepContext) => [outputOf(first), input])
      const workflow = workflowOf([first, s('b'), asks])
      const kern = await startKern(database, [workflow])
      broken.add('b')
      const { runId } = await kern.run(workflow.definition.id, { input: 'in' })
      broken.clear()
      expect(await kern.retryRun({ runId })).toMatchObject({ output: ['in>first', 'in>first>b'] })
    })

    test('does not change the state once more for what it reuses', async () => {
      let broken = true
      const counts = (name: string) =>
        step(name, ({ setState, state }: StepContext) => {
          if (broken && name === 'b') throw new Error('it broke')
          setState({ count: Number(state.count ?? 0) + 1, [name]: true })
          return name
        })
      const workflow = workflowOf([counts('a'), counts('b')])
      const kern = await startKern(database, [workflow])
      const { runId, sessionId } = await kern.run(workflow.definition.id, {})
      broken = false
      const between = await kern.run(workflow.definition.id, { sessionId })
      expect(between.stateAfter).toMatchObject({ count: 3 })
      const run = await kern.retryRun({ runId })
      // As the session has it now, and what is executed adds to that.
      expect(run).toMatchObject({ number: 3, stateBefore: { count: 3 }, stateAfter: { count: 4, a: true, b: true } })
      expect(await kern.getSession({ sessionId })).toMatchObject({ state: { count: 4 } })
    })

    test('from an earlier step executes that and what comes after it', async () => {
      const { s, bodies } = createWorld()
      const workflow = workflowOf([s('a'), s('b'), s('c')])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      bodies.length = 0
      expect(await kern.retryRun({ runId, fromStep: 'b' })).toMatchObject({ status: 'COMPLETED' })
      expect(bodies).toEqual(['b', 'c'])
      bodies.length = 0
      await kern.retryRun({ runId, fromStep: 'a' })
      expect(bodies).toEqual(['a', 'b', 'c'])
    })

    test('gives a nested workflow its time anew', async () => {
      const clock = createTestClock(new Date())
      const { s, broken } = createWorld()
      const workflow = workflowOf([nested('sub', workflowOf([s('x'), s('y')], { timeout: '1h' }))])
      const kern = await startKern(database, [workflow], { clock })
      broken.add('sub/y')
      const { runId } = await kern.run(workflow.definition.id, {})
      broken.clear()
      clock.advance('2h')
      expect(await kern.retryRun({ runId })).toMatchObject({ status: 'COMPLETED' })
    })

    test('from a container lets that decide again', async () => {
      const { s, bodies } = createWorld()
      let kind = 'x'
      const workflow = workflowOf([s('a'), router('route', { select: () => kind, choices: [s('x'), s('y')] })])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      kind = 'y'
      bodies.length = 0
      await kern.retryRun({ runId, fromStep: 'route/x' })
      expect(bodies).toEqual(['route/x'])
      bodies.length = 0
      await kern.retryRun({ runId, fromStep: 'route' })
      expect(bodies).toEqual(['route/y'])
      expect(await refusal(kern, { runId, fromStep: 'route/y' })).toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringContaining('decided otherwise'),
        details: { issues: [{ path: ['fromStep'], message: expect.anything() }] },
      })
    })

    test('keeps what was skipped, and what people have answered', async () => {
      const { s, broken, bodies } = createWorld()
      const skips = step({
        name: 'skips',
        onError: 'skip',
        run: () => {
          throw new Error('never mind')
        },
      })
      const workflow = workflowOf([s('a'), skips, approval('agrees', { prompt: 'So?' }), s('b')])
      const kern = await startKern(database, [workflow])
      broken.add('b')
      const { runId } = await kern.run(workflow.definition.id, { input: 'in' })
      const failed = await kern.resumeRun({ runId, data: { approved: true } })
      expect(failed.status).toBe('FAILED')
      broken.clear()
      bodies.length = 0
      const run = await kern.retryRun({ runId })
      expect(run).toMatchObject({ status: 'COMPLETED', output: '{"approved":true,"input":"in>a"}>b' })
      expect(bodies).toEqual(['b'])
      expect(run.steps.skips).toMatchObject({ status: 'SKIPPED', error: { message: 'never mind' } })
      expect(run.steps.agrees).toMatchObject({ status: 'COMPLETED', pending: null, answer: null, attempts: [] })
    })

    test('asks again where it begins with a wait', async () => {
      const workflow = workflowOf([approval('agrees', { prompt: 'So?' })])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      await kern.resumeRun({ runId, data: { approved: false } })
      const asked = await kern.retryRun({ runId, fromStep: 'agrees' })
      expect(asked).toMatchObject({ status: 'PAUSED', answers: 0 })
      const run = await kern.resumeRun({ runId: asked.runId, data: { approved: true } })
      expect(run).toMatchObject({ status: 'COMPLETED', output: { approved: true } })
    })

    test('of a run that stopped may begin with the step that did, and not after it', async () => {
      const bodies: string[] = []
      const stops = step('stops', ({ stop }: StepContext) => {
        bodies.push('stops')
        stop('enough')
      })
      const workflow = workflowOf([step('a', () => 1), stops, step('b', () => 2)])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      expect(await kern.retryRun({ runId, fromStep: 'stops' })).toMatchObject({ stoppedBy: 'stops', output: 'enough' })
      expect(bodies).toEqual(['stops', 'stops'])
      expect(await refusal(kern, { runId, fromStep: 'b' })).toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringContaining('step "stops" stopped run'),
      })
    })

    test('of a cancelled run begins with what the cancel cut off', async () => {
      const gate = createGate()
      const { s, bodies } = createWorld()
      let patient = true
      const waits = step('waits', async ({ signal }: StepContext) => {
        bodies.push('waits')
        if (!patient) return 'done'
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve())
          void gate.pass()
        })
        return 'too late'
      })
      const workflow = workflowOf([s('a'), sequence('seq', [waits])])
      const kern = await startKern(database, [workflow])
      const runId = await start(kern, workflow)
      await gate.reached
      expect((await kern.cancelRun({ runId })).status).toBe('CANCELLED')
      patient = false
      bodies.length = 0
      expect(await kern.retryRun({ runId })).toMatchObject({ status: 'COMPLETED', output: 'done' })
      expect(bodies).toEqual(['waits'])
    })

    test('of a run that never started begins from the beginning', async () => {
      const gate = createGate()
      const { s, bodies } = createWorld()
      const waits = step('waits', async ({ input, runInput }: StepContext) => {
        if (runInput === 'first') await gate.pass()
        return input
      })
      const workflow = workflowOf([waits, s('b')])
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const first = await start(kern, workflow, { sessionId, input: 'first' })
      await gate.reached
      const second = await start(kern, workflow, { sessionId, input: 'second' })
      await kern.cancelRun({ runId: second })
      const { runId, status } = await kern.commands.retryRun(SYSTEM_VIEWER, { runId: second })
      // It waits for its turn like any other.
      expect(status).toBe('QUEUED')
      gate.open()
      await ended(kern, first)
      expect(await ended(kern, runId)).toMatchObject({ number: 3, status: 'COMPLETED', output: 'second>b' })
      expect(bodies).toEqual(['b', 'b'])
    })

    test('can itself be tried again', async () => {
      const { s, broken, bodies } = createWorld()
      const steps = [s('a'), loop('again', { steps: [s('x')], maxIterations: 4, carry: true }), s('b')]
      const workflow = workflowOf(steps)
      const kern = await startKern(database, [workflow])
      const whole = await kern.run(workflow.definition.id, { input: 'in' })
      broken.add('again[2]/x')
      const first = await kern.run(workflow.definition.id, { input: 'in' })
      broken.clear()
      broken.add('again[3]/x')
      const second = await kern.retryRun({ runId: first.runId })
      expect(second.status).toBe('FAILED')
      broken.clear()
      bodies.length = 0
      const third = await kern.retryRun({ runId: second.runId })
      expect(bodies).toEqual(['again[3]/x', 'again[4]/x', 'b'])
      expect(third).toMatchObject({ status: 'COMPLETED', output: whole.output, retryOf: second.runId })
    })

    test('goes on in another process without executing what it reuses', async () => {
      const gate = createGate()
      const { s, broken, bodies } = createWorld()
      let held = true
      const waits = step('waits', async ({ signal, input }: StepContext) => {
        if (!held) return input
        const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        await Promise.race([gate.pass(), aborted])
        throw new Error('it was cut off')
      })
      const workflow = workflowOf([s('a'), sequence('seq', [s('x'), s('y'), waits]), s('b')])
      broken.add('seq/y')
      const first = await startKern(database, [workflow])
      const { runId } = await first.run(workflow.definition.id, { input: 'in' })
      broken.clear()
      bodies.length = 0
      const retry = await first.commands.retryRun(SYSTEM_VIEWER, { runId })
      await gate.reached
      await first.close()
      held = false
      const second = await startKern(database, [workflow])
      const run = await ended(second, retry.runId)
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'in>a>x>y>b' })
      expect(bodies).toEqual(['seq/y', 'b'])
    })
  })

  describe('with another input', () => {
    test('what is reused stays, and what is executed sees the new one', async () => {
      const { s, broken, bodies } = createWorld()
      const tells = step('tells', ({ input, runInput }: StepContext) => [input, runInput])
      const workflow = workflowOf([s('a'), s('b'), tells])
      const kern = await startKern(database, [workflow])
      broken.add('b')
      const { runId } = await kern.run(workflow.definition.id, { input: 'old' })
      broken.clear()
      bodies.length = 0
      const run = await kern.retryRun({ runId, input: 'new' })
      expect(run).toMatchObject({
        input: 'new',
        output: ['old>a>b', 'new'],
        steps: { a: { input: 'old', output: 'old>a' } },
      })
      expect(bodies).toEqual(['b'])
      // Null is an input too.
      expect(await kern.retryRun({ runId, fromStep: 'a', input: null })).toMatchObject({
        input: null,
        output: ['null>a>b', null],
      })
    })

    test('a first step in a container gets the new one, also where that is a nested workflow with a schema', async () => {
      const { s } = createWorld()
      const Text = z.string().trim()
      const sub = workflowOf([sequence('seq', [s('x'), s('y')])], { input: Text })
      const workflow = workflowOf([nested('sub', sub)])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, { input: ' old ' })
      const run = await kern.retryRun({ runId, fromStep: 'sub/seq/x', input: ' new ' })
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'new>x>y' })
    })

    test('that does not fit the schema nothing is accepted', async () => {
      const workflow = workflowOf([step('a', ({ input }: StepContext) => input)], {
        input: z.object({ n: z.number() }),
      })
      const kern = await startKern(database, [workflow])
      const { runId, sessionId } = await kern.run(workflow.definition.id, { input: { n: 1 } })
      expect(await refusal(kern, { runId, fromStep: 'a', input: { n: 'one' } })).toMatchObject({
        code: 'INPUT_INVALID',
        details: { issues: [{ path: ['input', 'n'], message: expect.anything() }] },
      })
      expect(await runsOf(kern, sessionId)).toHaveLength(1)
    })
  })

  describe('where the definition changed', () => {
    async function failedRun(steps: readonly WorkflowNode[], id: string) {
      const workflow = workflowOf(steps, { id })
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(id, { input: 'in' })
      await kern.close()
      return { runId, version: workflow.definition.version }
    }

    test('after the step, the new definition is executed', async () => {
      const { s, broken, bodies } = createWorld()
      broken.add('b')
      const { runId } = await failedRun([s('a'), s('b'), s('c')], 'changed-after')
      broken.clear()
      bodies.length = 0
      const now = workflowOf([s('a'), sequence('b', [s('b1'), s('b2')]), s('d')], { id: 'changed-after' })
      const kern = await startKern(database, [now])
      const run = await kern.retryRun({ runId, fromStep: 'b' })
      expect(run).toMatchObject({
        status: 'COMPLETED',
        output: 'in>a>b1>b2>d',
        workflowVersion: now.definition.version,
      })
      expect(bodies).toEqual(['b/b1', 'b/b2', 'd'])
    })

    test('before the step, the retry is refused with both versions, and nothing is accepted', async () => {
      const { s, broken } = createWorld()
      broken.add('b')
      const { runId, version } = await failedRun([s('a'), s('b')], 'changed-before')
      const now = workflowOf([s('a'), s('new'), s('b')], { id: 'changed-before' })
      const kern = await startKern(database, [now])
      expect(await refusal(kern, { runId })).toMatchObject({
        code: 'CONFLICT',
        message: `the results of run ${runId} before step "b" do not fit version ${now.definition.version} of workflow "changed-before": it ran with version ${version}, and step "new" has not started in it`,
        details: { runId },
      })
      const [run, ...more] = await kern.readerFor(SYSTEM_VIEWER).runs([runId])
      expect(more).toEqual([])
      expect(await runsOf(kern, run?.sessionId ?? '')).toHaveLength(1)
    })
  })

  describe('a call', () => {
    test('for a run that is not over, or not there, is refused', async () => {
      const gate = createGate()
      const waits = step('waits', () => gate.pass().then(() => 'done'))
      const workflow = workflowOf([waits, approval('agrees', { prompt: 'So?' })])
      const kern = await startKern(database, [workflow])
      const runId = await start(kern, workflow)
      await gate.reached
      const conflict = (status: string) => ({
        code: 'CONFLICT',
        message: `run ${runId} is ${status}: only a run that is over can be tried again, so cancel it first, or answer what it waits for`,
        details: { runId },
      })
      expect(await refusal(kern, { runId })).toMatchObject(conflict('RUNNING'))
      gate.open()
      await kern.idle()
      expect(await refusal(kern, { runId })).toMatchObject(conflict('PAUSED'))
      await kern.cancelRun({ runId })
      expect(await refusal(kern, { runId: newId() })).toMatchObject({ code: 'NOT_FOUND' })
      expect(await refusal(kern, { runId: 'x' })).toMatchObject({ code: 'INPUT_INVALID' })
    })

    test('without fromStep for a run in which no step failed, or with one that is not there, is refused', async () => {
      const { s } = createWorld()
      const workflow = workflowOf([s('a')], { id: 'nothing-failed' })
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run('nothing-failed', {})
      expect(await refusal(kern, { runId })).toMatchObject({
        code: 'INPUT_INVALID',
        message: `fromStep is missing: every step of run ${runId}, which is COMPLETED, has a result`,
      })
      expect(await refusal(kern, { runId, fromStep: 'b' })).toMatchObject({
        code: 'INPUT_INVALID',
        message: 'fromStep is "b": workflow "nothing-failed" has no such step, there are "a"',
      })
    })

    test('for a workflow that is not served is refused', async () => {
      const { s } = createWorld()
      const workflow = workflowOf([s('a')], { id: 'not-served' })
      const first = await startKern(database, [workflow])
      const { runId } = await first.run('not-served', {})
      await first.close()
      const second = await startKern(database, [workflowOf([s('a')])])
      expect(await refusal(second, { runId, fromStep: 'a' })).toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('no workflow "not-served" is served'),
      })
    })
  })
})

describe('a workflow that is used by itself', () => {
  test('is answered, tried again and cancelled by its own methods', async () => {
    let broken = true
    const writes = step('writes', ({ input }: StepContext<{ readonly approved: boolean }>) => {
      if (broken) throw new Error('it broke')
      return `written: ${input.approved}`
    })
    const steps = [approval('agrees', { prompt: 'So?' }), writes] as const
    await using workflow = new Workflow({ name: 'By itself', steps, input: z.string(), db: await freshPostgres() })
    const paused = await workflow.run({ input: 'a text' })
    expect(paused.status).toBe('PAUSED')
    const failed = await workflow.resumeRun({ runId: paused.runId, data: { approved: true } })
    expect(failed).toMatchObject({ status: 'FAILED', error: { stepPath: 'writes' } })
    broken = false
    const run = await workflow.retryRun({ runId: failed.runId, input: 'another text' })
    const output: string | undefined = run.output
    expect(output).toBe('written: true')
    const again = await workflow.run({ input: 'a text', sessionId: run.sessionId })
    expect(await workflow.cancelRun({ runId: again.runId, reason: 'enough' })).toMatchObject({ status: 'CANCELLED' })
  })
})
