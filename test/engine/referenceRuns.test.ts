import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
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
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { z } from 'zod'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, startKern } from '../support/kerns.ts'
import { embedded, ended, execute, pathsOf, seen, start, workflowOf } from './kinds/support.ts'

const database = embedded()

const last = step('last', ({ input }: StepContext) => ({ input }))
const fails = step('fails', () => {
  throw new Error('no')
})

/** Every way to hold a node. */
const holders: readonly (readonly [string, (inner: WorkflowNode) => WorkflowNode])[] = [
  ['a sequence', (inner) => sequence('outer', [inner])],
  ['a parallel', (inner) => parallel('outer', [inner])],
  ['a condition', (inner) => condition('outer', { if: () => true, then: [inner] })],
  ['the other side of a condition', (inner) => condition('outer', { if: () => false, else: [inner] })],
  ['a router', (inner) => router('outer', { select: () => inner.name, choices: [inner] })],
  ['a loop', (inner) => loop('outer', { steps: [inner], maxIterations: 1 })],
  ['a map', (inner) => map('outer', { items: ({ input }) => [input], steps: [inner] })],
  ['a nested workflow', (inner) => nested('outer', workflowOf([inner]))],
]

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a run makes its session with the default state, which stays as it was, and with nothing else in it', async () => {
    const adds = step('adds', ({ state, setState }: StepContext) => {
      setState({ items: [...((state['items'] as string[]) ?? []), 'tea'] })
      return 1
    })
    const workflow = workflowOf([adds], { initialState: { items: [], deep: { a: 1 } } })
    const kern = await startKern(own, [workflow])
    for (const sessionId of [newId(), newId()]) {
      await kern.run(workflow.definition.id, { sessionId })
      expect((await kern.getSession({ sessionId }))?.state).toEqual({ items: ['tea'], deep: { a: 1 } })
    }
    expect(workflow.definition.initialState).toEqual({ items: [], deep: { a: 1 } })
  })

  test('the history of no run is empty, and of two of three runs the last two, oldest first', async () => {
    const numbers = (count: number) => async (context: StepContext) =>
      (await context.history.get(count)).map(({ number }) => number)
    const reads = [0, 2, 9].map((count) => step(`last ${count}`, numbers(count)))
    const workflow = workflowOf([parallel('read', reads)])
    const kern = await startKern(own, [workflow])
    const sessionId = newId()
    const outputs = []
    for (let run = 1; run <= 4; run += 1) outputs.push((await kern.run(workflow.definition.id, { sessionId })).output)
    expect(outputs[0]).toEqual({ 'last 0': [], 'last 2': [], 'last 9': [] })
    expect(outputs[3]).toEqual({ 'last 0': [], 'last 2': [2, 3], 'last 9': [1, 2, 3] })
  })

  test.each(holders)(
    'a run with %s is accepted at once, found by its id alone, and read until its end',
    async (_holder, hold) => {
      const gate = createGate()
      const works = step('works', async ({ input }: StepContext) => {
        await gate.pass()
        return [input]
      })
      const workflow = workflowOf([hold(works), last])
      const kern = await startKern(own, [workflow])
      const runId = await start(kern, workflow, { input: 'in' })
      const accepted = await seen(kern, runId)
      const { id } = workflow.definition
      expect(accepted).toMatchObject({ runId, sessionId: expect.any(String), workflowId: id, completedAt: null })
      await gate.reached
      expect(await seen(kern, runId)).toMatchObject({ status: 'RUNNING', output: undefined, durationMs: null })
      gate.open()
      const run = await ended(kern, runId)
      expect(run).toMatchObject({ status: 'COMPLETED', stepCount: 3, steps: { last: { status: 'COMPLETED' } } })
      const [works1 = ''] = pathsOf(run, 'STEP_COMPLETED')
      expect(run.steps[works1]).toMatchObject({ name: 'works', output: ['in'] })
      // Each of them starts once and ends once.
      expect(pathsOf(run, 'STEP_STARTED').toSorted()).toEqual(Object.keys(run.steps).toSorted())
      expect(pathsOf(run, 'STEP_COMPLETED').toSorted()).toEqual(Object.keys(run.steps).toSorted())
    },
  )
})

describe('steps beside each other', () => {
  const counts = (name: string, key: string, more: number) =>
    step(name, ({ setState }: StepContext) => {
      setState((state) => ({ [key]: Number(state[key] ?? 0) + more }))
      return more
    })
  const sums = step('sums', ({ state }: StepContext) =>
    Object.values(state).reduce<number>((sum, count) => sum + Number(count), 0),
  )

  test('all count where each has a key of its own, and are told so where they share one', async () => {
    const own = parallel('count', [counts('a', 'a', 1), counts('b', 'b', 5), counts('c', 'c', 10)])
    const sum = await execute(database(), [own, sums], { sessionState: { start: 10 } })
    expect(sum).toMatchObject({ status: 'COMPLETED', output: 26 })
    const shared = parallel('count', [counts('a', 'n', 1), counts('b', 'n', 5), counts('c', 'n', 10)])
    const run = await execute(database(), [shared, sums], { sessionState: { n: 10 } })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STATE_CONFLICT' } })
    expect([11, 15, 20]).toContain(run.stateAfter?.['n'])
  })

  test('keep what they had changed before one of them failed', async () => {
    const after = parallel('both', [counts('a', 'a', 1), fails], { concurrency: 1 })
    expect(await execute(database(), [after])).toMatchObject({ status: 'FAILED', stateAfter: { a: 1 } })
  })
})

describe('a step that fails in a branch of a condition', () => {
  const branches = [true, false].flatMap((says) =>
    (['fail', 'skip', 'pause'] as const).map((onError) => [says, onError] as const),
  )

  test.each(branches)('that said %s does as onError says: %s', async (says, onError) => {
    const shaky = step({ name: 'shaky', onError, run: fails.run })
    const branch = [shaky, last]
    const decides = condition('c', { if: () => says, ...(says ? { then: branch } : { else: branch }) })
    const run = await execute(database(), [decides, last], { input: 'in' })
    const error = { message: 'no', stepPath: 'c/shaky' }
    const [status, row] = {
      fail: ['FAILED', 'FAILED'],
      skip: ['COMPLETED', 'SKIPPED'],
      pause: ['PAUSED', 'PAUSED'],
    }[onError]
    expect(run).toMatchObject({ status, error: onError === 'fail' ? error : null })
    expect(run.steps['c/shaky']).toMatchObject({ status: row, error })
    expect(run.steps['c/last']?.status).toBe(onError === 'skip' ? 'COMPLETED' : undefined)
  })
})

test('nested workflows of three levels have their parents in their rows, and pass on what they yield', async () => {
  const third = workflowOf([last])
  const second = workflowOf([nested('third', third), last])
  const run = await execute(database(), [nested('first', workflowOf([nested('second', second), last])), last], {
    input: 0,
  })
  expect(run.output).toEqual({ input: { input: { input: { input: 0 } } } })
  const parents = ['first', 'first/second', 'first/second/third', 'first/second/third/last']
  expect(parents.map((path) => run.steps[path]?.parentPath)).toEqual([null, ...parents.slice(0, -1)])
})

test('how long a run took is kept when it completes and when it fails, and of each attempt', async () => {
  for (const steps of [[parallel('p', [last, sequence('s', [last])])], [last, fails]]) {
    const run = await execute(database(), steps, { input: 'in' })
    const { startedAt, completedAt, durationMs } = run
    expect(durationMs).toBe((completedAt?.getTime() ?? Number.NaN) - (startedAt?.getTime() ?? Number.NaN))
    for (const row of Object.values(run.steps)) {
      const [attempt] = row?.attempts ?? []
      const times = [row?.startedAt, attempt?.startedAt, attempt?.completedAt, row?.completedAt].map((at) =>
        at ? new Date(at).getTime() : Number.NaN,
      )
      expect(times).not.toContain(Number.NaN)
      expect(times).toEqual(times.toSorted((a, b) => a - b))
    }
  }
})

test('what was given to a run, and the workflow itself, are as they were after it', async () => {
  const spoils = step('spoils', ({ input }: StepContext<{ list: number[] }>) => {
    input.list.push(2)
    return input
  })
  const given = { input: { list: [1] }, metadata: { by: ['me'] }, sessionState: { s: { t: 1 } }, tags: ['a'] }
  const copy = structuredClone(given)
  const workflow = workflowOf([spoils, approval('ask', { prompt: 'Well?' })])
  const before = JSON.stringify(workflow.definition.data)
  const kern = await startKern(database(), [workflow])
  const { runId } = await kern.run(workflow.definition.id, given)
  const run = await kern.resumeRun({ runId, data: { approved: true } })
  expect(given).toEqual(copy)
  const { sessionState: stateBefore, ...kept } = copy
  expect(run).toMatchObject({ ...kept, stateBefore, output: { input: { list: [1, 2] } } })
  expect(JSON.stringify(workflow.definition.data)).toBe(before)
})

describe('a person', () => {
  test.each<[string, string | string[], unknown]>([
    ['one', 'long', ['long']],
    ['several, in order', ['long', 'short'], ['long', 'short']],
  ])('may choose the way: %s', async (_title, chosen, done) => {
    const ways = ['short', 'long'].map((name) =>
      step(name, ({ setState }: StepContext) => {
        setState((state) => ({ done: [...((state['done'] as string[]) ?? []), name] }))
        return name
      }),
    )
    const Way = z.enum(['short', 'long'])
    const asks = waitForInput('which', { prompt: 'Which way?', schema: z.union([Way, z.array(Way)]) })
    // As from JavaScript: what a person says is known to be of the schema.
    const workflow = workflowOf([asks, router('way', { select: ({ input }) => input as 'short', choices: ways })])
    const kern = await startKern(database(), [workflow])
    const { runId } = await kern.run(workflow.definition.id, {})
    const run = await kern.resumeRun({ runId, data: chosen })
    expect(run).toMatchObject({ status: 'COMPLETED', output: [chosen].flat().at(-1), stateAfter: { done } })
  })

  const drafts = step('draft', ({ input, attempt }: StepContext) => {
    const said = input as { comment?: string; input?: { text: string } }
    return { text: said.comment === undefined ? 'first' : `${said.input?.text}, ${said.comment}`, attempt }
  })
  const review = approval('review', { prompt: ({ input }) => `Is this good: ${(input as { text: string }).text}?` })
  const rounds = loop('rounds', {
    steps: [drafts, review],
    until: ({ output }) => (output as { approved: boolean }).approved,
    maxIterations: 3,
    carry: true,
  })

  test('may review a draft, say what is wrong with it, and agree to the next one', async () => {
    const workflow = workflowOf([rounds])
    const kern = await startKern(database(), [workflow])
    const { runId } = await kern.run(workflow.definition.id, { input: {} })
    const second = await kern.resumeRun({ runId, data: { approved: false, comment: 'shorter' } })
    expect(second.steps['rounds[2]/review']?.pending).toMatchObject({ prompt: 'Is this good: first, shorter?' })
    const run = await kern.resumeRun({ runId, data: { approved: true } })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { approved: true, input: { text: 'first, shorter' } } })
  })

  test('is asked no more often than the review may go on, and the author decides what a refusal means', async () => {
    const decides = step('decides', ({ input, stop }: StepContext) => {
      return (input as { approved: boolean }).approved ? input : stop({ refused: true })
    })
    const workflow = workflowOf([rounds, decides, last])
    const kern = await startKern(database(), [workflow])
    const { runId } = await kern.run(workflow.definition.id, { input: {} })
    const data = { approved: false, comment: 'no' }
    for (let round = 1; round <= 2; round += 1) expect((await kern.resumeRun({ runId, data })).status).toBe('PAUSED')
    const run = await kern.resumeRun({ runId, data })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { refused: true }, stoppedBy: 'decides' })
  })

  test('answers each run of a workflow for itself, also where several wait at the same time', async () => {
    const workflow = workflowOf([approval('ask', { prompt: ({ input }) => `${String(input)}?` })])
    const kern = await startKern(database(), [workflow])
    const [one, two] = [
      await kern.run(workflow.definition.id, { input: 'one' }),
      await kern.run(workflow.definition.id, { input: 'two' }),
    ]
    const second = await kern.resumeRun({ runId: two.runId, data: { approved: false } })
    expect(second).toMatchObject({ status: 'COMPLETED', output: { approved: false, input: 'two' } })
    expect(await kern.getRun(one.runId)).toMatchObject({
      status: 'PAUSED',
      steps: { ask: { pending: { prompt: 'one?' } } },
    })
    const first = await kern.resumeRun({ runId: one.runId, data: { approved: true } })
    expect(first).toMatchObject({ status: 'COMPLETED', output: { approved: true, input: 'one' } })
  })
})
