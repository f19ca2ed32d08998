import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import type { RunRecord } from '../../src/engine/records.ts'
import { advance } from '../../src/store/turns.ts'
import { wakeDue } from '../../src/store/wake.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createParts, eventOf, newRun, parkOf, still, waitingStepOf, writeOf } from '../support/parts.ts'

const DUE = new Date('2001-01-01T00:00:00.000Z')
const LATER = new Date('2099-01-01T00:00:00.000Z')

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  function parts() {
    const made = createParts(database)
    return {
      ...made,
      async parked(given: Parameters<typeof parkOf>[0] = {}): Promise<RunRecord> {
        const run = await made.start()
        const events = given.status === 'RUNNING' ? [] : [eventOf(run, 2, { type: 'RUN_PAUSED' })]
        await made.journal.write(writeOf(run, { steps: [waitingStepOf(run, 'one')], events, park: parkOf(given) }))
        return await made.runOf(run.runId)
      },
      async ownerOf({ runId }: RunRecord) {
        const [row] = await database.db.select({ owner: runs.owner }).from(runs).where(eq(runs.runId, runId))
        return row?.owner
      },
      newEvents: ({ runId, lastSeq }: RunRecord) =>
        made.reader.events(runId, { afterSeq: lastSeq, limit: 9, types: null }),
      take: (run: RunRecord, served = [run.workflowId]) => made.ownership.claim(run.runId, served, DUE),
    }
  }

  describe('waking', () => {
    test('lets paused runs go on whose time has come, each once, and tells that as an event', async () => {
      const { parked, runOf, newEvents, take } = parts()
      const due = await Promise.all([DUE, new Date(DUE.getTime() - 5_000)].map((wakeAt) => parked({ wakeAt })))
      for (let time = 1; time <= 2; time += 1) await wakeDue(database.db, DUE)
      for (const run of due) {
        expect(await runOf(run.runId)).toEqual({ ...run, status: 'RUNNING', wakeAt: null, lastSeq: run.lastSeq + 1 })
        expect(await newEvents(run)).toMatchObject([
          // The time of the caller is older than the event before it.
          { seq: 3, type: 'RUN_RESUMED', at: run.createdAt, stepPath: null, data: { reason: 'timeout' } },
        ])
        expect(await take(run)).toBe(true)
      }
    })

    test('tells of those that were paused, once each, when another connection finds it done', async () => {
      const { parked, runOf } = parts()
      const due = [await parked({ wakeAt: DUE }), await parked({ wakeAt: DUE })]
      await parked({ status: 'RUNNING', wakeAt: DUE })
      const told: unknown[] = []
      const found: Promise<RunRecord>[] = []
      for (let time = 1; time <= 2; time += 1) {
        await wakeDue(database.db, DUE, (change) => {
          told.push(change)
          found.push(runOf(change.runId))
        })
      }
      const changes = due.map(({ runId, sessionId, workflowId }) => ({ runId, sessionId, workflowId, settled: false }))
      expect(told).toHaveLength(2)
      expect(told).toEqual(expect.arrayContaining(changes))
      for (const run of await Promise.all(found)) expect(run).toMatchObject({ status: 'RUNNING', lastSeq: 3 })
    })

    test('tells when it was done', async () => {
      const { parked, newEvents } = parts()
      const run = await parked({ wakeAt: LATER })
      await wakeDue(database.db, LATER)
      expect(await newEvents(run)).toMatchObject([{ type: 'RUN_RESUMED', at: LATER }])
    })

    test('lets runs go on that only wait for the time, without the event of a pause that was none', async () => {
      const { parked, runOf, newEvents, ownership } = parts()
      const run = await parked({ status: 'RUNNING', wakeAt: DUE })
      const waiting = () => ownership.waiting([run.workflowId], 1_000)
      expect(await waiting()).not.toContain(run.runId)
      await wakeDue(database.db, DUE)
      expect(await runOf(run.runId)).toEqual({ ...run, wakeAt: null })
      expect(await newEvents(run)).toEqual([])
      expect(await waiting()).toContain(run.runId)
    })

    test('leaves alone what waits for a later time, or for none', async () => {
      const { parked, runOf, newEvents } = parts()
      const after = new Date(DUE.getTime() + 1)
      const others = [
        await parked({ wakeAt: after }),
        await parked({ wakeAt: null }),
        await parked({ status: 'RUNNING', wakeAt: after }),
      ]
      await wakeDue(database.db, DUE)
      for (const run of others) {
        expect(await runOf(run.runId)).toEqual(run)
        expect(await newEvents(run)).toEqual([])
      }
    })

    test('wakes all that is due, also where that is more than one transaction takes', async () => {
      const { start, runOf } = parts()
      const { sessionId } = await start()
      const wakeAt = new Date(DUE.getTime() - 60_000)
      await database.db.execute(sql`
        insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status,
          input_preview, history_run_ids, tags, created_at, wake_at)
        select gen_random_uuid(), ${sessionId}, n, 'still', 'Still', 'v', 'PAUSED', '', '{}', '{}', now(),
          ${wakeAt.toISOString()}::timestamptz
        from generate_series(2, 252) n`)
      await wakeDue(database.db, wakeAt)
      const woken = await database.db.select().from(runs).where(eq(runs.sessionId, sessionId))
      expect(woken.map(({ status, wakeAt: left }) => [status, left])).toEqual(woken.map(() => ['RUNNING', null]))
      expect(woken).toHaveLength(252)
      for (const { runId, number } of woken) {
        if (number > 250) expect(await runOf(runId)).toMatchObject({ lastSeq: 1 })
      }
    })
  })

  describe('a cancel of a run that was put aside', () => {
    test.each([
      ['until a person answers', { wakeAt: LATER }],
      ['until a time comes', { status: 'RUNNING', wakeAt: LATER }],
    ] as const)('%s makes it one that any worker takes now, and says that nobody executes it', async (_title, park) => {
      const { parked, store, runOf, ownerOf, newEvents, take } = parts()
      const run = await parked(park)
      const at = new Date()
      const expected = { status: 'RUNNING', wakeAt: null, cancelRequestedAt: at, cancelReason: 'enough' }
      const outcome = await store.cancel(run.runId, 'enough', at)
      expect(outcome).toMatchObject({ type: 'requested', owned: false, run: expected })
      expect(await runOf(run.runId)).toEqual({ ...run, ...expected })
      expect(await ownerOf(run)).toBeNull()
      expect(await newEvents(run)).toEqual([])
      expect(await take(run, [])).toBe(true)
      // Once somebody has it, a second cancel is for that one, and the first reason stands.
      const again = await store.cancel(run.runId, 'more', new Date())
      expect(again).toMatchObject({ type: 'requested', owned: true, run: { cancelReason: 'enough' } })
    })

    test('by a run that interrupts it does the same, and tells its caller so', async () => {
      const { parked, store, runOf, start } = parts()
      const paused = await parked({ wakeAt: LATER })
      const interrupting = newRun(still, { sessionId: paused.sessionId, onBusy: 'INTERRUPT' })
      const outcome = await store.accept(interrupting)
      expect(outcome).toMatchObject({
        type: 'accepted',
        active: false,
        interrupted: { runId: paused.runId, owned: false },
      })
      const { cancelRequestedAt, ...run } = await runOf(paused.runId)
      expect(run).toMatchObject({ status: 'RUNNING', wakeAt: null, cancelReason: expect.stringContaining('newer run') })
      expect(cancelRequestedAt).toEqual(interrupting.at)
      const running = await start()
      const second = await store.accept(newRun(still, { sessionId: running.sessionId, onBusy: 'INTERRUPT' }))
      expect(second).toMatchObject({ interrupted: { runId: running.runId, owned: true } })
    })

    test('keeps the turn of its session until a worker has ended it', async () => {
      const { parked, store, start, runOf } = parts()
      const paused = await parked()
      const next = await start({ sessionId: paused.sessionId })
      await store.cancel(paused.runId, null, new Date())
      expect(await advance(database.db, paused.sessionId)).toBe(paused.runId)
      expect(await runOf(next.runId)).toMatchObject({ status: 'QUEUED' })
    })
  })

  test('a worker is told of answers to the runs that it executes, and of no others', async () => {
    const { parked, start, store, ownership } = parts()
    const [mine, quiet, others] = [await start(), await start(), await parked()]
    for (const run of [mine, others])
      await database.db.update(runs).set({ answers: 2 }).where(eq(runs.runId, run.runId))
    expect(await ownership.requests()).toEqual([{ runId: mine.runId, cancel: null, answers: 2 }])
    await store.cancel(quiet.runId, 'why', new Date())
    const requests = await ownership.requests()
    expect(requests).toHaveLength(2)
    expect(requests).toContainEqual({ runId: quiet.runId, cancel: { reason: 'why' }, answers: 0 })
  })
})
