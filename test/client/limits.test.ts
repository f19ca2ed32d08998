import { expect, test } from 'vitest'
import { createSchema } from '../../schema/index.ts'
import { createLog } from '../../src/log.ts'
import { createServer } from '../../src/server/server.ts'
import { createFlows } from '../e2e/flows.ts'
import { onEachServer } from '../support/server.ts'
import { ended, finish, scripted, seqs } from './acting.ts'
import { event } from './scripted.ts'
import { all, brief, createClient, storedEvents } from './support.ts'

const transport = 'ws'
const flows = createFlows()

onEachServer(
  () => flows,
  (served, database) => {
    test(`a server of which a connection may have three serves ten watches of a client, from ${database}`, async () => {
      const { commands, workflows, streams, readerFor, health } = served().kern
      const server = createServer({
        parts: { commands, workflows, streams, readerFor, health },
        schema: createSchema(),
        log: createLog({ level: 'silent', format: 'json' }),
        options: { port: 0, maxSubscriptionsPerSocket: 3 },
      })
      await server.listen()
      await using _ = { [Symbol.asyncDispose]: () => server.close() }
      const client = createClient({ url: `${server.url}/graphql`, transport })
      const door = flows.door('door of limits')
      const { runId } = await client.runWorkflow({ workflowId: 'held', input: { door: 'door of limits' } })
      await door.reached
      const watches = Array.from({ length: 10 }, () => client.watchRun(runId))
      // As many as are there at once: none ends before all have begun.
      const firsts = await Promise.all(watches.map((watch) => watch.next()))
      door.open()
      const rests = await Promise.all(watches.map((watch) => all(watch)))
      const stored = await storedEvents(served().url, runId)
      for (const [index, rest] of rests.entries()) {
        const given = [firsts[index]?.value, ...rest].filter((one) => one !== undefined)
        expect(given.map(brief)).toEqual(stored)
      }
      expect(client.retries).toEqual([])
    })
  },
)

test('a watch that its connection has no room for has another one, and the lower number is kept to from then on', async () => {
  let asked = 0
  const { server, client } = await scripted(
    (subscription, number) => {
      asked++
      if (number === 2) subscription.error('LIMIT_EXCEEDED', { limit: 2 })
      else subscription.next(event('r', 1))
    },
    { transport },
  )
  await using _ = server
  const watches = Array.from({ length: 6 }, () => client.watchRun('r'))
  const connections: number[] = []
  for (const watch of watches) {
    expect((await watch.next()).value?.seq).toBe(1)
    connections.push(server.connections)
  }
  expect(connections).toEqual([1, 1, 2, 2, 3, 3])
  expect([asked, client.retries]).toEqual([7, []])
  await Promise.all(watches.map((watch) => watch.return()))
  await ended(server)
})

test('a server that still counts a watch which was left refuses no other for good', async () => {
  const { server, client } = await scripted(
    (subscription, number) => {
      if (number === 2) subscription.error('LIMIT_EXCEEDED', { limit: 2 })
      else finish(subscription, 1)
    },
    { transport },
  )
  await using _ = server
  const kept = client.watchRun('r')
  const left = client.watchRun('r')
  await Promise.all([kept.next(), left.next()])
  await left.return()
  expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
  expect(server.connections).toBe(2)
})

test('a limit of the document itself is thrown, whatever its connection has, and connections have as many as before', async () => {
  const { server, client } = await scripted(
    (subscription) => {
      if (subscription.variables.id === 'deep') subscription.error('LIMIT_EXCEEDED', { limit: 2 })
      else subscription.next(event(subscription.variables.id, 1))
    },
    { transport },
  )
  await using _ = server
  const refused = { code: 'LIMIT_EXCEEDED', details: { limit: 2 } }
  await expect(client.watchRun('deep').next()).rejects.toMatchObject(refused)
  expect(server.connections).toBe(1)
  const start = async (count: number) => {
    const watches = Array.from({ length: count }, () => client.watchRun('r'))
    await Promise.all(watches.map((watch) => watch.next()))
    return watches
  }
  const before = await start(4)
  const connections = server.connections
  await expect(client.watchRun('deep').next()).rejects.toMatchObject(refused)
  expect(server.connections).toBe(connections + 1)
  await expect.poll(() => server.open).toBe(1)
  const after = await start(5)
  expect(server.open).toBe(2)
  expect(client.retries).toEqual([])
  await Promise.all([...before, ...after].map((watch) => watch.return()))
  await ended(server)
})

test('a watch that has given an event was let in: a limit that ends it later is thrown', async () => {
  const { server, client } = await scripted(
    (subscription) => {
      subscription.next(event(subscription.variables.id, 1))
      if (subscription.variables.id === 'ends') subscription.error('LIMIT_EXCEEDED', { limit: 1 })
    },
    { transport },
  )
  await using _ = server
  await client.watchRun('r').next()
  const watch = client.watchRun('ends')
  expect((await watch.next()).value?.seq).toBe(1)
  await expect(watch.next()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  expect(server.connections).toBe(1)
})

test('a limit that says when to try again is waited for, not taken for that of a connection', async () => {
  const { server, client } = await scripted(
    (subscription, number) => {
      if (number === 1) subscription.error('LIMIT_EXCEEDED', { limit: 1, retryAfterMs: 10 })
      else subscription.next(event('r', 1))
    },
    { transport },
  )
  await using _ = server
  await client.watchRun('r').next()
  await client.watchRun('r').next()
  expect([server.connections, client.retries.length]).toEqual([1, 1])
})

test('another connection that cannot be had ends the watch after the usual retries', async () => {
  const { server, client } = await scripted(
    (subscription, number) => {
      if (number === 0) subscription.next(event('r', 1))
      else if (number === 1) subscription.error('LIMIT_EXCEEDED', { limit: 1 })
      else subscription.cut()
    },
    { transport, retries: 2 },
  )
  await using _ = server
  await client.watchRun('r').next()
  await expect(client.watchRun('r').next()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(client.retries.map(({ failures }) => failures)).toEqual([1, 2])
  expect(server.open).toBe(1)
})
