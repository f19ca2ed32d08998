import { describe, expect, test } from 'vitest'
import { ended, finish, scripted, seqs } from './acting.ts'
import { event, type Subscribed } from './scripted.ts'
import { all } from './support.ts'

describe.each([
  ['WebSocket', 'ws'],
  ['SSE', 'sse'],
] as const)('over %s', (_name, transport) => {
  test('STEP_PROGRESS, which has the number of the event before it, is given each time', async () => {
    const { server, client } = await scripted(
      (subscription) => {
        subscription.next(event('r', 1))
        for (const data of ['one', 'two']) subscription.next(event('r', 1, { type: 'STEP_PROGRESS', id: 'p', data }))
        finish(subscription, 2)
      },
      { transport },
    )
    await using _ = server
    const watch = client.watchRun('r')
    // Each is waited for before the next has come: those who are fast get all of it.
    const events = [await watch.next(), await watch.next()].map(({ value }) => value)
    expect(events[0]).toMatchObject({ seq: 1, type: 'LOG' })
    expect(events[1]).toMatchObject({ seq: 1, type: 'STEP_PROGRESS' })
    expect(seqs(await all(watch)).filter((seq) => seq > 1)).toEqual([2, 3, 4, 5])
  })

  test('a loop that is slow is given the newest STEP_PROGRESS only, and all else', async () => {
    const sent = Promise.withResolvers<void>()
    const { server, client } = await scripted(
      (subscription) => {
        subscription.next(event('r', 1))
        for (let data = 0; data < 50; data++) {
          subscription.next(event('r', 1, { type: 'STEP_PROGRESS', id: data % 2 ? 'p' : 'q', data }))
        }
        finish(subscription, 2)
        void subscription.released.then(sent.resolve)
      },
      { transport },
    )
    await using _ = server
    const watch = client.watchRun('r')
    const { value: first } = await watch.next()
    await sent.promise
    const rest = await all(watch)
    expect([first, ...rest].map((given) => [given?.seq, given?.type === 'STEP_PROGRESS' ? given.data : null])).toEqual([
      [1, null],
      [1, 48],
      [1, 49],
      ...[2, 3, 4, 5].map((seq) => [seq, null]),
    ])
  })

  test('a loop that is slower than the server is not overrun: the connection is given up, and made anew after what came', async () => {
    const afters: unknown[] = []
    const { server, client } = await scripted(
      (subscription) => {
        const { after } = subscription.variables
        afters.push(after)
        const from = Number(after?.split(':')[1] ?? 0) + 1
        for (let seq = from; seq < from + 25 && seq <= 40; seq++) subscription.next(event('r', seq))
        if (from + 25 > 40) subscription.next(event('r', 41, { type: 'RUN_COMPLETED' }))
      },
      { transport, maxBufferedEvents: 10 },
    )
    await using _ = server
    const watch = client.watchRun('r')
    const seen = [(await watch.next()).value]
    await ended(server)
    // Nothing is asked for as long as nothing is taken.
    expect(afters).toEqual([null])
    for await (const one of watch) seen.push(one)
    expect(seen.map((one) => one?.seq)).toEqual(Array.from({ length: 41 }, (_item, index) => index + 1))
    expect(afters.length).toBeGreaterThan(2)
    expect(afters.slice(1, 2)).toEqual(['r:11'])
    expect(client.retries).toEqual([])
  })

  test('large events are bounded by their text', async () => {
    let connections = 0
    const { server, client } = await scripted(
      (subscription) => {
        connections++
        const from = Number(subscription.variables.after?.split(':')[1] ?? 0) + 1
        const data = 'x'.repeat(1_500_000)
        for (let seq = from; seq < 8; seq++) subscription.next(event('r', seq, { data }))
        subscription.next(event('r', 8, { type: 'RUN_COMPLETED' }))
      },
      { transport },
    )
    await using _ = server
    const watch = client.watchRun('r')
    const first = await watch.next()
    await ended(server)
    expect(connections).toBe(1)
    expect(first.value?.seq).toBe(1)
    expect(seqs(await all(watch))).toEqual([2, 3, 4, 5, 6, 7, 8])
    expect(connections).toBeGreaterThan(1)
  })
})

describe('a loop that keeps up but for a little', () => {
  const data = 'x'.repeat(100_000)

  /** A server that tells of run `r` what a test says, and what makes sure that it has come: connections keep the order. */
  const started = async () => {
    const given = new Map<string, Subscribed>()
    const { server, client } = await scripted(
      (subscription) => {
        given.set(subscription.variables.id, subscription)
        subscription.next(event(subscription.variables.id, 1))
      },
      { transport: 'ws' },
    )
    const [watch, other] = [client.watchRun('r'), client.watchRun('other')]
    await Promise.all([watch.next(), other.next()])
    let seq = 1
    const sent = async (...events: object[]): Promise<void> => {
      for (const one of events) given.get('r')?.next(one)
      given.get('other')?.next(event('other', ++seq))
      await other.next()
    }
    let released = false
    void given.get('r')?.released.then(() => (released = true))
    return { server, watch, sent, wasReleased: () => released }
  }

  test('is not given up for what it has taken', async () => {
    const { server, watch, sent, wasReleased } = await started()
    await using _ = server
    await sent(event('r', 2, { data }))
    for (let seq = 3; seq < 100; seq++) {
      await sent(event('r', seq, { data }))
      // One still waits.
      expect((await watch.next()).value?.seq).toBe(seq - 1)
    }
    expect(wasReleased()).toBe(false)
  })

  test('is not given up for STEP_PROGRESS that a newer one has replaced', async () => {
    const { server, watch, sent, wasReleased } = await started()
    await using _ = server
    for (let count = 0; count < 100; count++) {
      await sent(event('r', 1, { type: 'STEP_PROGRESS', id: 'p', data: `${count} ${data}` }))
    }
    await sent(event('r', 2))
    expect((await watch.next()).value?.data).toBe(`99 ${data}`)
    expect((await watch.next()).value?.seq).toBe(2)
    expect(wasReleased()).toBe(false)
  })
})
