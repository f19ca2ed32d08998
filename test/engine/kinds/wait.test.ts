import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from '../../../src/db/client.ts'
import { newId } from '../../../src/ids.ts'
import type { ReadContext, StepContext } from '../../../src/workflow/context.ts'
import { approval } from '../../../src/workflow/approval.ts'
import { condition } from '../../../src/workflow/condition.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { map } from '../../../src/workflow/map.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { waitForInput } from '../../../src/workflow/waitForInput.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, eventsOf, startKern } from '../../support/kerns.ts'
import { after, createPatient, embedded, ended, execute, pathsOf, seen, start, workflowOf } from './support.ts'

const database = embedded()

const agree = approval('agree', { prompt: 'Agreed?' })
const details = waitForInput('details', {
  prompt: 'Which region?',
  schema: z.object({ region: z.string(), zone: z.number().default(1) }),
})
const last = step('last', ({ input }: StepContext) => ({ input }))
const yes = { approved: true }

describe('an approval', () => {
  test('pauses the run with its question, and yields the answer with its own input', async () => {
    const first = step('first', ({ setState }: StepContext) => {
      setState({ first: true })
      return { title: 'Tea' }
    })
    const publish = approval('publish?', { prompt: ({ input }) => `Publish ${(input as { title: string }).title}?` })
    const workflow = workflowOf([first, publish, last])
    const kern = await startKern(database(), [workflow])
    const run = await kern.run(workflow.definition.id, {})
    expect(run).toMatchObject({ status: 'PAUSED', output: undefined, completedAt: null, wakeAt: null })
    const pending = { number: 1, reason: 'input', prompt: 'Publish Tea?', expiresAt: null, attempts: 1 }
    expect(run.steps['publish?']).toMatchObject({
      kind: 'approval',
      status: 'PAUSED',
      input: { title: 'Tea' },
      pending,
    })
    const paused = (await eventsOf(kern, run.runId)).slice(-2)
    expect(paused).toMatchObject([
      { type: 'STEP_PAUSED', stepPath: 'publish?', data: { reason: 'input', prompt: 'Publish Tea?', expiresAt: null } },
      { type: 'RUN_PAUSED', stepPath: null, data: { waiting: ['publish?'] } },
    ])
    const data = { approved: false, comment: 'too long' }
    const answered = await kern.resumeRun({ runId: run.runId, data })
    const output = { ...data, input: { title: 'Tea' } }
    expect(answered).toMatchObject({ status: 'COMPLETED', output: { input: output }, stateAfter: { first: true } })
    expect(answered.steps['publish?']).toMatchObject({ status: 'COMPLETED', output, answer: { number: 1, data } })
    const { lines } = await seen(kern, run.runId)
    expect(lines.slice(-5)).toEqual([
      'RUN_RESUMED publish?',
      'STEP_COMPLETED publish?',
      'STEP_STARTED last',
      'STEP_COMPLETED last',
      'RUN_COMPLETED',
    ])
  })

  test('without input yields the answer alone, which a condition may decide by', async () => {
    const said = condition('said', { if: ({ input }) => (input as { approved: boolean }).approved, then: [last] })
    const workflow = workflowOf([agree, said])
    const kern = await startKern(database(), [workflow])
    const { runId } = await kern.run(workflow.definition.id, {})
    expect(await kern.resumeRun({ runId, data: yes })).toMatchObject({ output: { input: yes } })
    const other = await kern.run(workflow.definition.id, {})
    const no = await kern.resumeRun({ runId: other.runId, data: { approved: false } })
    expect(no).toMatchObject({ status: 'COMPLETED', output: { approved: false }, stepCount: 2 })
    expect(Object.keys(no.output ?? {})).toEqual(['approved'])
  })
})

describe('a wait for input', () => {
  test('yields the answer as its schema gives it, and nothing of its input', async () => {
    const workflow = workflowOf([details, last])
    const kern = await startKern(database(), [workflow])
    const { runId, steps } = await kern.run(workflow.definition.id, { input: 'in' })
    expect(steps['details']).toMatchObject({ kind: 'input', status: 'PAUSED', pending: { prompt: 'Which region?' } })
    const run = await kern.resumeRun({ runId, data: { region: 'EU' } })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: { region: 'EU', zone: 1 } } })
  })
})

describe('the question of a wait', () => {
  test('may be made of what is known there, and nothing can be changed by it', async () => {
    let known: ReadContext | undefined
    const asks = approval('ask', {
      prompt: async (context) => {
        known = context
        await Promise.resolve()
        return `${String(context.state['name'])}?`
      },
    })
    const run = await execute(database(), [last, asks], { input: 'in', sessionState: { name: 'Tea' } })
    expect(run.steps['ask']).toMatchObject({ status: 'PAUSED', pending: { prompt: 'Tea?' } })
    expect(known).toMatchObject({ input: { input: 'in' }, runInput: 'in', stepPath: 'ask' })
    expect(known?.outputOf(last)).toEqual({ input: 'in' })
    for (const changes of ['setState', 'stop', 'emit', 'log']) expect(known).not.toHaveProperty(changes)
  })

  test.each<[string, () => unknown, object]>([
    ['throws', () => Promise.reject(new Error('no question')), { message: 'no question' }],
    ['is no text', () => 42, { code: 'OUTPUT_INVALID' }],
  ])('that %s fails the step, and the run does not pause', async (_title, prompt, error) => {
    // As from JavaScript.
    const asks = approval('ask', { prompt: prompt as () => string })
    const run = await execute(database(), [asks, last])
    expect(run).toMatchObject({ status: 'FAILED', error: { ...error, stepPath: 'ask' }, stepCount: 1 })
    expect(run.lines.slice(-3)).toEqual(['STEP_STARTED ask', 'STEP_FAILED ask', 'RUN_FAILED'])
  })
})

describe('a wait among other nodes', () => {
  test('in a loop asks anew in each iteration', async () => {
    const until = ({ output }: { readonly output: unknown }) => (output as { approved: boolean }).approved
    const workflow = workflowOf([loop('rounds', { steps: [last, agree], until, maxIterations: 5 })])
    const kern = await startKern(database(), [workflow])
    const first = await kern.run(workflow.definition.id, { input: 'in' })
    expect(first.steps['rounds[1]/agree']).toMatchObject({ status: 'PAUSED', pending: { number: 1 } })
    const second = await kern.resumeRun({ runId: first.runId, data: { approved: false } })
    expect(second).toMatchObject({ status: 'PAUSED' })
    expect(second.steps['rounds[2]/agree']).toMatchObject({ status: 'PAUSED', pending: { number: 1 } })
    const { runId } = second
    const run = await kern.resumeRun({ runId, stepPath: 'rounds[2]/agree', data: yes })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { approved: true }, attemptCount: 5 })
  })

  test('in a map holds the place of its item, and the next one begins when it has its answer', async () => {
    const workflow = workflowOf([map('each', { steps: [agree, last], concurrency: 2 })])
    const kern = await startKern(database(), [workflow])
    const first = await kern.run(workflow.definition.id, { input: ['a', 'b', 'c'] })
    const { runId } = first
    expect(Object.keys(first.steps).toSorted()).toEqual(['each', 'each[0]/agree', 'each[1]/agree'])
    const second = await kern.resumeRun({ runId, stepPath: 'each[1]/agree', data: yes })
    expect(second.steps['each[1]/last']).toMatchObject({ status: 'COMPLETED' })
    expect(second.steps['each[2]/agree']).toMatchObject({ status: 'PAUSED', input: 'c' })
    await kern.resumeRun({ runId, stepPath: 'each[2]/agree', data: yes })
    const run = await kern.resumeRun({ runId, data: yes })
    const output = ['a', 'b', 'c'].map((input) => ({ input: { approved: true, input } }))
    expect(run).toMatchObject({ status: 'COMPLETED', output })
  })

  test('holds its place also where others of its parallel have none, and where one of them fails then', async () => {
    const fails = step('fails', () => {
      throw new Error('no')
    })
    const options = { concurrency: 1, failFast: false }
    const workflow = workflowOf([parallel('all', [agree, fails, last], options)])
    const kern = await startKern(database(), [workflow])
    const paused = await kern.run(workflow.definition.id, { input: 'in' })
    expect(paused).toMatchObject({ status: 'PAUSED', error: null })
    expect(Object.keys(paused.steps)).toEqual(['all', 'all/agree'])
    const run = await kern.resumeRun({ runId: paused.runId, data: yes })
    expect(run).toMatchObject({ status: 'FAILED', error: { stepPath: 'all/fails' } })
    expect(run.steps['all/last']).toMatchObject({ status: 'COMPLETED', output: { input: 'in' } })
  })

  test('lets the steps beside it go on, and the run pauses when none of them can', async () => {
    const gate = createGate()
    const works = step('works', async () => {
      await gate.pass()
      return 'done'
    })
    const workflow = workflowOf([parallel('all', [sequence('in', [agree, last]), sequence('s', [works, details])])])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow, { input: 'in' })
    await Promise.all([gate.reached, after(kern, runId, 'STEP_PAUSED all/in/agree')])
    expect(await seen(kern, runId)).toMatchObject({ status: 'RUNNING' })
    gate.open()
    const paused = await after(kern, runId, 'RUN_PAUSED')
    expect(paused).toMatchObject({ status: 'PAUSED' })
    const events = await eventsOf(kern, runId)
    expect(events.at(-1)).toMatchObject({ type: 'RUN_PAUSED', data: { waiting: ['all/in/agree', 'all/s/details'] } })
    const second = await kern.resumeRun({ runId, stepPath: 'all/s/details', data: { region: 'EU' } })
    expect(second).toMatchObject({ status: 'PAUSED' })
    const run = await kern.resumeRun({ runId, data: yes })
    const output = { in: { input: { approved: true, input: 'in' } }, s: { region: 'EU', zone: 1 } }
    expect(run).toMatchObject({ status: 'COMPLETED', output })
    expect(pathsOf(await seen(kern, runId), 'STEP_STARTED').filter((path) => path === 'all/s/works')).toHaveLength(1)
  })

  test('is cancelled where a step beside it fails, and cannot be answered any more', async () => {
    const fails = step('fails', async () => {
      await gate.pass()
      throw new Error('no')
    })
    const gate = createGate()
    const workflow = workflowOf([parallel('all', [sequence('in', [agree]), fails])])
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow)
    await after(kern, runId, 'STEP_PAUSED all/in/agree')
    gate.open()
    const run = await ended(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'no', stepPath: 'all/fails' } })
    expect(run.steps['all/in/agree']).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' } })
    expect(pathsOf(run, 'STEP_CANCELLED')).toEqual(['all/in/agree', 'all/in'])
    await expect(kern.resumeRun({ runId, data: yes })).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('is still answered where a step beside it failed and failFast is off, and then the run fails', async () => {
    const fails = step('fails', () => {
      throw new Error('no')
    })
    const workflow = workflowOf([parallel('all', [fails, sequence('in', [agree, last])], { failFast: false }), last])
    const kern = await startKern(database(), [workflow])
    const { runId, status } = await kern.run(workflow.definition.id, { input: 'in' })
    expect(status).toBe('PAUSED')
    const run = await kern.resumeRun({ runId, data: yes })
    expect(run).toMatchObject({ status: 'FAILED', error: { message: 'no', stepPath: 'all/fails' } })
    expect(run.steps['all/in/last']).toMatchObject({ status: 'COMPLETED' })
  })

  test('is cancelled where a step beside it stops the run', async () => {
    const stops = step('stops', ({ stop }: StepContext) => stop('early'))
    const run = await execute(database(), [parallel('all', [agree, sequence('in', [last, stops])])], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'early', stoppedBy: 'all/in/stops' })
    expect(run.steps['all/agree']).toMatchObject({ status: 'CANCELLED' })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a run that waits survives restarts, with the question that was asked first, and nothing is done twice', async () => {
    const done: string[] = []
    let asked = 0
    const counted = (name: string) =>
      step(name, ({ input, setState }: StepContext) => {
        done.push(name)
        setState({ [name]: done.length })
        return input
      })
    const asks = approval('ask', { prompt: () => `Question ${(asked += 1)}?` })
    const beside = parallel('all', [sequence('in', [counted('a'), asks, counted('b')]), counted('c')])
    const workflow = workflowOf([beside, counted('d')])
    const first = await startKern(own, [workflow])
    const sessionId = newId()
    const { runId } = await first.run(workflow.definition.id, { input: 'in', sessionId })
    await first.close()
    const second = await startKern(own, [workflow])
    await second.idle()
    const waiting = await seen(second, runId)
    expect(waiting).toMatchObject({ status: 'PAUSED', attemptCount: 5 })
    expect(waiting.steps['all/in/ask']).toMatchObject({ pending: { number: 1, prompt: 'Question 1?' } })
    const run = await second.resumeRun({ runId, data: yes })
    expect(run).toMatchObject({ status: 'COMPLETED', stateAfter: { a: 1, c: 2, b: 3, d: 4 }, attemptCount: 7 })
    expect(done).toEqual(['a', 'c', 'b', 'd'])
    expect(asked).toBe(1)
  })

  test('an answer that comes while steps work elsewhere in the run lets what it is for go on at once', async () => {
    const patient = createPatient('patient')
    const workflow = workflowOf([parallel('all', [sequence('in', [agree, last]), patient.node])])
    const kern = await startKern(own, [workflow])
    const runId = await start(kern, workflow, { input: 'in' })
    await Promise.all([patient.reached, after(kern, runId, 'STEP_PAUSED all/in/agree')])
    await kern.commands.resumeRun({ userId: null, scopes: [] }, { runId, data: yes })
    const went = await after(kern, runId, 'STEP_COMPLETED all/in/last')
    expect(went).toMatchObject({ status: 'RUNNING' })
    expect(went.steps['all/in/last']).toMatchObject({ output: { input: { approved: true, input: 'in' } } })
    await kern.cancelRun({ runId })
    expect(await ended(kern, runId)).toMatchObject({ status: 'CANCELLED' })
  })
})
