import { describe, expect, expectTypeOf, test } from 'vitest'
import type { RunEvent } from '../../src/client/index.ts'
import { KernClientError } from '../../src/client/index.ts'
import { createFlows } from '../e2e/flows.ts'
import { startProxy } from '../support/proxy.ts'
import { onEachServer, type Served } from '../support/server.ts'
import { all, behind, brief, createClient, startPlainProxy, storedEvents, take, TRANSPORTS } from './support.ts'

const flows = createFlows()

let names = 0
const unique = (what: string): string => `${what} of clients ${++names}`

/** A relay in front of a server, which counts connections. */
const relayOf = (served: Served) => startProxy({ host: '127.0.0.1', port: Number(new URL(served.url).port) })

onEachServer(
  () => flows,
  (served, database) => {
    describe.each(TRANSPORTS)(`over %s, from ${database}`, (_name, how) => {
      const clientOf = (url = served().url) => createClient({ url, ...how })
      const pipeline = { workflowId: 'pipeline', input: { topic: 'tea' } }

      /** A run that is held at a door of its own, and has got there. */
      const startHeld = async (client = clientOf(), sessionId?: string) => {
        const name = unique('door')
        const door = flows.door(name)
        const run = await client.runWorkflow({ workflowId: 'held', input: { door: name }, sessionId })
        await door.reached
        return { ...run, door }
      }

      test('a run is followed from its first event to the final one, as its rows are', async () => {
        const client = clientOf()
        const run = await client.runWorkflow(pipeline)
        expect(run).toMatchObject({
          runId: expect.any(String),
          sessionId: expect.any(String),
          number: 1,
          status: expect.any(String),
          lastCursor: expect.any(String),
        })
        const events = await all(client.watchRun(run.runId))
        expect(events.map(brief)).toEqual(await storedEvents(served().url, run.runId))
        expect(events.at(-1)).toEqual({
          id: expect.any(String),
          cursor: expect.any(String),
          seq: events.length,
          type: 'RUN_COMPLETED',
          at: expect.any(String),
          name: null,
          data: null,
          run: { runId: run.runId, number: 1, status: 'COMPLETED' },
          step: null,
        })
        expect(events.find(({ type }) => type === 'CUSTOM')).toMatchObject({ name: 'found', data: { notes: 1 } })
        const completed = events.filter(({ type }) => type === 'STEP_COMPLETED')
        expect(completed.map(({ step }) => step?.path)).toEqual(['research', 'analyse', 'write'])
        expect(client.retries).toEqual([])
      })

      test('a watch goes on after a cursor, also after the newest one of all', async () => {
        const client = clientOf()
        const run = await startHeld(client)
        const live = all(client.watchRun(run.runId, { after: run.lastCursor }))
        run.door.open()
        const stored = await (async () => {
          await all(client.watchRun(run.runId))
          return storedEvents(served().url, run.runId)
        })()
        const place = stored.findIndex(({ cursor }) => cursor === run.lastCursor)
        expect((await live).map(brief)).toEqual(stored.slice(place + 1))
        const rest = await all(client.watchRun(run.runId, { after: stored[1]?.cursor }))
        expect(rest.map(brief)).toEqual(stored.slice(2))
        expect(await all(client.watchRun(run.runId, { after: stored.at(-1)?.cursor }))).toEqual([])
      })

      test('a watch gives the types and the fields that are asked for, and ends with the run whatever they are', async () => {
        const client = clientOf()
        const { runId } = await client.runWorkflow(pipeline)
        const watch = client.watchRun<{ readonly step: { readonly name: string } }>(runId, {
          types: ['STEP_COMPLETED'],
          selection: 'step { name }',
        })
        const events = await all(watch)
        expectTypeOf(events).toEqualTypeOf<(RunEvent & { readonly step: { readonly name: string } })[]>()
        expect(events.map(({ type, step: { name, path } }) => [type, name, path])).toEqual(
          ['research', 'analyse', 'write'].map((name) => ['STEP_COMPLETED', name, name]),
        )
      })

      test('leaving the loop, `return` while it waits, and the signal all release the connection', async () => {
        await using relay = await relayOf(served())
        const client = clientOf(behind(served().url, relay.port))
        const run = await startHeld()

        await take(client.watchRun(run.runId), 3)
        await expect.poll(() => relay.open, { timeout: 10_000 }).toBe(0)

        const returned = client.watchRun(run.runId, { after: run.lastCursor })
        const seen = await take(client.watchRun(run.runId), 5)
        const waiting = all(client.watchRun(run.runId, { after: seen.at(-1)?.cursor }))
        const pending = (async () => {
          for await (const event of returned) if (event.cursor === seen.at(-1)?.cursor) await returned.return()
        })()
        await pending
        expect(await returned.next()).toEqual({ done: true, value: undefined })

        const over = new AbortController()
        const aborted = client.watchRun(run.runId, { after: seen.at(-1)?.cursor, signal: over.signal })
        const refused = expect(aborted.next()).rejects.toThrow('enough')
        over.abort(new Error('enough'))
        await refused
        expect(await aborted.next()).toEqual({ done: true, value: undefined })
        await expect(client.watchRun(run.runId, { signal: over.signal }).next()).rejects.toThrow('enough')

        run.door.open()
        expect((await waiting).at(-1)?.type).toBe('RUN_COMPLETED')
        await expect.poll(() => relay.open, { timeout: 10_000 }).toBe(0)
        expect(relay.accepted).toBeGreaterThan(0)
        expect(client.retries).toEqual([])
      })

      test('a `next` that waits is done when the watch is returned', async () => {
        const client = clientOf()
        const run = await startHeld(client)
        const watch = client.watchRun(run.runId, { types: ['RUN_COMPLETED'] })
        const both = [watch.next(), watch.next()]
        expect(await watch.return()).toEqual({ done: true, value: undefined })
        expect(await Promise.all(both)).toEqual([1, 2].map(() => ({ done: true, value: undefined })))
        run.door.open()
      })

      test.each([
        ['an unknown run', 'NOT_FOUND', crypto.randomUUID(), undefined],
        ['a malformed id', 'NOT_FOUND', 'x', undefined],
        ['a malformed cursor', 'CURSOR_INVALID', null, { after: 'x' }],
        ['a field that is not there', 'GRAPHQL_VALIDATION_FAILED', null, { selection: 'nothing' }],
      ] as const)('%s is refused as %s, once and for good', async (_what, code, runId, options) => {
        const client = clientOf()
        const id = runId ?? (await client.runWorkflow(pipeline)).runId
        const watch = client.watchRun(id, options)
        const error: unknown = await watch.next().catch((thrown: unknown) => thrown)
        expect(error).toBeInstanceOf(KernClientError)
        expect(error).toMatchObject({ name: 'KernClientError', code, message: expect.any(String) })
        expect(await watch.next()).toEqual({ done: true, value: undefined })
        expect(client.retries).toEqual([])
      })

      test('a session is followed over its runs, and goes on after any cursor', async () => {
        const client = clientOf()
        const sessionId = unique('session')
        const first = await startHeld(client, sessionId)
        first.door.open()
        const held = await startHeld(client, sessionId)
        const name = unique('door')
        flows.door(name).open()
        const queued = await client.runWorkflow({ workflowId: 'held', input: { door: name }, sessionId })
        const finals: string[] = []
        const events: RunEvent[] = []
        for await (const event of client.watchSession(sessionId)) {
          events.push(event)
          if (event.run.runId === queued.runId && event.type === 'RUN_QUEUED') held.door.open()
          if (event.type === 'RUN_COMPLETED') finals.push(event.run.runId)
          if (finals.length === 3) break
        }
        expect(finals).toEqual([first, held, queued].map(({ runId }) => runId))
        for (const { runId } of [first, held, queued]) {
          const own = events.filter(({ run }) => run.runId === runId)
          expect(own.map(({ seq, type }) => ({ seq, type }))).toEqual(
            (await storedEvents(served().url, runId)).map(({ seq, type }) => ({ seq, type })),
          )
        }
        for (const place of [0, 3, events.length - 4]) {
          const rest = await take(
            client.watchSession(sessionId, { after: events[place]?.cursor }),
            events.length - place - 1,
          )
          // Where a run is told of as queued depends on how far the others were; all else is in one order.
          const ordered = (given: readonly RunEvent[]) =>
            given.filter(({ type }) => type !== 'RUN_QUEUED').map(({ id }) => id)
          const queuedIn = (given: readonly RunEvent[]) =>
            given.filter(({ type }) => type === 'RUN_QUEUED').map(({ id }) => id)
          expect(ordered(rest)).toEqual(ordered(events.slice(place + 1)))
          expect(queuedIn(rest)).toEqual(queuedIn(events.slice(place + 1)))
        }
        await expect(client.watchSession(unique('nowhere')).next()).rejects.toMatchObject({ code: 'NOT_FOUND' })
      })

      test('a page that subscribes, leaves at once and subscribes again gets each event once, and leaves nothing open', async () => {
        // A connection of HTTP is kept for other requests; what counts is that no answer is being sent.
        await using relay =
          how.transport === 'sse' ? await startPlainProxy(served().url, 'cut') : await relayOf(served())
        const client = clientOf('url' in relay ? relay.url : behind(served().url, relay.port))
        const run = await startHeld()
        const seen: RunEvent[] = []
        const subscribe = () => {
          const watch = client.watchRun(run.runId)
          const over = (async () => {
            for await (const event of watch) seen.push(event)
          })()
          return { over, leave: () => void watch.return() }
        }
        const first = subscribe()
        first.leave()
        const second = subscribe()
        await first.over
        run.door.open()
        await second.over
        expect(seen.map(brief)).toEqual(await storedEvents(served().url, run.runId))
        await expect.poll(() => relay.open, { timeout: 10_000 }).toBe(0)
        // The second comes before the first has connected, and shares what the first has begun; over SSE nothing is shared.
        if ('accepted' in relay) expect(relay.accepted).toBe(1)
      })

      test('many watches of one client are told apart', async () => {
        await using relay = await relayOf(served())
        const client = clientOf(behind(served().url, relay.port))
        const runs = await Promise.all([1, 2, 3, 4, 5].map(() => clientOf().runWorkflow(pipeline)))
        const watched = await Promise.all(runs.map(({ runId }) => all(client.watchRun(runId))))
        for (const [index, { runId }] of runs.entries()) {
          expect(watched[index]?.map(brief)).toEqual(await storedEvents(served().url, runId))
        }
        if (how.transport === 'ws') expect(relay.accepted).toBe(1)
      })
    })
  },
)
