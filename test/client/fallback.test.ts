import { openAsBlob } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, test, vi } from 'vitest'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createFlows } from '../e2e/flows.ts'
import { startProxy } from '../support/proxy.ts'
import { serve, type Served } from '../support/server.ts'
import { all, behind, type Blocking, brief, createClient, startPlainProxy, storedEvents } from './support.ts'

const flows = createFlows()
let database: Database
let served: Served

beforeAll(async () => {
  database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
  served = await serve(database, flows)
})

afterAll(async () => {
  await served.close()
  await database.close()
})

let names = 0

async function startHeld() {
  const name = `door behind a proxy ${++names}`
  const door = flows.door(name)
  const client = createClient({ url: served.url })
  const run = await client.runWorkflow({ workflowId: 'held', input: { door: name } })
  await door.reached
  return { ...run, door }
}

describe('where a proxy lets no WebSocket through', () => {
  test.each(['refuse', 'swallow', 'cut'] as const satisfies Blocking[])(
    'and does %s it, a run is followed over SSE',
    async (blocking) => {
      await using proxy = await startPlainProxy(served.url, blocking)
      const client = createClient({ url: proxy.url, openTimeoutMs: 500 })
      const run = await startHeld()
      const events = all(client.watchRun(run.runId))
      await expect.poll(() => proxy.open, { timeout: 10_000 }).toBe(1)
      run.door.open()
      const stored = (await events).map(brief)
      expect(stored).toEqual(await storedEvents(served.url, run.runId))
      const { upgrades } = proxy
      expect(upgrades).toBeGreaterThanOrEqual(2)
      expect(client.retries).toHaveLength(upgrades)
      // What was found out holds for all watches of the client.
      expect((await all(client.watchRun(run.runId))).map(brief)).toEqual(stored)
      expect(proxy.upgrades).toBe(upgrades)
      await expect.poll(() => proxy.open, { timeout: 10_000 }).toBe(0)
    },
  )

  test('WebSockets are tried again after five minutes, and used if they open', async () => {
    await using proxy = await startPlainProxy(served.url, 'refuse')
    const client = createClient({ url: proxy.url })
    const { runId } = await client.runWorkflow({ workflowId: 'pipeline', input: { topic: 'tea' } })
    const watch = async (): Promise<number> => {
      expect((await all(client.watchRun(runId))).at(-1)?.type).toBe('RUN_COMPLETED')
      return proxy.upgrades
    }
    expect(await watch()).toBe(2)
    vi.useFakeTimers({ toFake: ['Date'] })
    try {
      vi.setSystemTime(Date.now() + 300_001)
      // One that is refused is enough to go back.
      expect(await watch()).toBe(3)
      expect(await watch()).toBe(3)
      proxy.allow(true)
      vi.setSystemTime(Date.now() + 300_001)
      const { requests } = proxy
      expect(await watch()).toBe(4)
      expect(proxy.requests).toBe(requests)
    } finally {
      vi.useRealTimers()
    }
  })

  test('one that is asked for WebSockets only goes on trying', async () => {
    await using proxy = await startPlainProxy(served.url, 'refuse')
    const client = createClient({ url: proxy.url, transport: 'ws' })
    const run = await startHeld()
    const events = all(client.watchRun(run.runId))
    await expect.poll(() => client.retries.length, { timeout: 10_000 }).toBeGreaterThan(3)
    proxy.allow(true)
    run.door.open()
    expect((await events).map(brief)).toEqual(await storedEvents(served.url, run.runId))
    expect(proxy.requests).toBe(0)
  })
})

test('a server that is away is not taken for one without WebSockets', async () => {
  await using relay = await startProxy({ host: '127.0.0.1', port: Number(new URL(served.url).port) })
  const url = behind(served.url, relay.port)
  const requests: string[] = []
  const client = createClient({
    url,
    fetch: (input, init) => {
      requests.push(new Headers(init?.headers).get('accept') ?? '')
      return fetch(input, init)
    },
  })
  relay.refuse(true)
  const run = await startHeld()
  const events = all(client.watchRun(run.runId))
  await expect.poll(() => client.retries.length, { timeout: 10_000 }).toBeGreaterThan(4)
  relay.refuse(false)
  run.door.open()
  expect((await events).map(brief)).toEqual(await storedEvents(served.url, run.runId))
  // It was asked over HTTP whether it is there, and for no stream.
  expect(requests.length).toBeGreaterThan(3)
  expect(requests).not.toContain('text/event-stream')
})

test('a WebSocket that opens again forgets what failed before', async () => {
  await using proxy = await startPlainProxy(served.url, 'refuse')
  let retries = 0
  const client = createClient({ url: proxy.url, onRetry: () => proxy.allow(++retries !== 2) })
  const run = await startHeld()
  const watch = client.watchRun(run.runId)
  await watch.next()
  expect(proxy.upgrades).toBe(2)
  const { requests } = proxy
  // Cut once it was open, and refused once more: two in all, but not in a row.
  proxy.reset()
  run.door.open()
  const events = await all(watch)
  expect(events.at(-1)?.type).toBe('RUN_COMPLETED')
  expect([proxy.upgrades, retries]).toEqual([4, 3])
  // It was asked once over HTTP whether the server is there.
  expect(proxy.requests).toBe(requests + 1)
})

test('without a WebSocket in the program, events come over SSE', async () => {
  const { WebSocket } = globalThis
  Reflect.deleteProperty(globalThis, 'WebSocket')
  try {
    await using proxy = await startPlainProxy(served.url, 'refuse')
    const client = createClient({ url: proxy.url })
    const { runId } = await client.runWorkflow({ workflowId: 'pipeline', input: { topic: 'tea' } })
    expect((await all(client.watchRun(runId))).at(-1)?.type).toBe('RUN_COMPLETED')
    expect([proxy.upgrades, client.retries]).toEqual([0, []])
    expect(() => createClient({ url: proxy.url, transport: 'ws' })).toThrow('webSocket is not given')
  } finally {
    globalThis.WebSocket = WebSocket
  }
})

test('a page whose sockets are refused for their origin is told so by SSE, and not kept waiting', async () => {
  const run = await startHeld()
  const client = createClient({ url: served.url.replace('127.0.0.1', '[::ffff:127.0.0.1]'), transport: 'auto' })
  await expect(client.watchRun(run.runId).next()).rejects.toMatchObject({ code: 'FORBIDDEN' })
  run.door.open()
})
