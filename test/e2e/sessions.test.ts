import { describe, expect, test } from 'vitest'
import { data, onEachServer } from '../support/server.ts'
import { createFlows } from './flows.ts'
import { mutate, startHeld, unique } from './mutate.ts'

const flows = createFlows()

onEachServer(
  () => flows,
  (served) => {
    const run = (input: Record<string, unknown>) => mutate(served(), 'runWorkflow', input)
    const tea = { workflowId: 'pipeline', input: { topic: 'tea' } }

    describe('setSessionName', () => {
      const setName = (input: Record<string, unknown>) => mutate(served(), 'setSessionName', input)

      test('names by hand, without the blanks around', async () => {
        const { run: made } = await run({ ...tea, waitMs: 10_000 })
        const { sessionId } = made.session
        const named = await setName({ sessionId, sessionName: '  Tea time ' })
        expect(named.session).toMatchObject({ name: 'Tea time', nameSource: 'MANUAL', displayName: 'Tea time' })
      })

      test('makes a name of the description of the workflow and the time', async () => {
        const { run: made } = await run({ ...tea, waitMs: 10_000 })
        const { sessionId } = made.session
        const { session } = await setName({ sessionId, autogenerate: true })
        expect(session['name']).toMatch(/^Automated research and analysis pipel - \d{4}-\d\d-\d\d \d\d:\d\d$/)
        expect(session['nameSource']).toBe('GENERATED')
        const { session: read } = await data<{ session: unknown }>(
          served(),
          `{ session(sessionId: "${sessionId}") { name nameSource } }`,
        )
        expect(read).toEqual({ name: session['name'], nameSource: 'GENERATED' })
      })

      test('refuses both, neither, and an unknown session', async () => {
        const { run: made } = await run({ ...tea, waitMs: 10_000 })
        const { sessionId } = made.session
        for (const input of [{ sessionName: 'a', autogenerate: true }, {}, { autogenerate: false }]) {
          expect(await setName({ sessionId, ...input })).toMatchObject({
            __typename: 'InputInvalidError',
            issues: [{ path: ['sessionName'] }],
          })
        }
        expect(await setName({ sessionId: 'nowhere', sessionName: 'a' })).toMatchObject({ __typename: 'NotFoundError' })
        const { session } = await data<{ session: unknown }>(
          served(),
          `{ session(sessionId: "${sessionId}") { name } }`,
        )
        expect(session).toEqual({ name: null })
      })
    })

    describe('createSession', () => {
      const create = (input: Record<string, unknown>) => mutate(served(), 'createSession', input)

      test('makes a session without runs', async () => {
        const sessionId = unique('session')
        const given = { sessionId, userId: 'ann', sessionName: 'Mine', state: { a: 1 }, metadata: 'm', tags: ['t'] }
        const { session, edge } = await create({ workflowId: 'pipeline', ...given })
        expect(session).toMatchObject({
          sessionId,
          userId: 'ann',
          name: 'Mine',
          state: { a: 1 },
          metadata: 'm',
          tags: ['t'],
          runCount: 0,
        })
        expect(edge).toMatchObject({ node: { sessionId } })
        expect((await create({ workflowId: 'pipeline' })).session).toMatchObject({
          name: null,
          displayName: 'New Pipeline session',
          state: {},
        })
      })

      test('refuses an id that is taken, an unknown workflow, and a state that is no object', async () => {
        const sessionId = unique('session')
        await create({ workflowId: 'pipeline', sessionId })
        expect(await create({ workflowId: 'pipeline', sessionId })).toMatchObject({
          __typename: 'ConflictError',
          inTheWay: { sessionId },
        })
        expect(await create({ workflowId: 'nothing' })).toMatchObject({ __typename: 'NotFoundError' })
        expect(await create({ workflowId: 'pipeline', state: [1] })).toMatchObject({
          __typename: 'InputInvalidError',
          issues: [{ path: ['state'] }],
        })
      })
    })

    describe('updateSession', () => {
      const create = async (more: Record<string, unknown> = {}) =>
        (await mutate(served(), 'createSession', { workflowId: 'pipeline', ...more })).session.sessionId
      const update = (input: Record<string, unknown>) => mutate(served(), 'updateSession', input)

      test('patches the state, and replaces metadata and tags', async () => {
        const sessionId = await create({ state: { a: { b: 1, c: 2 }, d: 3 }, metadata: 1, tags: ['x'] })
        const { session } = await update({ sessionId, statePatch: { a: { b: null }, e: [1] }, expectedStateVersion: 0 })
        expect(session).toMatchObject({
          state: { a: { c: 2 }, d: 3, e: [1] },
          stateVersion: 1,
          metadata: 1,
          tags: ['x'],
        })
        expect((await update({ sessionId, metadata: { k: 1 }, tags: [] })).session).toMatchObject({
          metadata: { k: 1 },
          tags: [],
          stateVersion: 1,
        })
        expect((await update({ sessionId, metadata: null })).session).toMatchObject({ metadata: null })
      })

      test('refuses an old version of the state, nothing to change, and an unknown session', async () => {
        const sessionId = await create()
        await update({ sessionId, statePatch: { a: 1 } })
        expect(await update({ sessionId, statePatch: { a: 2 }, expectedStateVersion: 0 })).toMatchObject({
          __typename: 'ConflictError',
          inTheWay: { sessionId },
        })
        expect(await update({ sessionId })).toMatchObject({ __typename: 'InputInvalidError' })
        expect(await update({ sessionId, statePatch: 'x' })).toMatchObject({ __typename: 'InputInvalidError' })
        expect(await update({ sessionId: 'nowhere', tags: [] })).toMatchObject({ __typename: 'NotFoundError' })
      })

      test('refuses to change the state that a run is using', async () => {
        const sessionId = unique('session')
        const { door, runId } = await startHeld(served(), flows, { sessionId })
        expect(await update({ sessionId, statePatch: { a: 1 } })).toMatchObject({
          __typename: 'ConflictError',
          busyWith: { runId },
        })
        expect((await update({ sessionId, tags: ['t'] })).session).toMatchObject({ tags: ['t'] })
        door.open()
      })
    })

    describe('deleteSession', () => {
      const remove = (sessionId: string) => mutate(served(), 'deleteSession', { sessionId })

      test('removes the session with its runs, and answers with the id that it had', async () => {
        const { run: made } = await run({ ...tea, waitMs: 10_000 })
        const { sessionId } = made.session
        const query = `{ session(sessionId: ${JSON.stringify(sessionId)}) { id } run(runId: "${made.runId}") { id } }`
        const before = await data<{ session: { id: string } }>(served(), query)
        expect((await remove(sessionId)).deletedId).toBe(before.session.id)
        expect(await data(served(), query)).toEqual({ session: null, run: null })
        expect(await remove(sessionId)).toMatchObject({ __typename: 'NotFoundError' })
      })

      test('is refused while a run is not over', async () => {
        const sessionId = unique('session')
        const { door, runId } = await startHeld(served(), flows, { sessionId })
        expect(await remove(sessionId)).toMatchObject({
          __typename: 'ConflictError',
          busyWith: { runId },
          inTheWay: { sessionId },
        })
        door.open()
      })
    })
  },
)
