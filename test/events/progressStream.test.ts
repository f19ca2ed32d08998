import { beforeAll, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { EventStreams } from '../../src/engine/api.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import type { ReaderFor } from '../../src/engine/reader.ts'
import type { EventRecord, RunEventType, RunRecord } from '../../src/engine/records.ts'
import { createRegistry } from '../../src/engine/registry.ts'
import type { Json } from '../../src/json.ts'
import { createHub } from '../../src/events/hub.ts'
import { createEventStreams } from '../../src/events/streams.ts'
import { createJournal } from '../../src/store/journal.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { advance } from '../../src/store/turns.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createTestClock } from '../support/kerns.ts'
import { createParts, endOf, eventOf, still, writeOf } from '../support/parts.ts'

/** An event in short: its type, path, `seq`, and data where it is progress. */
const line = ({ type, stepPath, seq, data }: EventRecord): string =>
  [type, stepPath, seq, type === 'STEP_PROGRESS' ? JSON.stringify(data) : null]
    .filter((part) => part !== null)
    .join(' ')

/** The next events of a stream; fewer if it ends. */
async function next(stream: AsyncIterator<EventRecord>, count: number): Promise<string[]> {
  const lines: string[] = []
  while (lines.length < count) {
    const { done, value } = await stream.next()
    if (done) return [...lines, 'end']
    lines.push(line(value))
  }
  return lines
}

async function nextOf<Event>(stream: AsyncIterator<Event, undefined>): Promise<Event> {
  const { done, value } = await stream.next()
  if (done) throw new Error('the stream is over')
  return value
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  const hub = createHub()

  /** Commits of a run that nothing executes, and its progress, as a test tells them. */
  function tellerOf(run: RunRecord) {
    const { runId, sessionId, workflowId, number } = run
    const journal = createJournal({
      flushes: database.db,
      random: () => 0.5,
      closing: new AbortController().signal,
      db: database.db,
      advance: (id) => advance(database.db, id),
      clock: { now: () => new Date(), sleep: async () => undefined },
    })
    let seq = run.lastSeq
    const write = async (events: readonly [RunEventType, string?][], given: Parameters<typeof writeOf>[1] = {}) => {
      const records = events.map(([type, stepPath = null]) => {
        seq += 1
        return eventOf(run, seq, { type, stepPath, data: undefined })
      })
      await journal.write(writeOf(run, { events: records, ...given }))
    }
    const publish = (settled = false) => hub.publish({ runId, sessionId, workflowId, settled })
    return {
      write,
      publish,
      async commit(...events: [RunEventType, string?][]) {
        await write(events)
        publish()
      },
      async end() {
        await write([['RUN_COMPLETED']], { end: endOf(run) })
        publish(true)
      },
      progress(path: string, partialOutput: Json | undefined, at = seq) {
        hub.progress({ runId, path, sessionId, workflowId, number, seq: at, at: new Date(), partialOutput })
      },
    }
  }

  interface Given {
    readonly clock?: Clock
    readonly readerFor?: ReaderFor
  }

  const streamsOf = ({ clock = systemClock, readerFor = createReaderFor(database.db) }: Given = {}): EventStreams =>
    createEventStreams({ hub, clock, readerFor, workflows: createRegistry([{ definition: still }]) })

  /** A run with one step that is under way, and a stream of it that has come so far. */
  async function started(given: Given & { types?: RunEventType[] } = {}) {
    const run = await createParts(database).start()
    const teller = tellerOf(run)
    const stream = await streamsOf(given).run(SYSTEM_VIEWER, { runId: run.runId, types: given.types })
    await teller.commit(['STEP_STARTED', 'one'])
    return { run, ...teller, stream }
  }

  const BEGINNING = ['RUN_QUEUED 1', 'STEP_STARTED one 2']

  describe('the stream of a run', () => {
    test('gives progress between the start and the end of its step, at the place of the event before it', async () => {
      const { run, stream, progress, commit, end } = await started()
      expect(await next(stream, 2)).toEqual(BEGINNING)
      progress('one', { text: 'so' })
      const { value } = await stream.next()
      expect(value).toMatchObject({ runId: run.runId, seq: 2, type: 'STEP_PROGRESS', data: { text: 'so' } })
      progress('one', { text: 'so far' })
      expect(await next(stream, 1)).toEqual(['STEP_PROGRESS one 2 {"text":"so far"}'])
      await commit(['LOG', 'one'])
      expect(await next(stream, 1)).toEqual(['LOG one 3'])
      progress('one', null)
      expect(await next(stream, 1)).toEqual(['STEP_PROGRESS one 3 null'])
      await commit(['STEP_COMPLETED', 'one'])
      await end()
      expect(await next(stream, 3)).toEqual(['STEP_COMPLETED one 4', 'RUN_COMPLETED 5', 'end'])
    })

    test('gives progress at once to one who waits for it', async () => {
      const clock = createTestClock(systemClock, { hold: (ms) => ms === 1_000 })
      const { stream, progress, end } = await started({ clock })
      await next(stream, 2)
      const waiting = next(stream, 1)
      // It has looked at the rows, and would look again only after this time.
      await clock.asked(1_000)
      progress('one', 1)
      expect(await waiting).toEqual(['STEP_PROGRESS one 2 1'])
      await end()
    })

    test('gives no progress before the start of its step, however early it comes', async () => {
      const run = await createParts(database).start()
      const { commit, progress, end } = tellerOf(run)
      const stream = await streamsOf().run(SYSTEM_VIEWER, { runId: run.runId })
      expect(await next(stream, 1)).toEqual(['RUN_QUEUED 1'])
      const rest = next(stream, 2)
      // Its step is not recorded yet.
      progress('one', 'early', 2)
      await commit(['STEP_STARTED', 'one'])
      expect(await rest).toEqual(['STEP_STARTED one 2', 'STEP_PROGRESS one 2 "early"'])
      await end()
    })

    test('gives no progress after the end of its step', async () => {
      const { stream, progress, write, publish, end } = await started()
      await next(stream, 2)
      await write([
        ['STEP_COMPLETED', 'one'],
        ['STEP_STARTED', 'two'],
      ])
      // Told before the end is read, and after: neither may come behind it.
      progress('one', 'before', 2)
      expect(await next(stream, 1)).toEqual(['STEP_PROGRESS one 2 "before"'])
      progress('one', 'just before', 2)
      publish()
      expect(await next(stream, 2)).toEqual(['STEP_COMPLETED one 3', 'STEP_STARTED two 4'])
      progress('one', 'late')
      progress('two', 'on')
      expect(await next(stream, 1)).toEqual(['STEP_PROGRESS two 4 "on"'])
      await end()
      expect(await next(stream, 2)).toEqual(['RUN_COMPLETED 5', 'end'])
    })

    test('gives progress of the next attempt only behind the start of that', async () => {
      const { stream, progress, commit, end } = await started()
      await next(stream, 2)
      progress('one', undefined)
      progress('one', 'second', 4)
      await commit(['STEP_RETRYING', 'one'], ['STEP_STARTED', 'one'])
      expect(await next(stream, 3)).toEqual([
        'STEP_RETRYING one 3',
        'STEP_STARTED one 4',
        'STEP_PROGRESS one 4 "second"',
      ])
      await end()
    })

    test('drops what waits when the step has no partial output any more', async () => {
      const { stream, progress, end } = await started()
      await next(stream, 2)
      progress('one', 'gone')
      progress('one', undefined)
      await end()
      expect(await next(stream, 2)).toEqual(['RUN_COMPLETED 3', 'end'])
    })

    test('gives a slow reader the newest of each step, and nothing of what came before it', async () => {
      const { stream, progress, commit, end } = await started()
      await commit(['STEP_STARTED', 'two'])
      expect(await next(stream, 3)).toEqual([...BEGINNING, 'STEP_STARTED two 3'])
      for (let n = 1; n <= 1_000; n += 1) {
        progress('one', n)
        progress('two', -n)
      }
      expect(await next(stream, 2)).toEqual(['STEP_PROGRESS one 3 1000', 'STEP_PROGRESS two 3 -1000'])
      await end()
      expect(await next(stream, 2)).toEqual(['RUN_COMPLETED 4', 'end'])
    })

    test('gives progress alone where that is asked for, and ends with the run all the same', async () => {
      const { run, stream, progress, commit, end } = await started({ types: ['STEP_PROGRESS'] })
      const first = next(stream, 1)
      // Whether the stream has come to the step or not, it gives what that has put out.
      progress('one', 1)
      expect(await first).toEqual(['STEP_PROGRESS one 2 1'])
      await commit(['LOG', 'one'], ['CUSTOM', 'one'])
      progress('one', 2)
      expect(await next(stream, 1)).toEqual(['STEP_PROGRESS one 4 2'])
      await commit(['STEP_COMPLETED', 'one'])
      await end()
      expect(await next(stream, 1)).toEqual(['end'])
      const late = await streamsOf().run(SYSTEM_VIEWER, { runId: run.runId, types: ['STEP_PROGRESS'] })
      expect(await next(late, 1)).toEqual(['end'])
    })

    test('gives no progress where other types are asked for', async () => {
      const { stream, progress, commit, end } = await started({ types: ['STEP_COMPLETED', 'LOG'] })
      await commit(['LOG', 'one'])
      expect(await next(stream, 1)).toEqual(['LOG one 3'])
      progress('one', 'not asked for')
      await commit(['STEP_COMPLETED', 'one'])
      await end()
      expect(await next(stream, 2)).toEqual(['STEP_COMPLETED one 4', 'end'])
    })

    test('gives other types beside progress, and nothing else', async () => {
      const { stream, progress, commit, end } = await started({ types: ['STEP_COMPLETED', 'STEP_PROGRESS'] })
      await commit(['LOG', 'one'])
      progress('one', 'on')
      expect(await next(stream, 1)).toEqual(['STEP_PROGRESS one 3 "on"'])
      await commit(['LOG', 'one'], ['STEP_COMPLETED', 'one'])
      await end()
      expect(await next(stream, 2)).toEqual(['STEP_COMPLETED one 5', 'end'])
    })

    test('that resumes from the cursor of progress leaves nothing out', async () => {
      const { run, stream, progress, write, publish, end } = await started()
      await next(stream, 2)
      // Two events are committed, and progress was made before and after them, but the stream has not come to them.
      await write([
        ['LOG', 'one'],
        ['CUSTOM', 'one'],
      ])
      progress('one', 'so', 2)
      progress('one', 'on', 4)
      const value = await nextOf(stream)
      expect(line(value)).toBe('STEP_PROGRESS one 2 "on"')
      publish()
      progress('one', 'further', 4)
      await stream.return?.()
      const after = encodeEventCursor(value.resume)
      const resumed = await streamsOf().run(SYSTEM_VIEWER, { runId: run.runId, after })
      expect(await next(resumed, 2)).toEqual(['LOG one 3', 'CUSTOM one 4'])
      // The step began before the cursor.
      progress('one', 'on and on', 4)
      expect(await next(resumed, 1)).toEqual(['STEP_PROGRESS one 4 "on and on"'])
      await end()
      expect(await next(resumed, 2)).toEqual(['RUN_COMPLETED 5', 'end'])
    })

    test('gives progress also in a run so busy that there is always something to read', async () => {
      let reads = 0
      const readerFor: ReaderFor = (viewer) => {
        const reader = createReaderFor(database.db)(viewer)
        return {
          ...reader,
          events: async (runId, query) => {
            const found = await reader.events(runId, query)
            reads += 1
            if (reads < 100) publish()
            return found
          },
        }
      }
      const { stream, progress, publish, end } = await started({ readerFor })
      await next(stream, 2)
      for (const n of [1, 2]) {
        progress('one', n)
        expect(await next(stream, 1)).toEqual([`STEP_PROGRESS one 2 ${n}`])
      }
      expect(reads).toBeLessThan(100)
      await end()
      expect(await next(stream, 2)).toEqual(['RUN_COMPLETED 3', 'end'])
    })

    test('does not let progress hold up what there is to read', async () => {
      const { stream, progress, write, end } = await started()
      await write(Array.from({ length: 450 }, () => ['LOG', 'one']))
      await end()
      const lines: string[] = []
      while (lines.length < 1_000) {
        progress('one', lines.length, 2)
        const { done, value } = await stream.next()
        if (done) break
        lines.push(line(value))
      }
      const events = lines.filter((text) => !text.startsWith('STEP_PROGRESS'))
      expect(events).toHaveLength(453)
      // One between two reads of 200.
      expect(lines.length - events.length).toBe(2)
    })

    test('looks for what other processes wrote as often as ever while progress flows', async () => {
      const clock = createTestClock(systemClock, { hold: (ms) => ms === 1_000 })
      const { stream, progress, write, end } = await started({ clock })
      await next(stream, 2)
      for (let n = 1; n <= 3; n += 1) {
        const given = next(stream, 1)
        await clock.asked(1_000)
        progress('one', n)
        expect(await given).toEqual([`STEP_PROGRESS one 2 ${n}`])
      }
      expect(clock.held).toEqual([1_000])
      await write([['LOG', 'one']])
      const read = next(stream, 1)
      clock.elapse(1_000)
      expect(await read).toEqual(['LOG one 3'])
      await end()
      await stream.return?.()
    })
  })

  describe('the stream of a session', () => {
    test('gives the progress of run after run, and resumes from the cursor of each', async () => {
      const { start, ownership, runOf } = createParts(database)
      const first = await start()
      const { sessionId } = first
      const { runId } = await start({ sessionId })
      const stream = await streamsOf().session(SYSTEM_VIEWER, { sessionId })
      const one = tellerOf(first)
      await one.commit(['STEP_STARTED', 'one'])
      // The second run is told of while it waits.
      expect(await next(stream, 3)).toEqual([...BEGINNING, 'RUN_QUEUED 1'])
      one.progress('one', 'first')
      const value = await nextOf(stream)
      expect(value).toMatchObject({ runId: first.runId, seq: 2, data: 'first' })
      await one.commit(['STEP_COMPLETED', 'one'])
      await one.end()
      await ownership.claim(runId, ['still'], new Date())
      const two = tellerOf(await runOf(runId))
      await two.commit(['STEP_STARTED', 'one'])
      two.progress('one', 'second')
      // What the later run puts out waits until the stream has come to it.
      const rest = ['STEP_COMPLETED one 3', 'RUN_COMPLETED 4', 'STEP_STARTED one 2']
      const then = [...rest, 'STEP_PROGRESS one 2 "second"']
      expect(await next(stream, 4)).toEqual(then)
      const after = encodeEventCursor(value.resume)
      const resumed = await streamsOf().session(SYSTEM_VIEWER, { sessionId, after })
      expect(await next(resumed, 3)).toEqual(rest)
      await two.end()
      await Promise.all([stream.return?.(), resumed.return?.()])
    })
  })

  describe('the stream of a workflow', () => {
    test('gives the progress of all its runs, of those that had begun before it too', async () => {
      const { start } = createParts(database)
      const [old, other] = [await start(), await start()]
      const [one, two] = [tellerOf(old), tellerOf(other)]
      await one.commit(['STEP_STARTED', 'one'])
      const types = ['STEP_PROGRESS', 'STEP_STARTED'] as const
      const stream = await streamsOf().workflow(SYSTEM_VIEWER, { workflowId: still.id, types })
      const waiting = next(stream, 1)
      one.progress('one', 'old')
      expect(await waiting).toEqual(['STEP_PROGRESS one 2 "old"'])
      two.progress('one', 'early', 2)
      await two.commit(['STEP_STARTED', 'one'])
      expect(await next(stream, 2)).toEqual(['STEP_STARTED one 2', 'STEP_PROGRESS one 2 "early"'])
      await one.end()
      await two.end()
      await stream.return?.()
    })
  })
})
