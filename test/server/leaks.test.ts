import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { run } from './fanout/feed.ts'
import { type FeedServer, serveFeeds } from './fanout/feedServer.ts'
import { connect, openSse } from './fanout/rawClient.ts'
import { socketUrl } from './tiny.ts'

const CYCLES = 10_000
/** How many clients come and go at the same time. */
const AT_ONCE = 25

/** Some of one group, some of groups of their own; some live, some while they read what there was. */
const queryOf = (cycle: number) => `subscription { feed(name: "${cycle % 7}") { seq text a${cycle % 40}: cursor } }`

type Cycle = (served: FeedServer, cycle: number) => Promise<void>

async function openTcp({ server }: FeedServer): Promise<Socket> {
  const socket = connectTcp(Number(new URL(server.url).port), '127.0.0.1')
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

const UPGRADE = [
  'GET /graphql HTTP/1.1',
  'Host: 127.0.0.1',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  '\r\n',
].join('\r\n')

const post = (body: string, cut = 0) =>
  [
    'POST /graphql HTTP/1.1',
    'Host: 127.0.0.1',
    'Accept: text/event-stream',
    'Content-Type: application/json',
    `Content-Length: ${body.length + cut}`,
    `\r\n${body}`,
  ].join('\r\n')

const sse = (cycle: number) => JSON.stringify({ query: queryOf(cycle) })

/** Ways to come, and to go. */
const WAYS: Readonly<Record<string, Cycle>> = {
  'cut before the handshake is over': async (served) => {
    const socket = await openTcp(served)
    socket.write(UPGRADE.slice(0, -2))
    socket.destroy()
  },
  'cut before hello': async (served) => {
    const socket = await openTcp(served)
    socket.write(UPGRADE)
    await once(socket, 'data')
    socket.destroy()
  },
  'closed before hello': async ({ server }) => {
    const socket = new WebSocket(socketUrl(server), 'graphql-transport-ws')
    await once(socket, 'open')
    socket.close()
    await once(socket, 'close')
  },
  'cut after hello': async ({ server }) => (await connect(server)).socket.terminate(),
  'cut between subscribing and the first event': async ({ server }, cycle) => {
    const client = await connect(server)
    client.subscribe('a', { query: queryOf(cycle) })
    if (cycle % 2 === 0) await nextTurn()
    client.socket.terminate()
  },
  'cut after the first event': async ({ server }, cycle) => {
    const client = await connect(server)
    client.subscribe('a', { query: queryOf(cycle) })
    client.subscribe('b', { query: queryOf(cycle + 1) })
    await client.until((messages) => messages.some(({ type }) => type === 'next'))
    client.socket.terminate()
  },
  'cut in the middle of a message': async (served) => {
    const socket = await openTcp(served)
    socket.write(UPGRADE)
    await once(socket, 'data')
    // A masked text of 100 bytes, of which ten come.
    socket.write(Buffer.from([0x81, 0xe4, 0, 0, 0, 0, ...Buffer.from('{"type":"c')]))
    socket.destroy()
  },
  'completed and closed': async ({ server }, cycle) => {
    const client = await connect(server)
    client.subscribe('a', { query: queryOf(cycle) })
    await client.until((messages) => messages.some(({ type }) => type === 'next'))
    client.complete('a')
    client.subscribe('b', { query: '{ hello }' })
    await client.until((messages) => messages.some(({ id, type }) => id === 'b' && type === 'complete'))
    client.socket.close(1000)
    await client.closed
  },
  'closed while subscribed': async ({ server }, cycle) => {
    const client = await connect(server)
    client.subscribe('a', { query: queryOf(cycle) })
    await client.until((messages) => messages.some(({ type }) => type === 'next'))
    client.socket.close()
    await client.closed
  },
  refused: async ({ server }) => {
    const client = await connect(server)
    client.subscribe('a', { query: 'subscription { feed(after: "wrong") { seq } }' })
    await client.until((messages) => messages.some(({ type }) => type === 'error'))
    client.socket.terminate()
  },
  'a stream cut in the middle of the request': async (served, cycle) => {
    const socket = await openTcp(served)
    socket.write(post(sse(cycle), 10))
    socket.destroy()
  },
  'a stream that is refused, cut before that': async (served, cycle) => {
    const socket = await openTcp(served)
    socket.write(post(JSON.stringify({ query: 'subscription { feed(after: "wrong") { seq } }' })))
    if (cycle % 2 === 0) await nextTurn()
    socket.destroy()
  },
  'a stream cut before its head': async (served, cycle) => {
    const socket = await openTcp(served)
    socket.write(post(sse(cycle)))
    if (cycle % 2 === 0) await nextTurn()
    socket.destroy()
  },
  'a stream cut after its first event': async ({ server }, cycle) => {
    const stream = await openSse(server, { query: queryOf(cycle) })
    await stream.until((text) => text.includes('event: next'))
    stream.request.destroy()
  },
}

async function comeAndGo(served: FeedServer, from: number, to: number): Promise<void> {
  const ways = Object.values(WAYS)
  let next = from
  const worker = async (): Promise<void> => {
    for (let cycle = next++; cycle < to; cycle = next++) {
      await ways[cycle % ways.length]?.(served, cycle)
      // While they come and go, something happens to those who are there.
      if (cycle % 50 === 0) served.feed(String(cycle % 7)).stir('something')
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

const NOTHING = { sockets: 0, sseStreams: 0, subscriptions: 0, groups: 0, sources: 0 }
const PATIENCE = { timeout: 30_000 }

/** What keeps the process alive, by kind. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

/** What there is when no socket is left. */
async function settled(): Promise<Record<string, number>> {
  for (;;) {
    const found = resources()
    if (found['TCPSocketWrap'] === undefined) return found
    await nextTurn()
  }
}

/** Resolves when nothing of any kind is there that was not there before. */
async function isBack(before: Readonly<Record<string, number>>): Promise<void> {
  const more = () => Object.entries(resources()).filter(([kind, count]) => count > (before[kind] ?? 0))
  while (more().length > 0) await nextTurn()
}

function createGc(): () => void {
  setFlagsFromString('--expose-gc')
  // What the flag puts into new contexts.
  return runInNewContext('gc') as () => void
}

test('ten thousand clients that come and go in every way leave nothing behind', { timeout: 240_000 }, async () => {
  const gc = createGc()
  await using served = await serveFeeds()
  for (let feed = 0; feed < 7; feed += 1) served.feed(String(feed)).commit(...run(1, 5))
  const isIdle = async (): Promise<void> => {
    await expect.poll(() => served.server.counts(), PATIENCE).toEqual(NOTHING)
    for (let feed = 0; feed < 7; feed += 1) expect(served.feed(String(feed)).count()).toBe(0)
  }
  await comeAndGo(served, 0, 1_000)
  await isIdle()
  const before = await settled()
  gc()
  const heapBefore = process.memoryUsage().heapUsed

  await comeAndGo(served, 1_000, CYCLES)
  await isIdle()
  await isBack(before)
  gc()
  // One kilobyte of each would be nine megabytes.
  expect(process.memoryUsage().heapUsed - heapBefore).toBeLessThan(3_000_000)
})
