import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createClient } from 'graphql-ws'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import { isKernError } from '../../src/errors.ts'
import { post, socketUrl, startTiny, type Tiny } from './tiny.ts'

const FOREVER = JSON.stringify({ query: 'subscription { forever }' })

// Yoga pings streams every 12 seconds, and every 0.3 in tests; a ping ends waits that a server must end by itself.
vi.setConfig({ testTimeout: 10_000 })
beforeEach(() => {
  vi.stubEnv('NODE_ENV', 'production')
  return () => vi.unstubAllEnvs()
})

interface OpenSocket {
  readonly socket: WebSocket
  readonly closed: Promise<number>
}

/** Opens a socket as the protocol asks for, and subscribes to the stream that never ends. */
async function openSocket({ server, foreverWaits }: Tiny): Promise<OpenSocket> {
  const socket = new WebSocket(socketUrl(server), 'graphql-transport-ws')
  const closed = new Promise<number>((resolve) => socket.once('close', resolve))
  socket.once('open', () => socket.send(JSON.stringify({ type: 'connection_init' })))
  socket.on('message', (data) => {
    if (String(data).includes('connection_ack')) socket.send(`{"id":"1","type":"subscribe","payload":${FOREVER}}`)
  })
  await foreverWaits.opened
  return { socket, closed }
}

/** Opens the stream that never ends. Resolves when its one event has come; `rest` is what follows, up to its end. */
async function openStream({ server }: Tiny, signal?: AbortSignal): Promise<{ readonly rest: Promise<string> }> {
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
  const init = { method: 'POST', headers, body: FOREVER, ...(signal && { signal }) }
  const { body } = await fetch(`${server.url}/graphql`, init)
  const chunks = body?.pipeThrough(new TextDecoderStream()).values()
  if (!chunks) throw new Error('the answer has no body')
  let text = ''
  while (!text.includes('data: {"data":{"forever":1}}\n\n')) text += (await chunks.next()).value ?? ''
  return { rest: restOf(chunks) }
}

async function restOf(chunks: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const chunk of chunks) text += chunk
  return text
}

describe('closing the server', () => {
  test('closes WebSockets with 1001 and releases their subscriptions', async () => {
    await using tiny = await startTiny()
    const { closed } = await openSocket(tiny)
    await tiny.server.close()
    expect(await closed).toBe(1001)
    await tiny.foreverReleased.opened
  })

  test('lets clients of WebSockets come back', async () => {
    await using tiny = await startTiny()
    const { promise: retried, resolve } = Promise.withResolvers<void>()
    const client = createClient({
      url: socketUrl(tiny.server),
      webSocketImpl: WebSocket,
      retryWait: () => {
        resolve()
        return new Promise(() => {})
      },
    })
    client.subscribe({ query: 'subscription { forever }' }, { next: () => {}, error: () => {}, complete: () => {} })
    await tiny.foreverWaits.opened
    await tiny.server.close()
    await retried
  })

  test('ends streams of events without telling their clients that they are complete', async () => {
    await using tiny = await startTiny()
    const { rest } = await openStream(tiny)
    await tiny.foreverWaits.opened
    await tiny.server.close()
    expect(await rest).toBe('')
    await tiny.foreverReleased.opened
  })

  test('lets a running request end, and is not ready meanwhile', async () => {
    await using tiny = await startTiny()
    const answer = post(tiny.server, { query: '{ slow }' })
    await tiny.slowStarted.opened
    const closed = tiny.server.close()
    await expect(fetch(`${tiny.server.url}/health/live`)).rejects.toThrow('fetch failed')
    tiny.letSlowEnd.open()
    expect(await (await answer).json()).toEqual({ data: { slow: 'done' } })
    await closed
  })

  test('cuts a request that takes longer than the grace time', async () => {
    await using tiny = await startTiny({ graceMs: 1 })
    const answer = post(tiny.server, { query: '{ slow }' })
    const failed = expect(answer).rejects.toThrow('fetch failed')
    await tiny.slowStarted.opened
    await tiny.server.close()
    await failed
  })

  test('leaves nothing behind that keeps the process alive', async () => {
    const file = fileURLToPath(new URL('./closing.child.ts', import.meta.url))
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file])
    expect([stdout, stderr]).toEqual(['closed\n', ''])
  })
})

/** Opens a stream of events without end, of which nothing is read. */
async function openUnread({ server }: Tiny): Promise<ClientRequest> {
  const sent = request(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
  })
  sent.on('error', () => {})
  sent.end(JSON.stringify({ query: 'subscription { flood }' }))
  const [response]: IncomingMessage[] = await once(sent, 'response')
  response?.on('error', () => {})
  return sent
}

describe('a client that does not read its stream of events', () => {
  test('releases it by going away', async () => {
    await using tiny = await startTiny()
    const sent = await openUnread(tiny)
    sent.destroy()
    await tiny.floodReleased.opened
  })

  test('does not keep the server from closing', async () => {
    await using tiny = await startTiny({ graceMs: 1 })
    await openUnread(tiny)
    await tiny.server.close()
    await tiny.floodReleased.opened
  })
})

test('a stream of events keeps nothing of what it has sent', async () => {
  const file = fileURLToPath(new URL('./flood.child.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', file])
  expect(stdout).toMatch(/^-?\d+$/)
  // Ten thousand events of 1 KB went through. Kept, they would take twice as much.
  expect(Number(stdout)).toBeLessThan(10_000_000)
})

describe('a client that goes away', () => {
  test('releases its subscription over WebSocket, however it goes', async () => {
    await using tiny = await startTiny()
    const { socket } = await openSocket(tiny)
    socket.terminate()
    await tiny.foreverReleased.opened
  })

  test('releases its stream of events', async () => {
    await using tiny = await startTiny()
    const gone = new AbortController()
    const { rest } = await openStream(tiny, gone.signal)
    await tiny.foreverWaits.opened
    gone.abort()
    await expect(rest).rejects.toThrow('aborted')
    await tiny.foreverReleased.opened
  })
})

describe('a WebSocket is refused', () => {
  /** The status and the error that a socket is refused with; null if it is accepted. */
  async function refusal(tiny: Tiny, path: string, options: ClientOptions = {}): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const socket = new WebSocket(tiny.server.url.replace('http', 'ws') + path, 'graphql-transport-ws', options)
    socket.on('unexpected-response', (_request, response) => {
      response.toArray().then((chunks) => {
        const [{ message, extensions }] = JSON.parse(Buffer.concat(chunks).toString()).errors
        resolve([response.statusCode, extensions.code, message])
      }, reject)
    })
    socket.on('open', () => socket.send(JSON.stringify({ type: 'connection_init' })))
    socket.on('message', () => resolve(null))
    socket.on('error', reject)
    const outcome = await promise
    socket.on('error', () => {})
    socket.terminate()
    return outcome
  }

  test('at any path but that of GraphQL', async () => {
    await using tiny = await startTiny()
    const message = 'There is nothing at "/other": GraphQL is at /graphql'
    expect(await refusal(tiny, '/other')).toEqual([404, 'NOT_FOUND', message])
  })

  test('for a page of another origin, unless it is named', async () => {
    await using tiny = await startTiny({ allowedOrigins: ['https://example.com'] })
    for (const origin of ['https://evil.example', 'null', `${tiny.server.url}.evil.example`]) {
      const message = `The origin is "${origin}": allowed are that of this server, https://example.com`
      expect(await refusal(tiny, '/graphql', { origin })).toEqual([403, 'FORBIDDEN', message])
    }
    expect(await refusal(tiny, '/graphql', { origin: 'https://example.com' })).toBeNull()
    expect(await refusal(tiny, '/graphql', { origin: tiny.server.url })).toBeNull()
  })

  test('on a loopback address for every host that is another machine for others', async () => {
    await using tiny = await startTiny()
    // A page whose name was made to lead here is of the origin that its host says.
    const page = { headers: { host: 'evil.example:4000' }, origin: 'http://evil.example:4000' }
    const message = 'The host is "evil.example:4000": allowed are localhost, 127.0.0.1, [::1], with any port'
    expect(await refusal(tiny, '/graphql', page)).toEqual([403, 'FORBIDDEN', message])
    expect(await refusal(tiny, '/graphql', { headers: { host: 'localhost:1' } })).toBeNull()
    await using open = await startTiny({ host: '0.0.0.0' })
    expect(await refusal(open, '/graphql', page)).toBeNull()
  })

  test('that does not say hello in time, with 4408', async () => {
    await using tiny = await startTiny({ initTimeoutMs: 1 })
    const socket = new WebSocket(socketUrl(tiny.server), 'graphql-transport-ws')
    expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(4408)
  })

  test('that asks before it said hello, with 4401', async () => {
    await using tiny = await startTiny()
    const socket = new WebSocket(socketUrl(tiny.server), 'graphql-transport-ws')
    socket.once('open', () => socket.send(`{"id":"1","type":"subscribe","payload":${FOREVER}}`))
    expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(4401)
  })

  test('whose message is larger than the limit, with 1009', async () => {
    await using tiny = await startTiny({ maxMessageBytes: 100 })
    const socket = new WebSocket(socketUrl(tiny.server), 'graphql-transport-ws')
    socket.once('open', () => socket.send('x'.repeat(101)))
    expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(1009)
  })

  test('that no longer answers pings is cut', async () => {
    await using tiny = await startTiny({ pingMs: 5 })
    const socket = new WebSocket(socketUrl(tiny.server), 'graphql-transport-ws', { autoPong: false })
    expect(await new Promise((resolve) => socket.once('close', resolve))).toBe(1006)
  })
})

test('a port that is in use is refused with its number and what to do', async () => {
  const other = createTcpServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => other.once('listening', resolve))
  const address = other.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const error = await startTiny({ port }).then(
    () => null,
    (thrown: unknown) => thrown,
  )
  expect(isKernError(error, 'CONFIG_INVALID') && error.message).toContain(
    `port ${port} on 127.0.0.1 is in use by another process`,
  )
  other.close()
})
