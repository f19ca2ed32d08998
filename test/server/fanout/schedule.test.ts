import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Outlet } from '../../../src/server/fanout/frame.ts'
import { createRooms, type Rooms } from '../../../src/server/fanout/rooms.ts'
import { createSubscription, type Subscription } from '../../../src/server/fanout/subscription.ts'
import { createFeed, type Feed, type FeedEvent, type Row } from './feed.ts'

/** The same numbers from 0 to 1 for the same seed. */
function numbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Some turns of the event loop, fewer than `max`. */
async function pause(random: () => number, max: number): Promise<void> {
  for (let turns = Math.floor(random() * max); turns > 0; turns -= 1) await nextTurn()
}

interface Scene {
  readonly random: () => number
  readonly feed: Feed
  readonly rooms: Rooms
  readonly executions: Map<string, number>
  /** How many frames were sent to members of groups. */
  readonly live: { count: number }
}

/** A client that comes and goes, and goes on where it was; and what it was given. */
interface Client {
  /** Resolves when it has all rows that it asked for, each once, or rejects when something is wrong. */
  run(): Promise<readonly FeedEvent[]>
}

/** Half of the clients ask for events with even numbers only: others than those of the others' group. */
function createClient({ random, feed, rooms, executions, live }: Scene, isEven: boolean): Client {
  const isWanted = (row: Row): boolean => !isEven || row.seq % 2 === 0
  const got: FeedEvent[] = []
  const key = isEven ? 'even' : 'all'
  let after: string | null = null

  const expected = () => feed.rows.filter(isWanted).length

  async function connect(until: number): Promise<boolean> {
    let isOpen = true
    let subscription: Subscription | undefined = undefined
    const take = (text: string): void => {
      if (!isOpen) throw new Error('a frame came after the end')
      const event: FeedEvent = JSON.parse(text)
      after = event.cursor
      // What is in no row has the cursor of what came before it.
      if (event.spot !== null) got.push(event)
      if (got.length >= until && isOpen) leave()
    }
    const leave = (): void => {
      isOpen = false
      void subscription?.return()
    }
    const outlet: Outlet = {
      push: ({ payload }) => {
        live.count += 1
        take(String(payload))
      },
      send: async ({ payload }) => {
        take(String(payload))
        await pause(random, 4)
      },
    }
    const stream = feed.open({ after, isWanted })
    const { room, leave: leaveRoom } = rooms.enter(key)
    subscription = createSubscription({
      stream,
      outlet,
      room,
      render: async (item) => {
        const event = `${isEven} ${JSON.stringify(item.spot)}`
        executions.set(event, (executions.get(event) ?? 0) + 1)
        await pause(random, 3)
        return { payload: Buffer.from(JSON.stringify(item)), isFaulty: false }
      },
      mask: (error) => error as never,
      onEnd: leaveRoom,
    })
    const ended = await subscription.next()
    isOpen = false
    return ended.done === true && got.length < until
  }

  return {
    async run() {
      for (;;) {
        const rest = Math.max(1, expected() - got.length)
        const wasComplete = await connect(got.length + 1 + Math.floor(random() * rest * 1.5))
        if (wasComplete) return got
        await pause(random, 6)
      }
    },
  }
}

/** Runs of a session, where later runs are queued while an earlier one goes on; committed a few at a time. */
async function commitAll({ random, feed }: Scene, runs: number, events: number): Promise<void> {
  let queued = 1
  for (let number = 1; number <= runs; number += 1) {
    for (let seq = 1; seq <= events; seq += 1) {
      if (seq > 1 || number >= queued) {
        if (seq === 1) queued = number + 1
        feed.commit({ number, seq, isLast: seq === events, text: 'in turn' })
      }
      if (queued <= runs && random() < 0.15) feed.commit({ number: queued++, seq: 1, isLast: false, text: 'early' })
      if (random() < 0.2) feed.stir('on its way')
      if (random() < 0.7) await pause(random, random() < 0.4 ? 60 : 5)
    }
  }
  feed.end()
}

const order = ({ number, seq }: Row): string => `${number}.${String(seq).padStart(4, '0')}`

/** What is wrong with what a client was given; empty if it is each row, once, in order but for what is told early. */
function faults(got: readonly FeedEvent[], feed: Feed, isEven: boolean): string[] {
  const wanted = feed.rows.filter(({ seq }) => !isEven || seq % 2 === 0)
  const isSame = [...got].map(order).toSorted().join() === [...wanted].map(order).toSorted().join()
  const inTurn = got.filter(({ seq }) => seq > 1)
  const isSorted = inTurn.every((event, index) => index === 0 || order(inTurn[index - 1] ?? event) < order(event))
  return [...(isSame ? [] : [`given ${got.map(order).join(' ')}`]), ...(isSorted ? [] : ['out of order'])]
}

async function play(
  seed: number,
): Promise<{ readonly faults: string[]; readonly executed: number; readonly given: number; readonly live: number }> {
  const random = numbers(seed)
  const feed = createFeed(random)
  const scene: Scene = { random, feed, rooms: createRooms(), executions: new Map(), live: { count: 0 } }
  const clients = Array.from({ length: 12 }, (_, index) => ({
    isEven: index % 3 === 0,
    ...createClient(scene, index % 3 === 0),
  }))
  const [transcripts] = await Promise.all([Promise.all(clients.map((client) => client.run())), commitAll(scene, 4, 25)])
  await nextTurn()
  const found = transcripts.flatMap((got, index) => faults(got, feed, clients[index]?.isEven === true))
  if (scene.rooms.groups() > 0) found.push('a group is left')
  if (feed.count() > 0) found.push(`${feed.count()} streams are left`)
  const executed = [...scene.executions.values()].reduce((sum, count) => sum + count, 0)
  return { faults: found, executed, given: transcripts.flat().length, live: scene.live.count }
}

describe('members who come, leave and come again at random moments', () => {
  test.each([[1], [2], [3], [4]])(
    'are each given every row once, in order, whatever the schedule (part %i of 4)',
    async (part) => {
      let [executed, given, live] = [0, 0, 0]
      for (let seed = part * 1_000; seed < part * 1_000 + 150; seed += 1) {
        const played = await play(seed)
        expect([seed, played.faults]).toEqual([seed, []])
        executed += played.executed
        given += played.given
        live += played.live
      }
      // The members were live, and alone, and behind: neither is rare.
      expect(live).toBeGreaterThan(given / 5)
      expect(live).toBeLessThan((given * 4) / 5)
      // Most of what is given was executed for others.
      expect(executed).toBeLessThan(given / 2)
    },
  )
})
