import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { describe, expect, test } from 'vitest'
import { run } from './feed.ts'
import { type FeedServer, serveFeeds } from './feedServer.ts'
import { connect, type Message, openSse, type RawClient } from './rawClient.ts'

const QUERY = 'subscription ($after: String) { feed(after: $after) { seq text cursor } }'
const REASON = 'Too slow: subscribe again with after: the cursor of the last event'
/** More than the buffers of a connection on one machine hold. */
const ENOUGH = 1_000
const TEXT = 'x'.repeat(30_000)
/** Pings and timeouts that do not get in the way. */
const CALM = { pingMs: 600_000, stalledMs: 600_000, closeMs: 600_000 }

const received = (messages: readonly Message[]) => messages.filter(({ type }) => type === 'next').length

async function subscribers(served: FeedServer, count: number): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => connect(served.server)))
  for (const [index, client] of clients.entries()) client.subscribe(`op-${index}`, { query: QUERY })
  await expect
    .poll(() => served.server.counts(), { timeout: 15_000 })
    .toMatchObject({ subscriptions: count, groups: 1, sources: 1 })
  return clients
}

/** Commits one event after the other, each when the good ones have the one before, until it is enough. */
async function commitUntil(served: FeedServer, good: readonly RawClient[], isEnough: () => boolean): Promise<number> {
  const feed = served.feed()
  for (let count = 1; count <= ENOUGH; count += 1) {
    feed.commit(...run(count, count, TEXT))
    await Promise.all(good.map((client) => client.until((messages) => received(messages) >= count)))
    if (isEnough()) return count
  }
  throw new Error('it was never enough')
}

describe('a live subscriber over WebSocket that does not read', () => {
  test.each([
    ['bytes', { maxBufferedBytes: 100_000 }],
    ['events', { maxBufferedBytes: 1_000_000_000, maxBufferedEvents: 3 }],
  ])(
    'is closed with 4410 and told how to resume when too many %s wait, and the others miss nothing',
    async (_what, limits) => {
      await using served = await serveFeeds({ ...CALM, ...limits })
      const [slow, ...good] = await subscribers(served, 4)
      slow?.socket.pause()
      const count = await commitUntil(served, good, () => served.server.counts().subscriptions < 4)
      expect(served.server.counts()).toMatchObject({ subscriptions: 3, groups: 1, sources: 1 })
      slow?.socket.resume()
      expect(await slow?.closed).toEqual([4410, REASON])
      for (const client of good) expect(received(client.messages)).toBe(count)
      // What it was sent until then has no gap, and it may go on after it.
      const last = slow ? received(slow.messages) : 0
      expect(slow?.texts.at(-1)).toContain(`"cursor":"1.${last}.0"`)
      const again = await connect(served.server)
      again.subscribe('again', { query: QUERY, variables: { after: `1.${last}.0` } })
      await again.until((messages) => received(messages) === count - last)
      expect(again.texts.at(-1)).toContain(`"cursor":"1.${count}.0"`)
    },
  )

  test('is cut if it does not read why either', async () => {
    await using served = await serveFeeds({ ...CALM, closeMs: 1, maxBufferedBytes: 100_000 })
    const [slow, ...good] = await subscribers(served, 2)
    slow?.socket.pause()
    await commitUntil(served, good, () => served.server.counts().subscriptions < 2)
    await expect.poll(() => served.server.counts().sockets, { timeout: 15_000 }).toBe(1)
    slow?.socket.resume()
    expect((await slow?.closed)?.[0]).toBe(1006)
  })

  test('takes no more memory than it may', async () => {
    await using served = await serveFeeds({ ...CALM, closeMs: 1, maxBufferedBytes: 100_000 })
    const clients = await subscribers(served, 31)
    const [good, ...slow] = clients
    if (!good) throw new Error('there are 31')
    for (const { socket } of slow) socket.pause()
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    await commitUntil(served, [good], () => {
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      return served.server.counts().sockets === 1
    })
    // Thirty times the limit and a frame are 4 MB; the rest is room for what is not yet collected, and for recent frames.
    expect(most).toBeLessThan(100_000_000)
  })
})

describe('a live subscriber over SSE that does not read', () => {
  test('is cut when too much waits, and the others miss nothing', async () => {
    await using served = await serveFeeds({ ...CALM, maxBufferedBytes: 100_000 })
    const [good] = await subscribers(served, 1)
    const stream = await openSse(served.server, { query: QUERY })
    await expect.poll(() => served.server.counts().subscriptions, { timeout: 15_000 }).toBe(2)
    stream.pause()
    const count = await commitUntil(served, good ? [good] : [], () => served.server.counts().sseStreams === 0)
    expect(served.server.counts()).toMatchObject({ subscriptions: 1, groups: 1, sources: 1 })
    expect(good && received(good.messages)).toBe(count)
    stream.resume()
    expect(await stream.ended).toBe(false)
  })
})

describe('who reads a long history', () => {
  test('is served at its own pace, whatever may be buffered', async () => {
    await using served = await serveFeeds({ ...CALM, maxBufferedBytes: 1, maxBufferedEvents: 1 })
    served.feed().commit(...run(1, 300, TEXT))
    const client = await connect(served.server)
    client.subscribe('a', { query: QUERY })
    await client.until((messages) => received(messages) === 10)
    client.socket.pause()
    // Whatever is answered shows that the server goes on without it.
    const other = await connect(served.server)
    other.subscribe('b', { query: '{ hello }' })
    await other.until((messages) => received(messages) === 1)
    expect(served.server.counts().subscriptions).toBe(1)
    client.socket.resume()
    await client.until((messages) => received(messages) === 300)
  })

  test('and then nothing any more is cut after a while', async () => {
    await using served = await serveFeeds({ ...CALM, pingMs: 5, stalledMs: 10 })
    served.feed().commit(...run(1, ENOUGH, TEXT))
    const sent = request(`${served.server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    })
    sent.on('error', () => undefined)
    sent.end(JSON.stringify({ query: QUERY }))
    const [response]: IncomingMessage[] = await once(sent, 'response')
    response?.on('error', () => undefined)
    // Of what comes nothing is read.
    await expect.poll(() => served.server.counts().sseStreams, { timeout: 15_000 }).toBe(0)
    const cut = new Promise((resolve) => response?.once('close', () => resolve(response.complete)))
    response?.resume()
    expect(await cut).toBe(false)
    expect(served.server.counts()).toMatchObject({ subscriptions: 0, sources: 0 })
  })
})
