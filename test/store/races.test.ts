import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import type { RunRecord } from '../../src/engine/records.ts'
import { wakeDue } from '../../src/store/wake.ts'
import { freshPostgres } from '../support/databases.ts'
import { PATIENCE } from '../support/kerns.ts'
import { answerOf, createParts, eventOf, parkOf, waitingStepOf, writeOf } from '../support/parts.ts'

const DUE = new Date('2001-01-01T00:00:00.000Z')

/*
 * Two that want the same run at the same time, each on a connection of its own. The test holds what both need until the
 * first and then the second wait for it: so the second has begun before the first has done anything, and it goes on
 * after the first has committed.
 */
describe('on Postgres', () => {
  let database: Database
  beforeAll(async () => {
    database = await openDatabase(await freshPostgres())
    return () => database.close()
  })

  /** Resolves when so many statements of this database wait for a lock. */
  async function blocked(count: number): Promise<void> {
    const waiting = async () => {
      const [row] = await rows<{ n: number }>(
        database.db,
        sql`select count(*)::int as n from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return row?.n
    }
    await expect.poll(waiting, PATIENCE).toBe(count)
  }

  /** Starts one after another while the run's row is locked, and gives what they answer. */
  async function inTurn<First, Second>(
    { runId }: RunRecord,
    first: () => Promise<First>,
    second: () => Promise<Second>,
  ): Promise<[First, Second]> {
    const started = await database.db.transaction(async (tx) => {
      await tx.select({ runId: runs.runId }).from(runs).where(eq(runs.runId, runId)).for('update')
      const one = first()
      await blocked(1)
      const two = second()
      await blocked(2)
      return { both: Promise.all([one, two]) }
    })
    return await started.both
  }

  /** A run that is executed, and whose step waits for a person. */
  async function waiting() {
    const parts = createParts(database)
    const run = await parts.start()
    await parts.journal.write(writeOf(run, { steps: [waitingStepOf(run, 'one')] }))
    const paused = eventOf(run, 2, { type: 'RUN_PAUSED' })
    const types = async () =>
      (await parts.reader.events(run.runId, { afterSeq: 1, limit: 9, types: null })).map(({ type }) => type)
    return {
      ...parts,
      run,
      types,
      park: () => parts.journal.write(writeOf(run, { events: [paused], park: parkOf() })),
      answer: (data = 'yes') => parts.store.answer(answerOf(run, 'one', { data })),
      cancel: () => parts.store.cancel(run.runId, null, new Date()),
    }
  }

  describe('an answer, and the run being put aside', () => {
    test('after it: the run goes on here', async () => {
      const { run, answer, park, runOf, types } = await waiting()
      const [answered, parked] = await inTurn(run, answer, park)
      expect(answered).toMatchObject({ type: 'answered', parked: false })
      expect(parked).toEqual({ type: 'answered' })
      expect(await runOf(run.runId)).toMatchObject({ status: 'RUNNING', answers: 1 })
      expect(await types()).toEqual([])
    })

    test('before it: the run is to be taken again', async () => {
      const { run, answer, park, runOf, types } = await waiting()
      const [parked, answered] = await inTurn(run, park, answer)
      expect(parked).toMatchObject({ type: 'committed' })
      expect(answered).toMatchObject({ type: 'answered', parked: true })
      expect(await runOf(run.runId)).toMatchObject({ status: 'RUNNING', answers: 1 })
      expect(await types()).toEqual(['RUN_PAUSED', 'RUN_RESUMED'])
    })
  })

  describe('a cancel, and the run being put aside', () => {
    test('after it: its owner ends it', async () => {
      const { run, cancel, park, runOf } = await waiting()
      const [cancelled, parked] = await inTurn(run, cancel, park)
      expect(cancelled).toMatchObject({ type: 'requested', owned: true })
      expect(parked).toEqual({ type: 'cancel-requested' })
      expect(await runOf(run.runId)).toMatchObject({ status: 'RUNNING' })
    })

    test('before it: it is to be taken and ended', async () => {
      const { run, cancel, park, runOf, ownership } = await waiting()
      const [parked, cancelled] = await inTurn(run, park, cancel)
      expect(parked).toMatchObject({ type: 'committed' })
      expect(cancelled).toMatchObject({ type: 'requested', owned: false })
      expect(await runOf(run.runId)).toMatchObject({ status: 'RUNNING', cancelRequestedAt: expect.any(Date) })
      expect(await ownership.claim(run.runId, [], new Date())).toBe(true)
    })
  })

  test('of two answers to one wait the first one counts, whether the run was put aside or not', async () => {
    for (const aside of [false, true]) {
      const { run, answer, park, runOf, reader, types } = await waiting()
      if (aside) await park()
      const [first, second] = await inTurn(
        run,
        () => answer('first'),
        () => answer('second'),
      )
      expect(first).toMatchObject({ type: 'answered', parked: aside })
      expect(second).toMatchObject({ type: 'not-waiting', run: { answers: 1 } })
      expect(await runOf(run.runId)).toMatchObject({ answers: 1 })
      expect((await reader.stepSummaries([run.runId])).flat()).toMatchObject([{ answer: { data: 'first' } }])
      expect(await types()).toEqual(aside ? ['RUN_PAUSED', 'RUN_RESUMED'] : [])
    }
  })

  test('of an answer and a cancel at the same time neither is lost, and the run goes on once', async () => {
    for (const order of ['answer first', 'cancel first']) {
      const { run, answer, cancel, park, runOf, types } = await waiting()
      await park()
      const [first, second] = order === 'answer first' ? ([answer, cancel] as const) : ([cancel, answer] as const)
      await inTurn<unknown, unknown>(run, first, second)
      expect(await runOf(run.runId)).toMatchObject({
        status: 'RUNNING',
        answers: 1,
        cancelRequestedAt: expect.any(Date),
      })
      expect(await types()).toEqual(order === 'answer first' ? ['RUN_PAUSED', 'RUN_RESUMED'] : ['RUN_PAUSED'])
    }
  })

  test('of two workers that wake what is due one does it, and the other does not wait for that', async () => {
    const { run, journal, runOf, types } = await waiting()
    const event = eventOf(run, 2, { type: 'RUN_PAUSED' })
    await journal.write(writeOf(run, { events: [event], park: parkOf({ wakeAt: DUE }) }))
    const { first } = await database.db.transaction(async (tx) => {
      // The first comes as far as its event, while it has the run.
      await tx.execute(sql`lock table kern.run_events in share mode`)
      const first = wakeDue(database.db, DUE)
      await blocked(1)
      await wakeDue(database.db, DUE)
      await blocked(1)
      return { first }
    })
    await first
    expect(await runOf(run.runId)).toMatchObject({ status: 'RUNNING', wakeAt: null })
    expect(await types()).toEqual(['RUN_PAUSED', 'RUN_RESUMED'])
  })

  test('of an answer and the end of the wait at the same time one lets the run go on', async () => {
    const { run, journal, answer, runOf, types } = await waiting()
    const event = eventOf(run, 2, { type: 'RUN_PAUSED' })
    await journal.write(writeOf(run, { events: [event], park: parkOf({ wakeAt: DUE }) }))
    const { answered } = await database.db.transaction(async (tx) => {
      await tx.execute(sql`lock table kern.run_events in share mode`)
      const answered = answer()
      await blocked(1)
      // It leaves the run to the answer.
      await wakeDue(database.db, DUE)
      return { answered }
    })
    expect(await answered).toMatchObject({ type: 'answered', parked: true })
    expect(await runOf(run.runId)).toMatchObject({ status: 'RUNNING', answers: 1 })
    expect(await types()).toEqual(['RUN_PAUSED', 'RUN_RESUMED'])
  })
})
