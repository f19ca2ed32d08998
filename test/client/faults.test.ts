import { afterEach, describe, expect, test, vi } from 'vitest'
import { ended, finish, scripted, seqs } from './acting.ts'
import { event } from './scripted.ts'
import { all } from './support.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe.each([
  ['WebSocket', 'ws'],
  ['SSE', 'sse'],
] as const)('over %s', (_name, transport) => {
  test('what a server repeats is dropped, and a connection that is cut is resumed after the newest event', async () => {
    const afters: unknown[] = []
    const { server, client } = await scripted(
      (subscription, number) => {
        afters.push(subscription.variables.after)
        // It gives one event more each time, all of them from the first on, and the second twice.
        for (const seq of [1, 2, 2, 3, 4].slice(0, number + 2)) subscription.next(event('r', seq))
        if (number === 3) finish(subscription, 4)
        else subscription.cut()
      },
      { transport },
    )
    await using _ = server
    expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
    expect(afters).toEqual([null, 'r:2', 'r:2', 'r:3'])
    expect(client.retries.map(({ error, failures }) => [error.code, failures])).toEqual([
      ['UNAVAILABLE', 1],
      ['UNAVAILABLE', 1],
      ['UNAVAILABLE', 1],
    ])
    await ended(server)
  })

  test('a watch ends with the final event, also if nobody says that it is complete', async () => {
    const { server, client } = await scripted((subscription) => finish(subscription, 1), { transport })
    await using _ = server
    expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
    await ended(server)
  })

  test('runs of a session are told apart, a run that is queued early too, and it does not end with a run', async () => {
    const { server, client } = await scripted(
      (subscription) => {
        const given = [
          event('a', 1),
          event('b', 1),
          event('a', 2, { type: 'RUN_COMPLETED' }),
          event('b', 1),
          event('b', 2),
        ]
        for (const one of given) subscription.next(one)
        subscription.complete()
      },
      { transport },
    )
    await using _ = server
    const events = await all(client.watchSession('s'))
    expect(events.map(({ cursor }) => cursor)).toEqual(['a:1', 'b:1', 'a:2', 'b:2'])
  })

  test.each([
    'NOT_FOUND',
    'CURSOR_INVALID',
    'CURSOR_EXPIRED',
    'INPUT_INVALID',
    'FORBIDDEN',
    'LIMIT_EXCEEDED',
    'INTERNAL',
  ])('%s is final: what came before is given, then it is thrown', async (code) => {
    const { server, client } = await scripted(
      (subscription) => {
        subscription.next(event('r', 1))
        subscription.error(code)
      },
      { transport },
    )
    await using _ = server
    const watch = client.watchRun('r')
    expect((await watch.next()).value?.seq).toBe(1)
    await expect(watch.next()).rejects.toMatchObject({ code, message: 'refused' })
    expect(await watch.next()).toEqual({ done: true, value: undefined })
    expect(client.retries).toEqual([])
    await ended(server)
  })

  test.each([
    ['UNAVAILABLE', 'UNAVAILABLE', {}],
    ['a limit that says when to try again', 'LIMIT_EXCEEDED', { retryAfterMs: 20, limit: 1 }],
  ])('%s is tried again from where the watch was, also as the errors of an event', async (_what, code, extensions) => {
    const afters: unknown[] = []
    const { server, client } = await scripted(
      (subscription, number) => {
        afters.push(subscription.variables.after)
        if (number === 0) subscription.error(code, extensions)
        else if (number === 1) {
          subscription.next(event('r', 1))
          const errors = [{ message: 'later', path: ['event', 'step'], extensions: { code, ...extensions } }]
          subscription.next({ ...event('r', 2), errors })
          subscription.next(event('r', 3))
        } else finish(subscription, 2)
      },
      { transport },
    )
    await using _ = server
    expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
    expect(afters).toEqual([null, null, 'r:1'])
    expect(client.retries.map(({ error }) => error.code)).toEqual([code, code])
    if ('retryAfterMs' in extensions)
      for (const { delayMs } of client.retries) expect(delayMs).toBeGreaterThanOrEqual(20)
  })

  test('it gives up after as many failures in a row as it may, and counts anew after each event', async () => {
    const { server, client } = await scripted(
      (subscription, number) => {
        if (number === 2) subscription.next(event('r', 1))
        subscription.cut()
      },
      { transport, retries: 3 },
    )
    await using _ = server
    const watch = client.watchRun('r')
    expect((await watch.next()).value?.seq).toBe(1)
    await expect(watch.next()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(client.retries.map(({ failures }) => failures)).toEqual([1, 2, 1, 2, 3])
    expect(server.connections).toBe(6)
  })

  test('a connection that has lasted did not fail at being made, even if nothing came', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const { server, client } = await scripted(
      (subscription, number) => {
        if (number < 5) vi.setSystemTime(Date.now() + 61_000)
        subscription.cut()
      },
      { transport, retries: 2 },
    )
    await using _ = server
    await expect(client.watchRun('r').next()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(client.retries.map(({ failures }) => failures)).toEqual([1, 1, 1, 1, 1, 2])
  })

  test('retries wait longer each time, up to a limit, and differ between clients', async () => {
    const { server, client } = await scripted((subscription) => subscription.cut(), {
      transport,
      retryMs: 2,
      maxRetryMs: 16,
      retries: 12,
    })
    await using _ = server
    await expect(client.watchRun('r').next()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const delays = client.retries.map(({ delayMs }) => delayMs)
    expect(delays).toHaveLength(12)
    for (const [index, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(0)
      expect(delay).toBeLessThanOrEqual(Math.min(16, 2 ** (index + 1)))
    }
    expect(new Set(delays).size).toBeGreaterThan(6)
  })

  test('a signal that aborts between two connections ends the watch, and nothing is asked for any more', async () => {
    const { server, client } = await scripted((subscription) => subscription.cut(), {
      transport,
      retryMs: 2 ** 30,
      maxRetryMs: 2 ** 31 - 1,
    })
    await using _ = server
    const over = new AbortController()
    const next = client.watchRun('r', { signal: over.signal }).next()
    await expect.poll(() => client.retries.length).toBe(1)
    over.abort(new Error('enough'))
    await expect(next).rejects.toThrow('enough')
    expect(server.connections).toBe(1)
  })

  test('a connection that is silent for too long is given up, and resumed', async () => {
    const { server, client } = await scripted(
      {
        alive: () => false,
        subscribed: (subscription, number) => {
          if (number === 0) subscription.next(event('r', 1))
          else finish(subscription, 2)
        },
      },
      { transport, silenceMs: 60 },
    )
    await using _ = server
    expect(seqs(await all(client.watchRun('r')))).toEqual([1, 2, 3, 4, 5])
    expect(client.retries[0]?.error.message).toContain('silent')
    await ended(server)
  })

  test('what does not speak GraphQL ends the watch with BAD_RESPONSE', async () => {
    const { server, client } = await scripted(
      (subscription) => subscription.raw(transport === 'ws' ? 'hello' : 'event: next\ndata: hello\n\n'),
      { transport },
    )
    await using _ = server
    await expect(client.watchRun('r').next()).rejects.toMatchObject({ code: 'BAD_RESPONSE' })
    await ended(server)
  })
})

test('a watch that nobody iterates connects to nothing', async () => {
  const { server, client } = await scripted(() => {}, { transport: 'ws' })
  await using _ = server
  const watch = client.watchRun('r')
  expect(await watch.return()).toEqual({ done: true, value: undefined })
  expect(await watch.next()).toEqual({ done: true, value: undefined })
  expect(server.connections).toBe(0)
})
