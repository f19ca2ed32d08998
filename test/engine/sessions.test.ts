import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { runEvents, runPayloads, runs, sessions, stepResults } from '../../src/db/tables.ts'
import { isUuid, newId } from '../../src/ids.ts'
import type { JsonObject } from '../../src/json.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import type { Schema } from '../../src/workflow/definition.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, startKern } from '../support/kerns.ts'

const echo = step('echo', ({ input }: StepContext) => input ?? null)
const Level = z.looseObject({ level: z.number().default(1) })
const notes = new Workflow({
  name: 'Notes',
  description: 'Automated research and analysis pipeline',
  state: Level,
  initialState: { from: 'workflow' },
  steps: [echo],
})
const plain = new Workflow({ name: 'Plain', steps: [echo] })
const NOON = new Date('2024-11-19T14:30:59.000Z')

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('createSession', () => {
    test('stores what was given over the defaults, and makes up an id where none is given', async () => {
      const kern = await startKern(database, [notes])
      const sessionId = newId()
      const session = await kern.commands.createSession(SYSTEM_VIEWER, {
        workflowId: 'notes',
        sessionId,
        userId: 'ada',
        sessionName: 'Mine',
        state: { mine: true },
        metadata: [1, null],
        tags: ['b', 'a', 'b'],
      })
      expect(session).toMatchObject({
        sessionId,
        workflowId: 'notes',
        workflowName: 'Notes',
        userId: 'ada',
        name: 'Mine',
        nameSource: 'MANUAL',
        displayName: 'Mine',
        stateVersion: 0,
        workflowData: notes.definition.data,
        metadata: [1, null],
        tags: ['b', 'a'],
        runCount: 0,
        activeRunId: null,
        lastRunId: null,
      })
      expect(session.state).toEqual({ from: 'workflow', mine: true, level: 1 })
      expect(await kern.getSession({ sessionId })).toEqual(session)
      const other = await kern.commands.createSession(SYSTEM_VIEWER, { workflowId: 'notes' })
      expect(isUuid(other.sessionId)).toBe(true)
      expect(other).toMatchObject({
        name: null,
        nameSource: null,
        displayName: 'New Notes session',
        metadata: undefined,
      })
      expect(await kern.run(notes, { sessionId, input: 'x', userId: 'ada' })).toMatchObject({
        number: 1,
        stateBefore: { from: 'workflow', mine: true, level: 1 },
      })
    })

    test('refuses an id that is taken, and leaves that session as it is', async () => {
      const kern = await startKern(database, [notes, plain])
      const sessionId = newId()
      const first = await kern.commands.createSession(SYSTEM_VIEWER, { workflowId: 'notes', sessionId, tags: ['kept'] })
      const again = kern.commands.createSession(SYSTEM_VIEWER, { workflowId: 'plain', sessionId, state: { other: 1 } })
      await expect(again).rejects.toMatchObject({ code: 'CONFLICT', details: { sessionId } })
      expect(await kern.getSession({ sessionId })).toEqual(first)
    })

    test.each([
      ['a state that does not fit', { state: { level: 'high' } }, 'state.level'],
      ['an id with a control character', { sessionId: 'a\u0007' }, 'sessionId'],
      ['an empty name', { sessionName: '  ' }, 'sessionName'],
    ])('refuses %s', async (_title, request, path) => {
      const kern = await startKern(database, [notes])
      const refusal: unknown = await kern.commands
        .createSession(SYSTEM_VIEWER, { workflowId: 'notes', ...request })
        .catch((error) => error)
      expect(refusal).toMatchObject({ code: 'INPUT_INVALID', details: { issues: [{ path: path.split('.') }] } })
    })
  })

  describe('updateSession', () => {
    test('patches the state, replaces metadata and tags, and leaves alone what is left out', async () => {
      const kern = await startKern(database, [plain])
      const { sessionId } = await kern.run(plain, { input: 'first' })
      const update = (request: object) => kern.commands.updateSession(SYSTEM_VIEWER, { sessionId, ...request })
      expect(await update({ statePatch: { a: 1, deep: { b: 2 } }, metadata: { m: 1 }, tags: ['t'] })).toMatchObject({
        state: { a: 1, deep: { b: 2 } },
        stateVersion: 1,
        metadata: { m: 1 },
        tags: ['t'],
      })
      expect(await update({ statePatch: { a: null, deep: { c: 3 } } })).toMatchObject({
        state: { deep: { b: 2, c: 3 } },
        stateVersion: 2,
        metadata: { m: 1 },
        tags: ['t'],
      })
      expect(await update({ tags: [] })).toMatchObject({ stateVersion: 2, metadata: { m: 1 }, tags: [] })
      expect(await update({ metadata: null })).toMatchObject({ metadata: undefined, displayName: 'first', runCount: 1 })
      await expect(update({})).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    })

    test('with an expected version changes nothing if it is another', async () => {
      const kern = await startKern(database, [plain])
      const { sessionId } = await kern.run(plain, {})
      const patch = { sessionId, statePatch: { n: 1 }, expectedStateVersion: 0 }
      const both = await Promise.allSettled([
        kern.commands.updateSession(SYSTEM_VIEWER, patch),
        kern.commands.updateSession(SYSTEM_VIEWER, { ...patch, statePatch: { n: 2 } }),
      ])
      expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
      const refused = both.find(({ status }) => status === 'rejected')
      expect(refused).toMatchObject({ reason: { code: 'CONFLICT', details: { sessionId } } })
      expect(await kern.getSession({ sessionId })).toMatchObject({ stateVersion: 1 })
    })

    test('without an expected version loses none of the patches that come at once', async () => {
      const [gate, both] = [createGate(), Promise.withResolvers<void>()]
      let asked = 0
      const validate = async (value: unknown) => {
        asked += 1
        // Each patch was made from the same state when the first of them is stored.
        if (asked === 2) both.resolve()
        if (asked <= 2) await gate.pass()
        return { value }
      }
      const state: Schema = { '~standard': { version: 1, vendor: 'test', validate } }
      const workflow = new Workflow({ name: 'Patched at once', state, steps: [echo] })
      const kern = await startKern(database, [plain, workflow])
      const { sessionId } = await kern.commands.createSession(SYSTEM_VIEWER, {
        workflowId: 'plain',
        sessionId: newId(),
      })
      await database.db.update(sessions).set({ workflowId: workflow.id }).where(eq(sessions.sessionId, sessionId))
      const patch = (statePatch: JsonObject) => kern.commands.updateSession(SYSTEM_VIEWER, { sessionId, statePatch })
      const patches = [patch({ a: 1 }), patch({ b: 2 })]
      await both.promise
      gate.open()
      await Promise.all(patches)
      expect(await kern.getSession({ sessionId })).toMatchObject({ state: { a: 1, b: 2 }, stateVersion: 2 })
      expect(asked).toBe(3)
    })

    test('asks the schema while no transaction is open, so that it may read the session itself', async () => {
      let read: () => Promise<unknown> = async () => null
      const seen: unknown[] = []
      const validate = async (value: unknown) => {
        seen.push(await read())
        return { value }
      }
      const state: Schema = { '~standard': { version: 1, vendor: 'test', validate } }
      const workflow = new Workflow({ name: 'Reads itself', state, steps: [echo] })
      const kern = await startKern(database, [workflow])
      const { sessionId } = await kern.commands.createSession(SYSTEM_VIEWER, { workflowId: workflow.id })
      read = async () => (await kern.getSession({ sessionId }))?.stateVersion
      const patched = await kern.commands.updateSession(SYSTEM_VIEWER, { sessionId, statePatch: { a: 1 } })
      expect(patched).toMatchObject({ state: { a: 1 }, stateVersion: 1 })
      expect(seen.at(-1)).toBe(0)
    })

    test('refuses a state that does not fit, and one that a run is using', async () => {
      const gate = createGate()
      const waits = new Workflow({
        name: 'Waits',
        state: Level,
        steps: [step('waits', () => gate.pass().then(() => 1))],
      })
      const kern = await startKern(database, [waits])
      const sessionId = newId()
      const running = kern.run(waits, { sessionId })
      await gate.reached
      const update = (request: object) => kern.commands.updateSession(SYSTEM_VIEWER, { sessionId, ...request })
      await expect(update({ statePatch: { a: 1 } })).rejects.toMatchObject({ code: 'CONFLICT', details: { sessionId } })
      expect(await update({ tags: ['busy'] })).toMatchObject({ tags: ['busy'] })
      gate.open()
      await running
      await expect(update({ statePatch: { level: 'no' } })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      expect(await update({ statePatch: { level: 2 } })).toMatchObject({ state: { level: 2 } })
    })

    test('of a session that is not there says so', async () => {
      const kern = await startKern(database, [plain])
      const missing = kern.commands.updateSession(SYSTEM_VIEWER, { sessionId: 'nowhere', tags: [] })
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  })

  describe('deleteSession', () => {
    test('is refused while a run is not over, and then removes the session with all its rows', async () => {
      const gate = createGate()
      const waits = new Workflow({ name: 'Deleted', steps: [step('waits', () => gate.pass().then(() => 1))] })
      const kern = await startKern(database, [waits])
      const sessionId = newId()
      const remove = () => kern.commands.deleteSession(SYSTEM_VIEWER, { sessionId })
      const running = kern.run(waits, { sessionId })
      await gate.reached
      await expect(remove()).rejects.toMatchObject({ code: 'CONFLICT', details: { sessionId } })
      gate.open()
      const { runId } = await running
      const { db } = database
      const rows = () =>
        Promise.all([
          db.select().from(runs).where(eq(runs.runId, runId)),
          db.select().from(runPayloads).where(eq(runPayloads.runId, runId)),
          db.select().from(stepResults).where(eq(stepResults.runId, runId)),
          db.select().from(runEvents).where(eq(runEvents.runId, runId)),
        ])
      for (const found of await rows()) expect(found).not.toEqual([])
      expect(await remove()).toBe(sessionId)
      for (const found of await rows()) expect(found).toEqual([])
      expect(await kern.getSession({ sessionId })).toBeNull()
      expect(await kern.getRun(runId)).toBeNull()
      await expect(remove()).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await kern.run(waits, { sessionId })).toMatchObject({ number: 1, status: 'COMPLETED' })
    })
  })

  describe('the name of a session', () => {
    test('is set by hand, or made from the description and the time in the zone of the server', async () => {
      const kern = await startKern(database, [notes, plain], { timeZone: 'Asia/Tokyo' })
      const { sessionId } = await kern.run(notes, { input: 'the first words' })
      expect(await kern.getSession({ sessionId })).toMatchObject({ name: null, displayName: 'the first words' })
      const set = (request: object) => kern.commands.setSessionName(SYSTEM_VIEWER, { sessionId, ...request })
      const named = { name: 'By hand', nameSource: 'MANUAL', displayName: 'By hand' }
      expect(await set({ sessionName: '  By hand ' })).toMatchObject(named)
      await kern.run(notes, { sessionId, input: 'later words' })
      expect(await kern.getSession({ sessionId })).toMatchObject(named)
      const generated = await set({ autogenerate: true })
      expect(generated.nameSource).toBe('GENERATED')
      expect(generated.name).toMatch(/^Automated research and analysis pipel - \d{4}-\d\d-\d\d \d\d:\d\d$/)
    })

    test('that is generated gives the minute of the clock, and the name of a workflow without description', async () => {
      const kern = await startKern(database, [plain], { clock: { ...systemClock, now: () => NOON } })
      const { sessionId } = await kern.commands.createSession(SYSTEM_VIEWER, { workflowId: 'plain' })
      const named = await kern.commands.setSessionName(SYSTEM_VIEWER, { sessionId, autogenerate: true })
      expect(named.name).toBe('Plain - 2024-11-19 14:30')
    })

    test.each([
      ['both a name and autogenerate', { sessionName: 'x', autogenerate: true }],
      ['neither', {}],
      ['a name of white space', { sessionName: ' ' }],
    ])('is refused with %s', async (_title, request) => {
      const kern = await startKern(database, [plain])
      const { sessionId } = await kern.commands.createSession(SYSTEM_VIEWER, { workflowId: 'plain' })
      const refusal = kern.commands.setSessionName(SYSTEM_VIEWER, { sessionId, ...request })
      await expect(refusal).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      expect(await kern.getSession({ sessionId })).toMatchObject({ name: null, nameSource: null })
    })

    test('of a session that is not there is refused', async () => {
      const kern = await startKern(database, [plain])
      const refusal = kern.commands.setSessionName(SYSTEM_VIEWER, { sessionId: 'nowhere', sessionName: 'x' })
      await expect(refusal).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    test('is shown as the name, else the first run’s input, else that the session is new', async () => {
      const kern = await startKern(database, [plain])
      const shown = async (sessionId: string) => (await kern.getSession({ sessionId }))?.displayName
      const [silent, object] = [await kern.run(plain, {}), await kern.run(plain, { input: { a: 1 } })]
      expect(await shown(silent.sessionId)).toBe('New Plain session')
      await kern.run(plain, { sessionId: silent.sessionId, input: 'second' })
      expect(await shown(silent.sessionId)).toBe('New Plain session')
      expect(await shown(object.sessionId)).toBe('{"a":1}')
      await kern.run(plain, { sessionId: object.sessionId, input: 'x', sessionName: 'Named by a run' })
      expect(await shown(object.sessionId)).toBe('Named by a run')
    })
  })
})
