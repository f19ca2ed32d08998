import { sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Database, rows } from '../../src/db/client.ts'
import type { RunRecord } from '../../src/engine/records.ts'
import { createJournal } from '../../src/store/journal.ts'
import { advance } from '../../src/store/turns.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createParts, endOf, eventOf, stepOf, writeOf } from '../support/parts.ts'
import { watchStatements } from '../support/statements.ts'

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  const journalOn = (retries: number[] = []) =>
    createJournal({
      flushes: database.db,
      random: () => 0.5,
      closing: new AbortController().signal,
      db: database.db,
      advance: (sessionId) => advance(database.db, sessionId),
      clock: { now: () => new Date(), sleep: async (ms) => void retries.push(ms) },
    })

  /** Everything that is stored of a run and its session, as text. */
  async function stored({ runId, sessionId }: RunRecord): Promise<unknown> {
    return await rows(
      database.db,
      sql`select to_jsonb(r) as run, to_jsonb(s) as session,
            (select to_jsonb(p) from kern.run_payloads p where p.run_id = r.run_id) as payload,
            (select jsonb_agg(to_jsonb(t) order by t.path) from kern.step_results t where t.run_id = r.run_id) as steps,
            (select jsonb_agg(to_jsonb(e) order by e.seq) from kern.run_events e where e.run_id = r.run_id) as events
          from kern.runs r join kern.sessions s using (session_id)
          where r.run_id = ${runId}::uuid and s.session_id = ${sessionId}`,
    )
  }

  /** A write with something in every part of it. */
  const fullWrite = (run: RunRecord) =>
    writeOf(run, {
      steps: [stepOf(run, 'one'), stepOf(run, 'two', { output: { deep: ['{"a"}', null] } })],
      events: [eventOf(run, 2), eventOf(run, 3, { type: 'RUN_COMPLETED', data: undefined })],
      stepCount: 2,
      attemptCount: 2,
      state: { changed: true },
      start: { stateBefore: { before: 1 }, historyRunIds: [] },
      end: endOf(run),
    })

  describe('a write', () => {
    test('is stored as a whole: steps, events, state, payload and end', async () => {
      const { start, reader, runOf } = createParts(database)
      const run = await start()
      expect(await journalOn().write(fullWrite(run))).toEqual({ type: 'committed', nextRunId: null })
      expect(await runOf(run.runId)).toMatchObject({ status: 'COMPLETED', lastSeq: 3, stepCount: 2, attemptCount: 2 })
      const [payload] = await reader.payloads([run.runId])
      expect(payload).toMatchObject({ output: 'out', stateBefore: { before: 1 }, stateAfter: {} })
      const [steps] = await reader.steps([run.runId])
      expect(steps?.map(({ path, output }) => [path, output])).toEqual([
        ['one', 'one'],
        ['two', { deep: ['{"a"}', null] }],
      ])
      const [session] = await reader.sessions([run.sessionId])
      expect(session).toMatchObject({ state: { changed: true }, stateVersion: 1, activeRunId: null })
    })

    test('is a change of the session only if it changes the state, also where it ends the run', async () => {
      const { start, reader } = createParts(database)
      const [plain, changing] = [await start(), await start()]
      const updatedAt = async ({ sessionId }: RunRecord) => (await reader.sessions([sessionId]))[0]?.updatedAt
      const [before, later] = [await updatedAt(plain), new Date(Date.now() + 60_000)]
      const end = { ...endOf(plain), at: later }
      await journalOn().write(writeOf(plain, { events: [eventOf(plain, 2)], end }))
      await journalOn().write(writeOf(changing, { events: [eventOf(changing, 2)], state: { n: 1 }, end }))
      expect(await updatedAt(plain)).toEqual(before)
      expect(await updatedAt(changing)).toEqual(later)
    })

    test('that comes twice changes nothing, whether it ends the run or not', async () => {
      const { start } = createParts(database)
      const run = await start()
      const middle = writeOf(run, {
        steps: [stepOf(run, 'one')],
        events: [eventOf(run, 2)],
        state: { n: 1 },
        start: { stateBefore: {}, historyRunIds: [] },
      })
      const journal = journalOn()
      await journal.write(middle)
      const before = await stored(run)
      expect(await journal.write(middle)).toEqual({ type: 'committed', nextRunId: null })
      expect(await stored(run)).toEqual(before)
      const end = writeOf(run, { events: [eventOf(run, 3)], state: { n: 2 }, end: endOf(run) })
      await journal.write(end)
      const after = await stored(run)
      expect(await journal.write(end)).toEqual({ type: 'committed', nextRunId: null })
      expect(await stored(run)).toEqual(after)
    })

    test('does not replace a result that is final', async () => {
      const { start, reader } = createParts(database)
      const run = await start()
      const journal = journalOn()
      const open = stepOf(run, 'one', { status: 'RUNNING', output: undefined, completedAt: null })
      for (const step of [open, stepOf(run, 'one'), stepOf(run, 'one', { output: 'another' }), open]) {
        await journal.write(writeOf(run, { steps: [step] }))
      }
      const [steps] = await reader.steps([run.runId])
      expect(steps).toMatchObject([{ status: 'COMPLETED', output: 'one' }])
    })

    test('needs a run that was taken, which only who serves its workflow can do, unless it is to be cancelled', async () => {
      const { start, store, ownership } = createParts(database)
      const run = await start()
      await ownership.release(run.runId, run.epoch)
      expect(await ownership.claim(run.runId, ['another'], new Date())).toBe(false)
      await store.cancel(run.runId, null, new Date())
      expect(await ownership.claim(run.runId, ['another'], new Date())).toBe(true)
    })

    test('of an epoch that is over writes nothing at all', async () => {
      const { start, ownership } = createParts(database)
      const run = await start()
      await ownership.release(run.runId, run.epoch)
      expect(await ownership.claim(run.runId, [run.workflowId], new Date())).toBe(true)
      const before = await stored(run)
      const journal = journalOn()
      expect(await journal.write(fullWrite(run))).toEqual({ type: 'fenced' })
      expect(await journal.write(writeOf(run, { state: { n: 1 }, events: [eventOf(run, 2)] }))).toEqual({
        type: 'fenced',
      })
      expect(await stored(run)).toEqual(before)
    })

    test('of a run that is not there is fenced', async () => {
      const { start, store } = createParts(database)
      const run = await start()
      await journalOn().write(fullWrite(run))
      await store.deleteSession(run.sessionId)
      expect(await journalOn().write(writeOf(run, { events: [eventOf(run, 9)] }))).toEqual({ type: 'fenced' })
    })

    test('that ends a run gives way to a cancel that was accepted before, and then ends it as cancelled', async () => {
      const { start, store } = createParts(database)
      const run = await start()
      await store.cancel(run.runId, null, new Date())
      const before = await stored(run)
      expect(await journalOn().write(fullWrite(run))).toEqual({ type: 'cancel-requested' })
      expect(await stored(run)).toEqual(before)
      const cancelled = { ...fullWrite(run), end: { ...endOf(run), status: 'CANCELLED' as const } }
      expect(await journalOn().write(cancelled)).toEqual({ type: 'committed', nextRunId: null })
    })

    test('that ends a run gives the turn to the next one of the session', async () => {
      const { start, ownership } = createParts(database)
      const first = await start()
      const second = await start({ sessionId: first.sessionId })
      expect(second).toMatchObject({ number: 2, status: 'QUEUED' })
      expect(await ownership.claim(second.runId, [second.workflowId], new Date())).toBe(false)
      expect(await journalOn().write(fullWrite(first))).toEqual({ type: 'committed', nextRunId: second.runId })
      expect(await ownership.claim(second.runId, [second.workflowId], new Date())).toBe(true)
    })
  })

  describe('writes that come together', () => {
    test('are one statement, and keep the order in which the writes of a run were handed over', async () => {
      const { start, reader } = createParts(database)
      const runs = await Promise.all(Array.from({ length: 20 }, () => start()))
      const journal = journalOn()
      let statements = 0
      const unwatch = watchStatements(database, () => {
        statements += 1
      })
      for (const seq of [2, 3]) {
        await Promise.all(
          runs.map((run) => journal.write(writeOf(run, { events: [eventOf(run, seq)], state: { seq } }))),
        )
      }
      unwatch()
      expect(statements).toBe(2)
      for (const { runId, sessionId } of runs) {
        const events = await reader.events(runId, { afterSeq: 0, limit: 10, types: null })
        expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3])
        expect(await reader.sessions([sessionId])).toMatchObject([{ state: { seq: 3 }, stateVersion: 2 }])
      }
    })

    test('do not suffer from one that the database refuses: it alone fails', async () => {
      const { start } = createParts(database)
      const runs = await Promise.all(Array.from({ length: 21 }, () => start()))
      const [bad, ...good] = runs
      if (!bad) throw new Error('no run')
      const journal = journalOn()
      const before = await stored(bad)
      const broken = writeOf(bad, { steps: [stepOf(bad, 'one', { name: 'a\0b' })], events: [eventOf(bad, 2)] })
      // In the middle of the batch: the one before it leaves at once, and the others wait for it.
      const writes = [...good.slice(0, 10).map(fullWrite), broken, ...good.slice(10).map(fullWrite)]
      const results = await Promise.allSettled(writes.map((write) => journal.write(write)))
      const refused = results.splice(10, 1)
      expect(refused).toMatchObject([{ status: 'rejected', reason: { code: 'INTERNAL' } }])
      expect(results).toEqual(good.map(() => ({ status: 'fulfilled', value: { type: 'committed', nextRunId: null } })))
      expect(await stored(bad)).toEqual(before)
    })

    test('are tried again until the database answers', async () => {
      const { start } = createParts(database)
      const runs = await Promise.all(Array.from({ length: 10 }, () => start()))
      const retries: number[] = []
      const journal = journalOn(retries)
      const lost = Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
      let failures = 20
      const unwatch = watchStatements(database, () => {
        failures -= 1
        if (failures >= 0) throw lost
      })
      const all = () =>
        Promise.allSettled(runs.map((run) => journal.write(writeOf(run, { events: [eventOf(run, 2)] }))))
      const results = await all()
      unwatch()
      expect(results.map(({ status }) => status)).toEqual(runs.map(() => 'fulfilled'))
      // All of them at once, and not each in turn.
      expect(retries).toHaveLength(20)
      expect(Math.max(...retries)).toBeLessThanOrEqual(1_000)
    })
  })
})
