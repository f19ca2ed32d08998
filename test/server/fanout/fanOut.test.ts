import { describe, expect, test } from 'vitest'
import { KernError } from '../../../src/errors.ts'
import { run } from './feed.ts'
import { type FeedServer, serveFeeds } from './feedServer.ts'
import { connect, type Message, openSse, type Payload, type RawClient } from './rawClient.ts'

const QUERY = 'subscription ($after: String) { feed(after: $after) { seq text cursor } }'

/** The numbers of the events that came for an operation. */
function seqs(messages: readonly Message[], id: string): unknown[] {
  return messages.flatMap((message) => {
    // What the schema of feeds gives.
    const payload = message.payload as { data?: { feed?: { seq: number }; live?: { seq: number } } } | undefined
    return message.id === id && message.type === 'next' ? [(payload?.data?.feed ?? payload?.data?.live)?.seq] : []
  })
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

async function connectMany(served: FeedServer, count: number): Promise<RawClient[]> {
  return await Promise.all(Array.from({ length: count }, () => connect(served.server)))
}

/** Resolves when so many subscriptions share so many streams. */
async function shared(served: FeedServer, counts: { subscriptions: number; groups: number }): Promise<void> {
  await expect
    .poll(() => served.server.counts(), { timeout: 15_000 })
    .toMatchObject({ ...counts, sources: counts.groups })
}

/** Subscribes over all clients, and waits until each has got an event and is in a group. */
async function gathered(
  served: FeedServer,
  clients: readonly RawClient[],
  payloads: readonly Payload[],
): Promise<void> {
  for (const [index, client] of clients.entries()) {
    const payload = payloads[index % payloads.length]
    if (payload) client.subscribe(`op-${index}`, payload)
  }
  await shared(served, { subscriptions: clients.length, groups: payloads.length })
}

const countOf = (id: string, count: number) => (messages: readonly Message[]) => seqs(messages, id).length >= count

describe('subscriptions of one document', () => {
  test('are executed once for each event, however many there are, and each gets all of it', async () => {
    await using served = await serveFeeds()
    served.feed().commit(...run(1, 3))
    const clients = await connectMany(served, 100)
    await gathered(served, clients, [{ query: QUERY }])
    expect(served.feed().count()).toBe(1)
    const before = served.executed.count
    served.feed().commit(...run(4, 13))
    await Promise.all(clients.map((client, index) => client.until(countOf(`op-${index}`, 13))))
    expect(served.executed.count - before).toBe(10)
    for (const [index, { messages, texts }] of clients.entries()) {
      expect(seqs(messages, `op-${index}`)).toEqual(upTo(13))
      expect(texts.at(-1)).toBe(
        `{"id":"op-${index}","type":"next","payload":{"data":{"feed":{"seq":13,"text":"event 13","cursor":"1.13.0"}}}}`,
      )
    }
  })

  test('are told apart by document, variables and name of the operation, not by where they begin', async () => {
    await using served = await serveFeeds()
    served.feed().commit(...run(1, 4))
    const named = `query Q { hello } subscription A { feed { seq } } subscription B { feed { seq } }`
    const other = 'subscription ($text: String, $after: String) { feed(after: $after) { seq same(text: $text) } }'
    const used = 'subscription ($after: String) { feed(after: $after) { seq same(text: $after) } }'
    const clients = await connectMany(served, 16)
    const groups: Payload[][] = [
      [{ query: QUERY }, { query: QUERY, variables: {} }, { query: QUERY, variables: { after: '1.2.0' } }],
      [
        { query: 'subscription { feed(after: "1.3.0") { seq } }' },
        { query: 'subscription { feed(after: "1.1.0") { seq } }' },
      ],
      [{ query: 'subscription { feed { seq } }' }],
      [{ query: named, operationName: 'A' }],
      [{ query: named, operationName: 'B' }],
      [
        { query: other, variables: { text: 'a' } },
        { query: other, variables: { after: '1.2.0', text: 'a' } },
      ],
      [{ query: other, variables: { text: 'b' } }],
      [{ query: used, variables: { after: '1.2.0' } }],
      [{ query: used, variables: { after: '1.3.0' } }],
    ]
    const payloads = groups.flat()
    for (const [index, payload] of payloads.entries()) clients[index]?.subscribe(`op-${index}`, payload)
    await shared(served, { subscriptions: payloads.length, groups: groups.length })
    const before = served.executed.count
    served.feed().commit(...run(5, 5))
    await Promise.all(
      payloads.map(async (_, index) => await clients[index]?.until((all) => seqs(all, `op-${index}`).at(-1) === 5)),
    )
    expect(served.executed.count - before).toBe(groups.length)
    const begins = payloads.map((_, index) => seqs(clients[index]?.messages ?? [], `op-${index}`)[0])
    expect(begins).toEqual([1, 1, 3, 4, 2, 1, 1, 1, 1, 3, 1, 3, 4])
  })

  test('have a part in the group over SSE as over WebSocket', async () => {
    await using served = await serveFeeds()
    served.feed().commit(...run(1, 2))
    const client = await connect(served.server)
    client.subscribe('a', { query: QUERY })
    const stream = await openSse(served.server, { query: QUERY })
    await shared(served, { subscriptions: 2, groups: 1 })
    const before = served.executed.count
    served.feed().commit(...run(3, 3))
    await client.until(countOf('a', 3))
    await stream.until((text) => text.includes('"seq":3'))
    expect(served.executed.count - before).toBe(1)
    const event = (seq: number) =>
      `event: next\ndata: {"data":{"feed":{"seq":${seq},"text":"event ${seq}","cursor":"1.${seq}.0"}}}\n\n`
    expect(stream.text()).toBe(`:\n\n${event(1)}${event(2)}${event(3)}`)
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    })
    served.feed().end()
    expect(await stream.ended).toBe(true)
    expect(stream.text().endsWith(`${event(3)}event: complete\ndata:\n\n`)).toBe(true)
  })

  test('are complete when the stream ends, after the last event', async () => {
    await using served = await serveFeeds()
    const clients = await connectMany(served, 20)
    await gathered(served, clients, [{ query: QUERY }])
    served.feed().commit(...run(1, 2))
    served.feed().end()
    await Promise.all(clients.map((client) => client.until((all) => all.some(({ type }) => type === 'complete'))))
    for (const [index, client] of clients.entries()) {
      expect(client.of(`op-${index}`).map(({ type }) => type)).toEqual(['next', 'next', 'complete'])
    }
    expect(served.server.counts()).toMatchObject({ subscriptions: 0, groups: 0, sources: 0 })
  })

  test.each([
    ['an expected error', new KernError('UNAVAILABLE', 'the server is closing'), 'UNAVAILABLE', 0],
    ['a fault', new Error('secret of the stream'), 'INTERNAL', 1],
  ])('are all told of %s of the stream, which is logged once if at all', async (_what, error, code, logged) => {
    await using served = await serveFeeds()
    const clients = await connectMany(served, 10)
    const stream = await openSse(served.server, { query: QUERY })
    for (const [index, client] of clients.entries()) client.subscribe(`op-${index}`, { query: QUERY })
    await shared(served, { subscriptions: 11, groups: 1 })
    served.feed().fail(error)
    await Promise.all(clients.map((client) => client.until((all) => all.some(({ type }) => type === 'error'))))
    expect(await stream.ended).toBe(true)
    expect(stream.text()).toContain(`"code":"${code}"`)
    expect(stream.text()).toMatch(/event: complete\ndata:\n\n$/)
    for (const [index, client] of clients.entries()) {
      expect(client.of(`op-${index}`)).toEqual([
        {
          id: `op-${index}`,
          type: 'error',
          payload: [expect.objectContaining({ extensions: expect.objectContaining({ code }) })],
        },
      ])
      expect(client.texts.join()).not.toContain('secret')
    }
    expect(served.lines).toHaveLength(logged)
    expect(served.server.counts()).toMatchObject({ subscriptions: 0, groups: 0, sources: 0 })
  })

  test.each([[50], [200], [65_400], [65_535], [70_000], [300_000]])(
    'get an event of %i characters whole, alone and in the group',
    async (length) => {
      await using served = await serveFeeds()
      const text = 'é'.repeat(length / 2)
      served.feed().commit(...run(1, 1, text))
      const clients = await connectMany(served, 3)
      await gathered(served, clients, [{ query: QUERY }])
      served.feed().commit(...run(2, 2, text))
      await Promise.all(clients.map((client, index) => client.until(countOf(`op-${index}`, 2))))
      const event = (seq: number) => ({ data: { feed: { seq, text: `${text} ${seq}`, cursor: `1.${seq}.0` } } })
      for (const [index, client] of clients.entries()) {
        expect(client.of(`op-${index}`).map(({ payload }) => payload)).toEqual([event(1), event(2)])
      }
    },
  )

  test('share the fault of an event, which is masked and logged once', async () => {
    await using served = await serveFeeds()
    const clients = await connectMany(served, 5)
    await gathered(served, clients, [{ query: 'subscription Ask { feed { seq fault } }' }])
    served.feed().commit(...run(1, 1))
    await Promise.all(clients.map((client, index) => client.until(countOf(`op-${index}`, 1))))
    const errorId = String(served.lines[0]?.['errorId'])
    expect(served.lines).toEqual([expect.objectContaining({ errorId, operation: 'Ask', path: 'feed.fault' })])
    for (const { texts } of clients)
      expect(texts.at(-1)).toContain(`"extensions":{"code":"INTERNAL","errorId":"${errorId}"}`)
  })
})

describe('who comes late', () => {
  test('gets what came after the cursor, alone, and is then in the group', async () => {
    await using served = await serveFeeds()
    served.feed().commit(...run(1, 400))
    const [first, late] = await connectMany(served, 2)
    first?.subscribe('a', { query: QUERY, variables: { after: '1.400.0' } })
    await shared(served, { subscriptions: 1, groups: 1 })
    late?.subscribe('b', { query: QUERY, variables: { after: '1.10.0' } })
    await late?.until(countOf('b', 390))
    await shared(served, { subscriptions: 2, groups: 1 })
    served.feed().commit(...run(401, 403))
    await late?.until(countOf('b', 393))
    expect(seqs(late?.messages ?? [], 'b')).toEqual(upTo(403).slice(10))
    await first?.until(countOf('a', 3))
    expect(seqs(first?.messages ?? [], 'a')).toEqual([401, 402, 403])
  })

  test('is given events that the group has had, without their being executed again', async () => {
    await using served = await serveFeeds()
    const [first, late] = await connectMany(served, 2)
    first?.subscribe('a', { query: QUERY })
    await shared(served, { subscriptions: 1, groups: 1 })
    served.feed().commit(...run(1, 20))
    await first?.until(countOf('a', 20))
    expect(served.executed.count).toBe(20)
    late?.subscribe('b', { query: QUERY })
    await late?.until(countOf('b', 20))
    expect(served.executed.count).toBe(20)
    expect(seqs(late?.messages ?? [], 'b')).toEqual(upTo(20))
  })
})

describe('events without an order', () => {
  test('go to all who are there, from the moment on that they came', async () => {
    await using served = await serveFeeds()
    served.feed().commit(...run(1, 3))
    const query = 'subscription { live { seq } }'
    const [first, second] = await connectMany(served, 2)
    first?.subscribe('a', { query })
    await shared(served, { subscriptions: 1, groups: 1 })
    served.feed().commit(...run(4, 4))
    await first?.until(countOf('a', 1))
    second?.subscribe('b', { query })
    await shared(served, { subscriptions: 2, groups: 1 })
    served.feed().commit(...run(5, 6))
    await Promise.all([first?.until(countOf('a', 3)), second?.until(countOf('b', 2))])
    expect([seqs(first?.messages ?? [], 'a'), seqs(second?.messages ?? [], 'b')]).toEqual([
      [4, 5, 6],
      [5, 6],
    ])
    expect(served.executed.count).toBe(3)
  })

  test('that are in no row go to all who are live, once', async () => {
    await using served = await serveFeeds()
    const clients = await connectMany(served, 3)
    served.feed().commit(...run(1, 1))
    await gathered(served, clients, [{ query: QUERY }])
    const before = served.executed.count
    served.feed().stir('half done')
    await Promise.all(clients.map((client, index) => client.until(countOf(`op-${index}`, 2))))
    expect(served.executed.count - before).toBe(1)
    for (const { texts } of clients) expect(texts.at(-1)).toContain('"text":"half done"')
  })
})

describe('who leaves', () => {
  test('takes nothing from the others, and the last one ends the stream', async () => {
    await using served = await serveFeeds()
    const clients = await connectMany(served, 3)
    const [founder, second, third] = clients
    await gathered(served, clients, [{ query: QUERY }])
    founder?.complete('op-0')
    await shared(served, { subscriptions: 2, groups: 1 })
    served.feed().commit(...run(1, 1))
    second?.socket.terminate()
    await third?.until(countOf('op-2', 1))
    await shared(served, { subscriptions: 1, groups: 1 })
    served.feed().commit(...run(2, 2))
    await third?.until(countOf('op-2', 2))
    expect(founder?.of('op-0')).toEqual([])
    third?.complete('op-2')
    await shared(served, { subscriptions: 0, groups: 0 })
    expect(served.feed().count()).toBe(0)
  })

  test('before anything was opened for it leaves nothing open', async () => {
    await using served = await serveFeeds()
    const client = await connect(served.server)
    for (let index = 0; index < 20; index += 1) {
      client.subscribe(`op-${index}`, { query: QUERY })
      client.complete(`op-${index}`)
    }
    client.subscribe('last', { query: '{ hello }' })
    await client.until((all) => all.some(({ id, type }) => id === 'last' && type === 'complete'))
    await shared(served, { subscriptions: 0, groups: 0 })
    expect(served.feed().count()).toBe(0)
  })
})

test('a refused subscription is answered with the message `error` and its code', async () => {
  await using served = await serveFeeds()
  const client = await connect(served.server)
  client.subscribe('a', { query: QUERY, variables: { after: 'wrong' } })
  await client.until((all) => all.some(({ id }) => id === 'a'))
  expect(client.of('a')).toMatchObject([{ type: 'error', payload: [{ extensions: { code: 'CURSOR_INVALID' } }] }])
  expect(served.server.counts()).toMatchObject({ subscriptions: 0, groups: 0, sources: 0 })
})
