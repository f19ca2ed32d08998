import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { isKernError } from '../../src/errors.ts'
import { settingsOf } from '../../src/server/options.ts'
import { createSeats } from '../../src/server/seats.ts'
import { type FeedServer, serveFeeds } from './fanout/feedServer.ts'
import { connect, openSse, type RawClient } from './fanout/rawClient.ts'
import { socketUrl } from './tiny.ts'

const QUERY = 'subscription { feed { seq } }'

describe('one socket', () => {
  test('has as many subscriptions as it may, and one more when another ends', async () => {
    await using served = await serveFeeds({ maxSubscriptionsPerSocket: 2 })
    const client = await connect(served.server)
    for (const id of ['a', 'b', 'c']) client.subscribe(id, { query: QUERY })
    await client.until((messages) => messages.some(({ id }) => id === 'c'))
    const message = 'The socket has 2 subscriptions: allowed are 2'
    expect(client.of('c')).toEqual([
      { id: 'c', type: 'error', payload: [{ message, extensions: { code: 'LIMIT_EXCEEDED', limit: 2 } }] },
    ])
    client.subscribe('query', { query: '{ hello }' })
    await client.until((messages) => messages.some(({ id, type }) => id === 'query' && type === 'complete'))
    await expect.poll(() => served.server.counts().subscriptions).toBe(2)
    client.complete('a')
    client.subscribe('d', { query: QUERY })
    await expect.poll(() => served.server.counts()).toMatchObject({ subscriptions: 2, groups: 1 })
    expect(client.of('d')).toEqual([])
  })

  test('has a place again as soon as one is left, also where both messages come at once', async () => {
    await using served = await serveFeeds({ maxSubscriptionsPerSocket: 1 })
    const client = await connect(served.server)
    client.subscribe('0', { query: QUERY })
    await expect.poll(() => served.server.counts().groups).toBe(1)
    // `as`: the connection below the socket, which its types leave out.
    const { _socket: connection } = client.socket as unknown as { readonly _socket: Duplex }
    for (let swap = 1; swap <= 20; swap += 1) {
      connection.cork()
      client.complete(String(swap - 1))
      client.subscribe(String(swap), { query: QUERY })
      connection.uncork()
      client.subscribe(`asked ${swap}`, { query: '{ hello }' })
      await client.until((messages) => messages.some(({ id, type }) => id === `asked ${swap}` && type === 'complete'))
    }
    expect(client.messages.filter(({ type }) => type === 'error')).toEqual([])
  })
})

describe('a server', () => {
  /** The status and the error that a socket is refused with. */
  function refusal({ server }: FeedServer): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const socket = new WebSocket(socketUrl(server), 'graphql-transport-ws')
    socket.on('unexpected-response', (_request, response) => {
      response
        .toArray()
        .then((chunks) => resolve([response.statusCode, JSON.parse(Buffer.concat(chunks).toString())]), reject)
    })
    socket.on('open', () => reject(new Error('it was accepted')))
    socket.on('error', () => undefined)
    return promise
  }

  const refused = (count: number) => ({
    errors: [
      {
        message: `${count} WebSockets and event streams are open: allowed are ${count}`,
        extensions: { code: 'LIMIT_EXCEEDED', limit: count },
      },
    ],
  })

  test('has as many WebSockets and event streams as it may, and more when others leave', async () => {
    await using served = await serveFeeds({ maxSockets: 2 })
    const socket: RawClient = await connect(served.server)
    const stream = await openSse(served.server, { query: QUERY })
    expect(await refusal(served)).toEqual([503, refused(2)])
    const late = await openSse(served.server, { query: QUERY })
    await late.ended
    expect([late.status, JSON.parse(late.text())]).toEqual([503, refused(2)])
    // Requests that do not stay are not counted.
    const answer = await fetch(`${served.server.url}/graphql?query={hello}`, {
      headers: { accept: 'text/event-stream' },
    })
    expect(await answer.text()).toContain('"hello":"world"')
    socket.socket.terminate()
    stream.request.destroy()
    await expect.poll(() => served.server.counts()).toMatchObject({ sockets: 0, sseStreams: 0, subscriptions: 0 })
    await Promise.all([connect(served.server), openSse(served.server, { query: QUERY })])
  })

  test('counts no connection whose handshake fails', async () => {
    await using served = await serveFeeds({ maxSockets: 1 })
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'bad',
    }
    for (let count = 0; count < 3; count += 1) {
      const status = await new Promise((resolve, reject) => {
        request(`${served.server.url}/graphql`, { headers }, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end()
      })
      expect(status).toBe(400)
    }
    await connect(served.server)
  })

  test('counts no event stream that was refused, or of a client that takes none', async () => {
    await using served = await serveFeeds({ maxSockets: 1 })
    const wrong = await openSse(served.server, { query: 'subscription { feed(after: "wrong") { seq } }' })
    await wrong.ended
    expect(wrong.text()).toContain('"code":"CURSOR_INVALID"')
    const json = await openSse(served.server, { query: QUERY }, 'application/json')
    await json.ended
    expect(json.status).toBe(406)
    await expect.poll(() => served.server.counts()).toMatchObject({ sseStreams: 0, subscriptions: 0, sources: 0 })
    expect((await openSse(served.server, { query: QUERY })).status).toBe(200)
  })
})

describe('one viewer', () => {
  const viewer = (userId: string | null) => ({ userId, scopes: [] })

  test('has as many sockets as it may, and takes none from others', () => {
    const seats = createSeats({ maxSockets: 10, maxSocketsPerViewer: 2 })
    const [first] = [seats.take(viewer('anna')), seats.take(viewer('anna'))]
    expect(seats.take(viewer('anna'))).toEqual({
      status: 429,
      code: 'LIMIT_EXCEEDED',
      message: 'The viewer has 2 WebSockets and event streams open: allowed are 2',
      limit: 2,
    })
    expect(seats.take(viewer('berta'))).toHaveProperty('leave')
    if ('leave' in first) {
      first.leave()
      first.leave()
    }
    expect(seats.take(viewer('anna'))).toHaveProperty('leave')
    expect(seats.take(viewer('anna'))).toHaveProperty('status', 429)
  })

  test('whom nobody has asked who they are has as many as there are', () => {
    const seats = createSeats({ maxSockets: 3, maxSocketsPerViewer: 1 })
    for (let count = 0; count < 3; count += 1) expect(seats.take(viewer(null))).toHaveProperty('leave')
    expect(seats.take(viewer(null))).toHaveProperty('status', 503)
  })
})

test.each([
  ['maxBufferedBytes', 0, '1 to 1073741824'],
  ['maxBufferedEvents', 1.5, '1 to 10000000'],
  ['stalledMs', -1, '1 to 2147483647'],
  ['maxSockets', Number.NaN, '1 to 10000000'],
  ['maxSocketsPerViewer', '20', '1 to 10000000'],
  ['maxSubscriptionsPerSocket', 0, '1 to 10000000'],
  ['pingMs', 2_147_483_648, '1 to 2147483647'],
  ['port', 65_536, '0 to 65535'],
])('%s cannot be %o: it is refused with its name, the value and what is allowed', (name, value, range) => {
  const error = (() => {
    try {
      return settingsOf({ [name]: value })
    } catch (thrown) {
      return thrown
    }
  })()
  const shown = typeof value === 'number' && Number.isNaN(value) ? 'null' : JSON.stringify(value)
  expect(isKernError(error, 'CONFIG_INVALID') && error.message).toBe(
    `${name} is ${shown}: allowed is a whole number from ${range}`,
  )
})
