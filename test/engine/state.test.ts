import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { JsonObject } from '../../src/json.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { allRuns, eventsOf, startKern } from '../support/kerns.ts'

/** A step that changes the state in one call after another, and returns the state that it was given. */
const patching = (name: string, ...patches: readonly (JsonObject | ((state: JsonObject) => JsonObject))[]) =>
  step(name, ({ state, setState }: StepContext) => {
    for (const patch of patches) setState(patch)
    return state
  })

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('setState', () => {
    test('replaces, deletes and merges, and gives a function the state as changed so far', async () => {
      const workflow = new Workflow({
        name: 'Patches',
        initialState: { keep: 1, drop: 2, deep: { a: 1, b: 2 }, list: [1, 2] },
        steps: [
          patching('a', { drop: null, deep: { b: null, c: 3 }, list: [3] }, (state) => ({
            seen: Object.keys(state).length,
          })),
          patching('b', ({ seen }) => ({ seen: Number(seen) + 1 })),
          patching('c', { seen: 4 }),
        ],
      })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      const afterA = { keep: 1, deep: { a: 1, c: 3 }, list: [3], seen: 3 }
      expect(run.stateBefore).toEqual({ keep: 1, drop: 2, deep: { a: 1, b: 2 }, list: [1, 2] })
      expect(run.stateAfter).toEqual({ ...afterA, seen: 4 })
      expect(run.steps.a?.output).toEqual(run.stateBefore)
      expect(run.steps.b?.output).toEqual(afterA)
      expect(run.steps.a?.statePatch).toEqual({ drop: null, deep: { b: null, c: 3 }, list: [3], seen: 3 })
      expect(run.steps.b?.statePatch).toEqual({ seen: 4 })
      // Setting what is there already changes nothing.
      expect(run.steps.c?.statePatch).toBeUndefined()
      const changes = (await eventsOf(kern, run.runId)).filter(({ type }) => type === 'STATE_CHANGED')
      expect(changes.map(({ stepPath, data }) => [stepPath, data])).toEqual([
        ['a', run.steps.a?.statePatch],
        ['b', { seen: 4 }],
      ])
      expect(await kern.getSession(run)).toMatchObject({ state: run.stateAfter, stateVersion: 2 })
    })

    test('of an attempt that fails has no effect, neither on the next attempt nor on the session', async () => {
      const states: JsonObject[] = []
      const unsure = step({
        name: 'unsure',
        retry: { maxAttempts: 2, delay: 0 },
        run: ({ state, setState, attempt }: StepContext) => {
          states.push(state)
          setState({ [`attempt${attempt}`]: true })
          if (attempt === 1) throw new Error('once')
          return 'done'
        },
      })
      const fails = step('fails', ({ setState }: StepContext) => {
        setState({ lost: true })
        throw new Error('always')
      })
      const workflow = new Workflow({ name: 'Unsure', steps: [unsure, fails] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(states).toEqual([{}, {}])
      expect(run).toMatchObject({ status: 'FAILED', stateBefore: {} })
      expect(run.stateAfter).toEqual({ attempt2: true })
      expect(await kern.getSession(run)).toMatchObject({ state: { attempt2: true }, stateVersion: 1 })
    })

    test.each([
      ['a value that is no object', ['no'], 'STATE_INVALID'],
      ['a value that is no JSON', { at: new Date(0) }, 'VALUE_NOT_STORABLE'],
    ])('refuses %s', async (title, patch, code) => {
      const sets = step('sets', ({ setState }: StepContext) => {
        // As from JavaScript.
        setState(patch as object)
        return 1
      })
      const workflow = new Workflow({ name: `Refuses ${title}`, steps: [sets] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({ status: 'FAILED', error: { code, stepPath: 'sets' }, stateAfter: {} })
    })
  })

  describe('the state at the start of a run', () => {
    test('is what was given, over what is stored, over the defaults, merged deeply', async () => {
      const workflow = new Workflow({
        name: 'Precedence',
        state: z.looseObject({ level: z.number().default(7) }),
        initialState: { from: { initial: 1, stored: 1, given: 1 }, list: [1] },
        steps: [patching('only', { from: { stored: 2 }, extra: 'kept' })],
      })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const first = await kern.run(workflow, { sessionId, sessionState: { from: { given: 3 } } })
      expect(first.stateBefore).toEqual({ from: { initial: 1, stored: 1, given: 3 }, list: [1], level: 7 })
      const second = await kern.run(workflow, {
        sessionId,
        sessionState: { from: { given: 4 }, list: [2], none: null },
      })
      expect(second.stateBefore).toEqual({
        from: { initial: 1, stored: 2, given: 4 },
        list: [2],
        level: 7,
        extra: 'kept',
        none: null,
      })
      expect(second.stateAfter).toEqual(second.stateBefore)
      expect((await kern.getSession({ sessionId }))?.state).toEqual(second.stateAfter)
      const [given] = (await eventsOf(kern, second.runId)).filter(({ type }) => type === 'STATE_CHANGED')
      expect(given).toMatchObject({ seq: 3, stepPath: null, data: { from: { given: 4 }, list: [2], none: null } })
    })

    test('goes on from where the last run of the session left it, and is apart in each session', async () => {
      const counts = step('counts', ({ state, setState }: StepContext<unknown, { n?: number }>) => {
        setState({ n: (state.n ?? 0) + 1 })
        return state.n ?? 0
      })
      const workflow = new Workflow({ name: 'Counter', steps: [counts] })
      const kern = await startKern(database, [workflow])
      const [one, other] = [newId(), newId()]
      for (const n of [0, 1, 2]) expect((await kern.run(workflow, { sessionId: one })).output).toBe(n)
      expect((await kern.run(workflow, { sessionId: other })).output).toBe(0)
      expect((await kern.run(workflow, { sessionId: one })).output).toBe(3)
      expect(await kern.getSession({ sessionId: one })).toMatchObject({ state: { n: 4 }, stateVersion: 4 })
    })
  })

  describe('a state schema', () => {
    const Strict = z.object({ count: z.number().max(2).default(0) })
    const counting = (name: string) =>
      new Workflow({
        name,
        state: Strict,
        steps: [
          step('counts', ({ state, setState }: StepContext<unknown, { count: number }>) => {
            setState({ count: state.count + 1 })
            return state
          }),
        ],
      })

    test('fails the run that starts with a state that does not fit, before any step', async () => {
      const before = new Workflow({ name: 'Wrong start', steps: [step('counts', () => 1)] })
      const first = await startKern(database, [before])
      const { sessionId } = await first.run(before, { sessionState: { count: 'many' } })
      await first.close()
      const workflow = counting('Wrong start')
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { sessionId })
      expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STATE_INVALID', stepPath: null }, stepCount: 0 })
      expect(run.error?.message).toContain('count')
      expect(await kern.getSession(run)).toMatchObject({ state: { count: 'many' }, stateVersion: 1 })
    })

    test('refuses a run that is given a state that does not fit, and stores nothing of it', async () => {
      const workflow = counting('Refused start')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const start = (sessionState: JsonObject) => kern.run(workflow, { sessionId, sessionState })
      const refusal = { code: 'INPUT_INVALID', details: { issues: [{ path: ['sessionState', 'count'] }] } }
      await expect(start({ count: 'many' })).rejects.toMatchObject(refusal)
      expect(await kern.getSession({ sessionId })).toBeNull()
      expect(await allRuns(kern, { workflowId: workflow.id })).toEqual([])
      await start({ count: 1 })
      await expect(start({ count: 3 })).rejects.toMatchObject(refusal)
      expect(await kern.getSession({ sessionId })).toMatchObject({ runCount: 1, state: { count: 2 } })
    })

    test('fails the step that would make it not fit, and leaves the state as it was', async () => {
      const workflow = counting('Wrong step')
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const statuses = []
      for (let run = 1; run <= 3; run += 1) statuses.push((await kern.run(workflow, { sessionId })).status)
      expect(statuses).toEqual(['COMPLETED', 'COMPLETED', 'FAILED'])
      expect((await kern.getSession({ sessionId }))?.state).toEqual({ count: 2 })
    })

    test('that strips keys it does not know deletes none of them', async () => {
      const workflow = counting('Stripping')
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, { sessionState: { unknown: { deep: true } } })
      expect(run.stateAfter).toEqual({ count: 1, unknown: { deep: true } })
      expect((await kern.getSession(run))?.state).toEqual(run.stateAfter)
    })

    test('of a step is asked before the step, which gets what it makes, and after it', async () => {
      const State = z.object({ level: z.number().max(1).default(0) })
      const reads = step({
        name: 'reads',
        state: State,
        run: ({ state, setState, runInput }) => {
          setState({ level: Number(runInput) })
          return state
        },
      })
      const workflow = new Workflow({ name: 'Step state', steps: [reads] })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      expect(await kern.run(workflow, { sessionId, input: 1 })).toMatchObject({
        output: { level: 0 },
        stateAfter: { level: 1 },
      })
      expect(await kern.run(workflow, { sessionId, input: 2 })).toMatchObject({
        status: 'FAILED',
        error: { code: 'STATE_INVALID', stepPath: 'reads' },
        stateAfter: { level: 1 },
      })
      const wrong = await kern.run(workflow, { sessionId, input: 1, sessionState: { level: 9 } })
      expect(wrong).toMatchObject({ status: 'FAILED', error: { code: 'STATE_INVALID', stepPath: 'reads' } })
    })
  })
})
