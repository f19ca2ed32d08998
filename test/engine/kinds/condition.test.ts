import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../../src/db/client.ts'
import { condition } from '../../../src/workflow/condition.ts'
import type { ReadContext, StepContext } from '../../../src/workflow/context.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { acrossRestart, createBreak, embedded, execute, pathsOf, workflowOf } from './support.ts'

const database = embedded()

const marks = (name: string) => step(name, ({ input }: StepContext) => [input, name])
const [yes, more, no] = [marks('yes'), marks('more'), marks('no')]
const after = step('after', ({ input }: StepContext) => ({ input }))

describe('a condition', () => {
  test.each([
    [true, [['in', 'yes'], 'more'], ['enough/yes', 'enough/more']],
    [false, ['in', 'no'], ['enough/no']],
  ])('that says %s runs the steps of that branch, one after another, and no others', async (says, output, paths) => {
    const enough = condition('enough', { if: () => says, then: [yes, more], else: [no] })
    const run = await execute(database(), [enough, after], { input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: output } })
    expect(pathsOf(run, 'STEP_COMPLETED')).toEqual([...paths, 'enough', 'after'])
    expect(run.steps['enough']).toMatchObject({ kind: 'condition', input: 'in', output, decision: says })
    for (const path of paths) expect(run.steps[path]).toMatchObject({ parentPath: 'enough' })
  })

  test.each([
    ['true, where nothing is to be done then', true, { else: [no] }],
    ['false, where nothing is to be done else', false, { then: [yes] }],
    ['true, where the list is empty', true, { then: [], else: [no] }],
    ['false, where the list is empty', false, { then: [yes], else: [] }],
  ])('that says %s passes its input on', async (_title, says, branches) => {
    const run = await execute(database(), [condition('enough', { if: () => says, ...branches }), after], {
      input: { some: ['thing'] },
    })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: { some: ['thing'] } }, stepCount: 2 })
  })

  test.each([0, '', null, undefined, Number.NaN])(
    'takes %j for false, as an `if` of the language does',
    async (says) => {
      // As from JavaScript.
      const enough = condition('enough', { if: () => says as unknown as boolean, then: [yes], else: [no] })
      expect((await execute(database(), [enough])).steps['enough']).toMatchObject({ decision: false })
    },
  )

  test('may say so later, and knows input, state, earlier outputs and the run, but can change nothing', async () => {
    let seen: ReadContext | undefined
    const first = step('first', ({ setState }: StepContext) => {
      setState({ pages: 3 })
      return { pages: [1, 2] }
    })
    const enough = condition('enough', {
      if: async (context: ReadContext<{ pages: number[] }>) => {
        seen = context
        await Promise.resolve()
        return context.input.pages.length < Number(context.state['pages'])
      },
      then: [yes],
    })
    const run = await execute(database(), [first, enough], { input: 'in', userId: 'u' })
    expect(run.output).toEqual([{ pages: [1, 2] }, 'yes'])
    const { runId, sessionId } = run
    expect(seen).toMatchObject({ runInput: 'in', runId, sessionId, userId: 'u', stepPath: 'enough' })
    expect(seen?.outputOf(first)).toEqual({ pages: [1, 2] })
    for (const changes of ['setState', 'stop', 'emit', 'log']) expect(seen).not.toHaveProperty(changes)
    expect(() => Object.assign(seen?.input ?? {}, { pages: [] })).toThrow(TypeError)
    expect(() => Object.assign(seen?.state ?? {}, { pages: 0 })).toThrow(TypeError)
    expect(run.stateAfter).toEqual({ pages: 3 })
  })

  test('that throws fails with what was thrown, and so does the run', async () => {
    const enough = condition('enough', {
      if: () => {
        throw Object.assign(new RangeError('cannot tell'), { code: 'UNSURE' })
      },
      then: [yes],
    })
    const run = await execute(database(), [enough, after], { input: 'in' })
    const error = { name: 'RangeError', code: 'UNSURE', message: 'cannot tell', stepPath: 'enough' }
    expect(run).toMatchObject({ status: 'FAILED', error, stepCount: 1 })
    expect(run.steps['enough']).toMatchObject({ status: 'FAILED', error, attempts: [{ number: 1, error }] })
  })

  test('fails with the step that fails in its branch', async () => {
    const breaks = step('breaks', () => {
      throw new Error('no')
    })
    const run = await execute(database(), [condition('c', { if: () => false, else: [yes, breaks, no] }), after], {
      input: 'in',
    })
    const error = { message: 'no', stepPath: 'c/breaks' }
    expect(run).toMatchObject({ status: 'FAILED', error, stepCount: 3 })
    expect(run.steps['c']).toMatchObject({ status: 'FAILED', error, decision: false })
  })

  test('in a condition runs only where the outer one said so', async () => {
    const inner = condition('inner', { if: () => false, then: [yes], else: [no] })
    const outer = (says: boolean) => condition('outer', { if: () => says, then: [inner] })
    expect((await execute(database(), [outer(true)], { input: 1 })).output).toEqual([1, 'no'])
    const passed = await execute(database(), [outer(false)], { input: 1 })
    expect(passed).toMatchObject({ output: 1, stepCount: 1 })
  })

  test('whose step stops the run ends it, by the path of the step', async () => {
    const stops = step('stops', ({ stop }: StepContext) => stop('early'))
    const run = await execute(database(), [condition('c', { if: () => true, then: [stops, yes] }), after])
    expect(run).toMatchObject({ status: 'COMPLETED', output: 'early', stoppedBy: 'c/stops', stepCount: 2 })
  })

  test('has no output of the branch that was not taken', async () => {
    const reads = step('reads', ({ outputOf }: StepContext) => [outputOf(yes), outputOf(no)])
    const run = await execute(database(), [condition('c', { if: () => true, then: [yes], else: [no] }), reads], {
      input: 'in',
    })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'NOT_FOUND', stepPath: 'reads' } })
    expect(run.error?.message).toContain('"no"')
  })

  test('beside others sees the state as its own branch does', async () => {
    const sets = step('sets', ({ setState }: StepContext) => {
      setState({ set: true })
      return 1
    })
    const asks = condition('asks', { if: ({ state }) => state['set'] === true, then: [yes], else: [no] })
    const gather = parallel('gather', [sets, asks], { concurrency: 1 })
    expect((await execute(database(), [gather], { input: 'in' })).output).toEqual({ sets: 1, asks: ['in', 'no'] })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('a condition goes the way that it said first, also where it would say otherwise after a restart', async () => {
    const broken = createBreak('broken')
    let asked = 0
    const wavers = condition('wavers', {
      if: () => {
        asked += 1
        return asked === 1
      },
      then: [broken.node, yes],
      else: [no],
    })
    const run = await acrossRestart(own, workflowOf([wavers, after]), { reached: broken.reached, input: 'in' })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { input: ['in', 'yes'] } })
    expect(run.steps['wavers']).toMatchObject({ decision: true })
    expect(asked).toBe(1)
  })

  test('a decision is written down before anything is done by it', async () => {
    const broken = createBreak('broken')
    const workflow = workflowOf([condition('says', { if: () => false, then: [yes], else: [broken.node] })])
    const run = await acrossRestart(own, workflow, { reached: broken.reached, input: 'in' })
    expect(run.steps['says']).toMatchObject({ decision: false, attempts: [{ number: 1, error: null }] })
  })
})
