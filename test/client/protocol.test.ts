import { describe, expect, test } from 'vitest'
import type { RunEvent, Watch } from '../../src/client/index.ts'
import { ended, finish, scripted, seqs } from './acting.ts'
import { event, startScripted } from './scripted.ts'
import { all, createClient } from './support.ts'

describe('over WebSocket', () => {
  const transport = 'ws'

  test.each([1000, 1001, 1011, 1012, 1013, 4408, 4410, 4500])('close %d is resumed', async (code) => {
    const { server, client } = await scripted(
      (subscription, number) => {
        if (number > 0) return finish(subscription, 2)
        subscription.next(event('r', 1))
        subscription.cut(code)
      },
      { transport },
    )
    await using _ = server
    expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
    expect(client.retries[0]?.error.message).toContain(String(code))
  })

  test.each([
    [1002, 'BAD_RESPONSE'],
    [1009, 'BAD_RESPONSE'],
    [4400, 'BAD_RESPONSE'],
    [4401, 'FORBIDDEN'],
    [4403, 'FORBIDDEN'],
    [4406, 'BAD_RESPONSE'],
  ])('close %d is final: another connection would be closed the same way', async (code, thrown) => {
    const { server, client } = await scripted((subscription) => subscription.cut(code), { transport })
    await using _ = server
    await expect(client.watchRun('r').next()).rejects.toMatchObject({ code: thrown })
    expect(server.connections).toBe(1)
  })

  test('a server that answers pings is not taken for dead, and its own are answered', async () => {
    let told: (() => void) | undefined
    const { server, client } = await scripted(
      (subscription) => {
        subscription.raw('{"type":"ping"}')
        told = () => finish(subscription, 1)
      },
      { transport, silenceMs: 60 },
    )
    await using _ = server
    const events = all(client.watchRun('r'))
    await expect.poll(() => server.heard.filter((type) => type === 'ping').length).toBeGreaterThan(3)
    told?.()
    expect(seqs(await events)).toEqual([1, 2, 3, 4, 5])
    expect(server.heard).toContain('pong')
    expect(client.retries).toEqual([])
  })

  test('a hello that is not answered in time is given up', async () => {
    let greetings = 0
    const { server, client } = await scripted(
      {
        greeted: (socket) => {
          if (++greetings > 1) socket.send('{"type":"connection_ack"}')
        },
        subscribed: (subscription) => finish(subscription, 1),
      },
      { transport, openTimeoutMs: 100 },
    )
    await using _ = server
    expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
    expect(client.retries[0]?.error.message).toContain('in time')
  })

  test('each hello has the parameters of that moment', async () => {
    const params: unknown[] = []
    let token = 0
    const { server, client } = await scripted(
      {
        greeted: (socket, given) => {
          params.push(given)
          socket.send('{"type":"connection_ack"}')
        },
        subscribed: (subscription, number) => (number === 0 ? subscription.cut() : finish(subscription, 1)),
      },
      { transport, connectionParams: async () => ({ token: ++token }) },
    )
    await using _ = server
    await all(client.watchRun('r'))
    expect(params).toEqual([{ token: 1 }, { token: 2 }])
  })

  test('fifty watches share a connection, and the next one has another', async () => {
    const { server, client } = await scripted((subscription) => subscription.next(event('r', 1)), { transport })
    await using _ = server
    const watches: Watch<RunEvent>[] = Array.from({ length: 51 }, () => client.watchRun('r'))
    await Promise.all(watches.map((watch) => watch.next()))
    expect(server.connections).toBe(2)
    await Promise.all(watches.map((watch) => watch.return()))
    await ended(server)
  })

  test('a connection that nobody needs is kept for a moment, for who comes back at once', async () => {
    const { server, client } = await scripted((subscription) => subscription.next(event('r', 1)), { transport })
    await using _ = server
    for (let visit = 0; visit < 3; visit++) {
      const watch = client.watchRun('r')
      expect((await watch.next()).value?.seq).toBe(1)
      await watch.return()
    }
    expect(server.connections).toBe(1)
    await ended(server)
    expect((await client.watchRun('r').next()).value?.seq).toBe(1)
    expect(server.connections).toBe(2)
  })

  test('a watch that is left is said to be complete, and the connection goes on for the others', async () => {
    const released: string[] = []
    const { server, client } = await scripted(
      (subscription) => {
        subscription.next(event(subscription.variables.id, 1))
        void subscription.released.then(() => released.push(subscription.variables.id))
      },
      { transport },
    )
    await using _ = server
    const [one, other] = [client.watchRun('one'), client.watchRun('other')]
    await Promise.all([one.next(), other.next()])
    await one.return()
    await expect.poll(() => released).toEqual(['one'])
    expect([server.open, server.heard]).toEqual([1, ['connection_init', 'complete']])
    await other.return()
    await ended(server)
  })
})

describe('over SSE', () => {
  const transport = 'sse'

  test('a stream is read whatever pieces it comes in, with comments, other line ends, and text that looks like lines', async () => {
    const data = 'a\u2028b\u2029c\u0085d 🙂 \n event: complete'
    const text = [
      ':\n\n: ping\n\n',
      `event: next\r\ndata: ${JSON.stringify(event('r', 1, { data }))}\r\n\r\n`,
      `id: 7\nretry: 10\nevent:next\ndata:{"data":\ndata:${JSON.stringify(event('r', 2)).slice('{"data":'.length)}\n\n`,
      'event: other\ndata: nothing\n\n',
      `event: next\ndata: ${JSON.stringify(event('r', 3, { type: 'RUN_COMPLETED' }))}\n\n`,
    ].join('')
    const client = createClient({
      url: 'http://localhost/graphql',
      transport,
      // A piece for each byte: no server can be made to send so.
      fetch: async () => {
        const bytes = new TextEncoder().encode(text)
        const body = new ReadableStream({
          start: (stream) => {
            for (const byte of bytes) stream.enqueue(new Uint8Array([byte]))
          },
        })
        return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
      },
    })
    const events = await all(client.watchRun('r'))
    expect(events.map(({ seq, data: given }) => [seq, given])).toEqual([
      [1, data],
      [2, null],
      [3, null],
    ])
  })

  test('each request has the headers of that moment', async () => {
    const seen: unknown[] = []
    let token = 0
    const server = await startScripted({
      subscribed: (subscription, number) => (number === 0 ? subscription.cut() : finish(subscription, 1)),
    })
    await using _ = server
    const client = createClient({
      url: server.url,
      transport,
      retryMs: 5,
      headers: () => ({ authorization: `Bearer ${++token}` }),
      fetch: (input, init) => {
        seen.push(new Headers(init?.headers).get('authorization'))
        return fetch(input, init)
      },
    })
    await all(client.watchRun('r'))
    expect(seen).toEqual(['Bearer 1', 'Bearer 2'])
  })
})
