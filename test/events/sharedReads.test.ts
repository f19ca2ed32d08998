import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { EventStreams, LiveStream, StreamedEvent } from '../../src/engine/api.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import type { Hint, Hints } from '../../src/engine/hints.ts'
import type { RunRecord } from '../../src/engine/records.ts'
import { createRegistry } from '../../src/engine/registry.ts'
import { createHub } from '../../src/events/hub.ts'
import { createEventStreams } from '../../src/events/streams.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { createChance, SEED } from '../faults/seed.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createTestClock } from '../support/kerns.ts'
import { createParts, endOf, eventOf, still, writeOf } from '../support/parts.ts'
import { watchStatements } from '../support/statements.ts'

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** Streams of a process of its own: it is told of what the test tells, and looks at rows when the test says so. */
  function createWorld() {
    let take: (hint: Hint) => void = () => undefined
    const hints: Hints = {
      tell: () => undefined,
      listen(given) {
        take = given
        return () => undefined
      },
    }
    const hub = createHub(hints)
    const clock = createTestClock(systemClock, { hold: (ms) => ms === 1_000 })
    const workflows = createRegistry([{ definition: still }])
    const streams: EventStreams = createEventStreams({ hub, clock, workflows, readerFor: createReaderFor(database.db) })
    let statements = 0
    onTestFinished(watchStatements(database, () => void (statements += 1)))
    return {
      hub,
      clock,
      streams,
      missed: () => take({ type: 'missed' }),
      /** How many statements there were since this was asked last. */
      counted() {
        const count = statements
        statements = 0
        return count
      },
    }
  }

  const { journal, start } = {
    journal: (run: RunRecord) => ({
      write: async (from: number, count: number, given: Parameters<typeof writeOf>[1] = {}) => {
        const events = Array.from({ length: count }, (_, n) => eventOf(run, from + n))
        await createParts(database).journal.write(writeOf(run, { events, ...given }))
      },
      end: async (seq: number) => {
        const events = [eventOf(run, seq, { type: 'RUN_COMPLETED' })]
        await createParts(database).journal.write(writeOf(run, { events, end: endOf(run) }))
      },
    }),
    start: () => createParts(database).start(),
  }

  const newsOf = ({ runId, sessionId, workflowId }: RunRecord) => ({ runId, sessionId, workflowId, settled: false })

  async function take(stream: LiveStream<StreamedEvent>, count: number): Promise<number[]> {
    const seqs: number[] = []
    while (seqs.length < count) {
      const { value } = await stream.next()
      if (!value) break
      seqs.push(value.seq)
    }
    return seqs
  }

  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

  describe('of a run that many follow', () => {
    test('the rows are read once for all of them, however many come back at once and from wherever', async () => {
      const { streams, counted } = createWorld()
      const chance = createChance(SEED)
      const runs = await Promise.all([start(), start(), start()])
      for (const run of runs) await journal(run).write(2, 149)
      counted()
      const clients = await Promise.all(
        Array.from({ length: 600 }, async () => {
          const { runId } = chance.one(runs)
          const seq = chance.whole(0, 150)
          const after = seq === 0 ? null : encodeEventCursor({ runId, seq })
          const stream = await streams.run(SYSTEM_VIEWER, { runId, after })
          return { seq, stream, given: await take(stream, 150 - seq) }
        }),
      )
      // One for what they may follow; then for each run what comes after the first of them, and what comes before.
      expect(counted()).toBeLessThanOrEqual(1 + 2 * runs.length)
      for (const { seq, given, stream } of clients) {
        expect(given).toEqual(range(seq + 1, 150))
        await stream.return?.()
      }
    })

    test('one read finds an event for all of them', async () => {
      const { hub, streams, counted } = createWorld()
      const run = await start()
      const clients = await Promise.all(
        Array.from({ length: 200 }, () => streams.run(SYSTEM_VIEWER, { runId: run.runId })),
      )
      for (const stream of clients) expect(await take(stream, 1)).toEqual([1])
      for (const seq of [2, 3, 4]) {
        const next = clients.map((stream) => take(stream, 1))
        await Promise.all(clients.map((stream) => stream.caughtUp()))
        await journal(run).write(seq, 1)
        counted()
        hub.publish(newsOf(run))
        expect(await Promise.all(next)).toEqual(clients.map(() => [seq]))
        expect(counted()).toBe(1)
      }
      for (const stream of clients) await stream.return?.()
    })

    test('who comes later is given what there is, whoever is slow', async () => {
      const { hub, streams } = createWorld()
      const run = await start()
      const slow = await streams.run(SYSTEM_VIEWER, { runId: run.runId })
      expect(await take(slow, 1)).toEqual([1])
      await journal(run).write(2, 700)
      hub.publish(newsOf(run))
      const after = encodeEventCursor({ runId: run.runId, seq: 650 })
      const quick = await streams.run(SYSTEM_VIEWER, { runId: run.runId, after })
      expect(await take(quick, 51)).toEqual(range(651, 701))
      const types = ['RUN_COMPLETED'] as const
      const ends = await streams.run(SYSTEM_VIEWER, { runId: run.runId, types })
      await journal(run).end(702)
      hub.publish(newsOf(run))
      expect(await take(ends, 2)).toEqual([702])
      expect(await take(quick, 2)).toEqual([702])
      expect(await take(slow, 702)).toEqual(range(2, 702))
    })

    test('values too large to be kept are given all the same', async () => {
      const { hub, streams } = createWorld()
      const run = await start()
      const clients = await Promise.all([1, 2].map(() => streams.run(SYSTEM_VIEWER, { runId: run.runId })))
      const data = 'x'.repeat(700_000)
      const events = range(2, 5).map((seq) => eventOf(run, seq, { data }))
      await createParts(database).journal.write(writeOf(run, { events }))
      hub.publish(newsOf(run))
      for (const stream of clients) expect(await take(stream, 5)).toEqual(range(1, 5))
      for (const stream of clients) await stream.return?.()
    })

    test('a stream of some types has come to the end of what there is, not only to the last of these', async () => {
      const { streams } = createWorld()
      const run = await start()
      await journal(run).write(2, 5)
      const stream = await streams.run(SYSTEM_VIEWER, { runId: run.runId, types: ['RUN_QUEUED'] })
      expect(await take(stream, 1)).toEqual([1])
      const next = stream.next()
      await stream.caughtUp()
      expect(stream.place()).toEqual({ number: 1, seq: 6, queued: 0 })
      await stream.return?.()
      await next
    })
  })

  describe('what nobody told of', () => {
    test('is looked for once a second by one statement, however many follow however many runs', async () => {
      const { clock, streams, counted } = createWorld()
      const runs = await Promise.all(Array.from({ length: 20 }, start))
      const clients = await Promise.all(
        runs.flatMap(({ runId }) => Array.from({ length: 20 }, () => streams.run(SYSTEM_VIEWER, { runId }))),
      )
      for (const stream of clients) await take(stream, 1)
      const next = clients.map((stream) => take(stream, 1))
      await Promise.all(clients.map((stream) => stream.caughtUp()))
      const [first] = runs
      counted()
      for (let looks = 1; looks <= 3; looks += 1) {
        await clock.asked(1_000)
        clock.elapse(1_000)
      }
      await clock.asked(1_000)
      expect(counted()).toBe(3)
      if (first) await journal(first).write(2, 1)
      counted()
      clock.elapse(1_000)
      expect(await Promise.all(next.slice(0, 20))).toEqual(next.slice(0, 20).map(() => [2]))
      await clock.asked(1_000)
      // The look, and one read for all who follow the run of which there was something.
      expect(counted()).toBe(2)
      for (const stream of clients) await stream.return?.()
    })

    test('is looked for at once where hints were lost, and read only where there is something', async () => {
      const { streams, counted, missed } = createWorld()
      const runs = await Promise.all(Array.from({ length: 5 }, start))
      const clients = await Promise.all(runs.map(({ runId }) => streams.run(SYSTEM_VIEWER, { runId })))
      for (const stream of clients) await take(stream, 1)
      const next = clients.map((stream) => take(stream, 1))
      await Promise.all(clients.map((stream) => stream.caughtUp()))
      const [first] = runs
      if (first) await journal(first).write(2, 1)
      counted()
      missed()
      expect(await next[0]).toEqual([2])
      expect(counted()).toBe(2)
      for (const stream of clients) await stream.return?.()
    })

    test('is looked for in all sessions by one statement', async () => {
      const { clock, streams, counted } = createWorld()
      const runs = await Promise.all(Array.from({ length: 5 }, start))
      const clients = await Promise.all(runs.map(({ sessionId }) => streams.session(SYSTEM_VIEWER, { sessionId })))
      for (const stream of clients) await take(stream, 1)
      const next = clients.map((stream) => take(stream, 1))
      await clock.asked(1_000)
      // Only now it is known how far each has come.
      clock.elapse(1_000)
      await clock.asked(1_000)
      await Promise.all(clients.map((stream) => stream.caughtUp()))
      counted()
      clock.elapse(1_000)
      await clock.asked(1_000)
      expect(counted()).toBe(1)
      const [first] = runs
      await createParts(database).start(first ? { sessionId: first.sessionId } : {})
      clock.elapse(1_000)
      expect(await next[0]).toEqual([1])
      for (const stream of clients) await stream.return?.()
    })

    test('is not looked for in a set of runs in which nothing can be', async () => {
      const { clock, hub, streams, counted, missed } = createWorld()
      const run = await start()
      counted()
      const stream = await streams.runs(SYSTEM_VIEWER, { filter: { statuses: [] } })
      const next = stream.next()
      await stream.caughtUp()
      hub.publish(newsOf(run))
      missed()
      clock.elapse(1_000)
      // Who follows something else is told by the same news: had the other read anything, it would have by then.
      const other = await streams.runs(SYSTEM_VIEWER, { filter: { sessionId: run.sessionId } })
      expect(counted()).toBe(1)
      await stream.return?.()
      expect(await next).toMatchObject({ done: true })
      await other.return?.()
    })

    test('ends the stream of a run that was deleted', async () => {
      const { clock, streams } = createWorld()
      const run = await start()
      const stream = await streams.run(SYSTEM_VIEWER, { runId: run.runId, types: ['STEP_COMPLETED'] })
      const next = stream.next()
      await stream.caughtUp()
      await journal(run).end(2)
      await createParts(database).store.deleteSession(run.sessionId)
      await clock.asked(1_000)
      clock.elapse(1_000)
      expect(await next).toMatchObject({ done: true })
    })
  })
})
