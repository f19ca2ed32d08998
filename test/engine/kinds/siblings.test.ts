import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { Database } from '../../../src/db/client.ts'
import type { JsonObject } from '../../../src/json.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import type { OnError } from '../../../src/workflow/definition.ts'
import { map } from '../../../src/workflow/map.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, startKern } from '../../support/kerns.ts'
import {
  aborted,
  acrossRestart,
  createBreak,
  embedded,
  ended,
  execute,
  pathsOf,
  seen,
  start,
  workflowOf,
} from './support.ts'

const database = embedded()

/** Changes the state, and yields the state that it was given. */
const sets = (name: string, patch: JsonObject) =>
  step(name, ({ state, setState }: StepContext) => {
    setState(patch)
    return state
  })

const reads = step('reads', ({ state }: StepContext) => state)

describe('the state of steps at the same time', () => {
  test('is for each that of the start and what its own branch has set, and for what follows all of it', async () => {
    const [left, right] = [createGate(), createGate()]
    const branch = (name: string, gate: typeof left, until: Promise<void>) =>
      sequence(name, [
        sets(`${name} 1`, { [name]: 1, deep: { [name]: 1 } }),
        step(`${name} 2`, async ({ state }: StepContext) => {
          // The other branch has set its own by now.
          void gate.pass()
          await until
          return state
        }),
      ])
    const gather = parallel('gather', [branch('a', left, right.reached), branch('b', right, left.reached)])
    const run = await execute(database(), [sets('first', { x: 0 }), gather, reads], {
      sessionState: { deep: { c: 1 } },
    })
    const before = { x: 0, deep: { c: 1 } }
    expect(run.steps['gather/a/a 1']?.output).toEqual(before)
    expect(run.steps['gather/b/b 1']?.output).toEqual(before)
    expect(run.steps['gather/a/a 2']?.output).toEqual({ x: 0, a: 1, deep: { c: 1, a: 1 } })
    expect(run.steps['gather/b/b 2']?.output).toEqual({ x: 0, b: 1, deep: { c: 1, b: 1 } })
    const all = { x: 0, a: 1, b: 1, deep: { c: 1, a: 1, b: 1 } }
    expect(run.output).toEqual(all)
    expect(run.stateAfter).toEqual(all)
  })

  test('keeps what each sets: new keys, objects, lists, and what is removed', async () => {
    const gather = parallel('gather', [
      sets('a', { text: 'x', list: [1, 2], gone: null }),
      sets('b', { deep: { er: { b: true } }, none: 0 }),
      sets('c', { deep: { er: { c: [{ d: null }] } } }),
    ])
    const run = await execute(database(), [gather, reads], { sessionState: { gone: 1, kept: 2 } })
    const deep = { er: { b: true, c: [{ d: null }] } }
    expect(run.stateAfter).toEqual({ kept: 2, text: 'x', list: [1, 2], none: 0, deep })
    expect(run.steps['gather/a']?.statePatch).toEqual({ text: 'x', list: [1, 2], gone: null })
  })

  test('may be set to one value by several, and that is kept once', async () => {
    const count = (name: string) =>
      step(name, ({ setState }: StepContext) => setState((state) => ({ n: Number(state['n']) + 1 })) ?? name)
    const gather = parallel('gather', [
      count('a'),
      count('b'),
      sets('c', { same: [{ x: 1 }] }),
      sets('d', { same: [{ x: 1 }] }),
    ])
    const run = await execute(database(), [gather], { sessionState: { n: 1 } })
    expect(run).toMatchObject({ status: 'COMPLETED' })
    expect(run.stateAfter).toEqual({ n: 2, same: [{ x: 1 }] })
  })

  test('in a map is apart for each item', async () => {
    const item = step('item', ({ state, setState, input }: StepContext) => {
      setState({ [String(input)]: Object.keys(state) })
      return state
    })
    const run = await execute(database(), [map('each', { steps: [item], concurrency: 2 })], { input: ['a', 'b', 'c'] })
    // The third began after the first had ended, and all the same sees nothing of it.
    expect(run).toMatchObject({ output: [{}, {}, {}], stateAfter: { a: [], b: [], c: [] } })
  })
})

describe('two steps at the same time that set one key to different values', () => {
  const clash = (parts: Parameters<typeof parallel>[2] = {}) => {
    const after = createGate()
    const first = step('first', ({ setState }: StepContext) => {
      setState({ own: true, deep: { key: 1 } })
      after.open()
      return 1
    })
    const second = step('second', async ({ setState }: StepContext) => {
      await after.pass()
      setState({ deep: { key: 2, other: 3 } })
      return 2
    })
    return parallel('gather', [sequence('in', [first]), second], parts)
  }

  test.each([true, false])('fail the run with the names of both and of the key; failFast is %s', async (failFast) => {
    const run = await execute(database(), [clash({ failFast }), reads], { sessionState: { deep: { old: 0 } } })
    const error = { code: 'STATE_CONFLICT', stepPath: 'gather/second', retryable: false }
    expect(run).toMatchObject({ status: 'FAILED', error, stateAfter: { own: true, deep: { old: 0, key: 1 } } })
    for (const name of ['"gather/in/first"', '"gather/second"', '"deep.key"'])
      expect(run.error?.message).toContain(name)
    expect(run.steps['gather/second']).toMatchObject({ status: 'FAILED', statePatch: undefined, output: undefined })
    expect(pathsOf(run, 'STATE_CHANGED')).toEqual(['gather/in/first'])
  })

  test.each<OnError>(['fail', 'skip', 'pause'])(
    'fail it at once, whatever is said of retries and onError: %s',
    async (onError) => {
      let calls = 0
      const second = step({
        name: 'second',
        retry: { maxAttempts: 5, delay: 0 },
        onError,
        run: async ({ setState, state }: StepContext) => {
          calls += 1
          setState({ key: 2 })
          return state
        },
      })
      const both = [sets('first', { key: 1 }), second] as const
      const run = await execute(database(), [parallel('gather', both, { concurrency: 1 }), reads])
      expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STATE_CONFLICT', stepPath: 'gather/second' } })
      expect(calls).toBe(1)
    },
  )

  test('are told by their items in a map, and by their branches where forks are in forks', async () => {
    const item = step('item', ({ setState, input }: StepContext) => {
      setState({ key: Number(input) })
      return input
    })
    const each = map('each', { steps: [item], concurrency: 1 })
    const inMap = await execute(database(), [each], { input: [1, 2] })
    expect(inMap).toMatchObject({ status: 'FAILED', error: { code: 'STATE_CONFLICT', stepPath: 'each[1]/item' } })
    expect(inMap.error?.message).toMatch(/"each\[0\]\/item" and "each\[1\]\/item".*"key"/)
    const forks = parallel('outer', [parallel('inner', [sets('x', { key: 1 })]), sets('y', { key: 2 })], {
      concurrency: 1,
    })
    const inForks = await execute(database(), [forks])
    expect(inForks).toMatchObject({ status: 'FAILED', error: { code: 'STATE_CONFLICT', stepPath: 'outer/y' } })
    expect(inForks.error?.message).toContain('"outer/inner/x"')
  })

  test('are no conflict one after the other, nor with what was set before', async () => {
    const gather = parallel('gather', [
      sequence('in', [sets('a', { key: 1 }), sets('b', { key: 2 })]),
      sets('c', { x: 1 }),
    ])
    const run = await execute(database(), [sets('before', { key: 0 }), gather, sets('after', { key: 3 })])
    expect(run).toMatchObject({ status: 'COMPLETED', stateAfter: { key: 3, x: 1 } })
  })
})

describe('the state schema', () => {
  const State = z.object({ a: z.number(), b: z.number() }).refine(({ a, b }) => a + b <= 10, 'too much together')

  test('is asked about what steps at the same time make together, and the one that is too much fails', async () => {
    const gather = parallel('gather', [sets('one', { a: 6 }), sets('two', { b: 6 })], { concurrency: 1 })
    const options = { state: State, initialState: { a: 0, b: 0 } }
    const run = await execute(database(), [gather], { options })
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STATE_INVALID', stepPath: 'gather/two' } })
    expect(run.error?.message).toContain('too much together')
    expect(run.stateAfter).toEqual({ a: 6, b: 0 })
    expect((await execute(database(), [gather], { options: { ...options, state: z.object({}) } })).status).toBe(
      'COMPLETED',
    )
  })

  test('that answers later is asked again where a sibling changed the state in the meantime', async () => {
    const [begin, asked] = [createGate(), createGate()]
    const Slow = z.object({ a: z.number(), b: z.number(), c: z.number() }).refine(async ({ a, b, c }) => {
      if (a === 3 && b === 3 && c === 0) await asked.pass()
      return a + b + c <= 8
    }, 'too much together')
    const after = (name: string, before: Promise<void>, patch: JsonObject) =>
      step(name, async ({ setState }: StepContext) => {
        await before
        setState(patch)
        return name
      })
    const begun = begin.pass()
    const gather = parallel(
      'gather',
      [sets('one', { a: 3 }), after('two', begun, { b: 3 }), after('three', asked.reached, { c: 3 })],
      { failFast: false },
    )
    const workflow = workflowOf([gather], { state: Slow, initialState: { a: 0, b: 0, c: 0 } })
    const kern = await startKern(database(), [workflow])
    const runId = await start(kern, workflow)
    for await (const { type, stepPath } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
      if (type !== 'STEP_COMPLETED') continue
      if (stepPath === 'gather/one') begin.open()
      // What `two` was found to fit is old by now.
      if (stepPath === 'gather/three') asked.open()
    }
    const run = await seen(kern, runId)
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STATE_INVALID', stepPath: 'gather/two' } })
    expect(run.stateAfter).toEqual({ a: 3, b: 0, c: 3 })
  })
})

onEachDatabase((_name, open) => {
  let own: Database
  beforeAll(async () => {
    own = await open()
  })

  test('after a restart each branch sees the same as before, and a conflict is one as before', async () => {
    const broken = createBreak('broken')
    const left = sequence('left', [sets('l1', { l: 1, key: 1 }), broken.node, sets('l2', { l: 2 })])
    const right = sequence('right', [sets('r1', { r: 1 }), step('waits', () => broken.reached.then(() => 1))])
    const workflow = workflowOf([sets('first', { x: 0 }), parallel('gather', [left, right]), reads])
    const run = await acrossRestart(own, workflow, { reached: broken.reached, sessionState: { s: 1 } })
    expect(run.steps['gather/left/l2']?.output).toEqual({ s: 1, x: 0, l: 1, key: 1 })
    expect(run.steps['gather/right/r1']?.output).toEqual({ s: 1, x: 0 })
    expect(run.output).toEqual({ s: 1, x: 0, l: 2, key: 1, r: 1 })
    expect(run.stateAfter).toEqual(run.output)
  })

  test('after a restart a step conflicts with what others had set before, however far they had come', async () => {
    const reached = Promise.withResolvers<void>()
    const clashes = step('clashes', async ({ attempt, signal, setState }: StepContext) => {
      setState({ key: 2 })
      if (attempt > 1) return 'at once'
      reached.resolve()
      throw await aborted(signal)
    })
    const many = Array.from({ length: 40 }, (_, index) => step(`s${index}`, ({ input }) => input))
    const broken = createBreak('broken')
    // It has not ended: walked again, it comes to what it set only after all that was before it.
    const long = sequence('long', [...many, sets('sets', { key: 1 }), broken.node])
    const workflow = workflowOf([parallel('gather', [clashes, long]), reads])
    const first = await startKern(own, [workflow])
    const runId = await start(first, workflow, { input: 'in' })
    await Promise.all([reached.promise, broken.reached])
    await first.close()
    const second = await startKern(own, [workflow])
    const run = await ended(second, runId)
    expect(run).toMatchObject({
      status: 'FAILED',
      error: { code: 'STATE_CONFLICT', stepPath: 'gather/clashes' },
    })
    expect(run.error?.message).toContain('"gather/long/sets"')
  })
})
