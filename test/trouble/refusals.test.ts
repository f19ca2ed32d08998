import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Database, rows } from '../../src/db/client.ts'
import { asKernError } from '../../src/db/errors.ts'
import { workers } from '../../src/db/tables.ts'
import { transaction } from '../../src/db/transaction.ts'
import { newId } from '../../src/ids.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'
import { connectionsOf, endConnections, LOAD, OWN_CONNECTIONS, openAt, startLoad } from './load.ts'

const PACE = { heartbeatMs: 200, leaseMs: 15_000, pollMs: 50 }

interface Opened {
  readonly url: string
  readonly observer: Database
  /** Changes a setting for the connections that are made to this database from now on. */
  set(setting: string): Promise<void>
}

async function openFresh(): Promise<Opened> {
  const fresh = await freshPostgres()
  if (fresh.kind !== 'postgres') throw new Error('not Postgres')
  const observer = await openAt(fresh.url)
  const name = sql.identifier(new URL(fresh.url).pathname.slice(1))
  const set = async (setting: string) => {
    await rows(observer.db, sql`alter database ${name} set ${sql.raw(setting)}`)
  }
  return { url: fresh.url, observer, set }
}

/** Holds what `lock` locks while `work` runs. */
async function holding(database: Database, lock: string, work: () => Promise<void>): Promise<void> {
  await transaction(database.db, async (tx) => {
    await rows(tx, sql.raw(lock))
    await work()
  })
}

test('while the server ends every connection five times a second, all runs come to their one end', async () => {
  const { url, observer } = await openFresh()
  const kern = await startKern(await openAt(url, { maxConnections: 5 }), [LOAD], PACE)
  const load = startLoad(kern, observer)
  for (let round = 0; round < 15; round++) {
    await pause(200)
    await endConnections(observer)
  }
  const before = load.accepted()
  await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 20)
  await load.finish()
  await expect.poll(() => connectionsOf(observer), PATIENCE).toBeLessThanOrEqual(5 + OWN_CONNECTIONS)
})

test('statements that the server gives up for their time leave nothing half done, and are done when there is time', async () => {
  const { url, observer } = await openFresh()
  const kern = await startKern(await openAt(url, { deadlineMs: 500 }), [LOAD], PACE)
  const load = startLoad(kern, observer)
  for (const table of ['runs', 'sessions', 'step_results', 'run_events']) {
    const accepted = load.accepted()
    await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(accepted + 5)
    // Longer than the tries of a flush and the statement timeout, which is 400 ms here, together.
    await holding(observer, `lock table kern.${table} in access exclusive mode`, () => pause(2_500))
  }
  expect(load.unavailable()).toBeGreaterThan(0)
  await load.finish()
})

test('locks that are not to be had in time are asked for again, and no run suffers', async () => {
  const { url, observer, set } = await openFresh()
  await set(`lock_timeout = '20ms'`)
  const kern = await startKern(await openAt(url), [LOAD], PACE)
  const load = startLoad(kern, observer, { sessions: 2, clients: 8 })
  for (let round = 0; round < 5; round++) {
    const accepted = load.accepted()
    await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(accepted + 3)
    await holding(observer, 'select 1 from kern.sessions for update', () => pause(100))
    await holding(observer, 'select 1 from kern.runs for update', () => pause(100))
  }
  await load.finish()
})

test('a statement that gets no lock in time is sent again, at most five times', async () => {
  const { url, observer, set } = await openFresh()
  const workerId = newId()
  await observer.db.insert(workers).values({ workerId, host: 'here', pid: 1 })
  await rows(observer.db, sql`create sequence tries`)
  await set(`lock_timeout = '50ms'`)
  const { db } = await openAt(url)
  // A sequence goes on, whatever becomes of the transaction: it counts the tries.
  const update = sql`update kern.workers set pid = nextval('tries') where worker_id = ${workerId}::uuid`
  const tries = async () =>
    Number((await rows<{ n: string }>(observer.db, sql`select last_value as n from tries`))[0]?.n)

  let updated: Promise<unknown> = Promise.resolve()
  await holding(observer, 'select 1 from kern.workers for update', async () => {
    updated = rows(db, update)
    await expect.poll(tries, PATIENCE).toBeGreaterThan(1)
  })
  await updated

  await rows(observer.db, sql`select setval('tries', 1, false)`)
  await holding(observer, 'select 1 from kern.workers for update', async () => {
    const refused: unknown = await rows(db, update).catch((error: unknown) => error)
    expect(asKernError(refused)).toMatchObject({ code: 'UNAVAILABLE' })
  })
  expect(await tries()).toBe(5)
})

test('Kern reads what is committed whatever isolation the database has by default, so that no start is refused for it', async () => {
  const { url, observer, set } = await openFresh()
  await set(`default_transaction_isolation = 'serializable'`)
  const database = await openAt(url)
  const kern = await startKern(database, [LOAD], PACE)
  const load = startLoad(kern, observer, { sessions: 1, clients: 12, runs: 60 })
  await load.finish()
  expect(load.unavailable()).toBe(0)
  for (const db of [database.db, database.reserved]) {
    expect(await rows(db, sql`show transaction_isolation`)).toEqual([{ transaction_isolation: 'read committed' }])
  }
})

test('two processes under load lock in one order: the server sees no deadlock', async () => {
  const { url, observer } = await openFresh()
  const kerns = [
    await startKern(await openAt(url), [LOAD], PACE),
    await startKern(await openAt(url), [LOAD], { ...PACE, concurrency: 2 }),
  ]
  const [first, second] = kerns
  if (!first || !second) throw new Error('there are two')
  const load = startLoad(first, observer, { sessions: 3, clients: 12, runs: 150 })
  await load.finish()
  const deadlocks = sql`select deadlocks::int as n from pg_stat_database where datname = current_database()`
  expect(await rows(observer.db, deadlocks)).toEqual([{ n: 0 }])
})

test('a transaction whose connection the server ended for idling fails, and the next one has another connection', async () => {
  const { url, observer } = await openFresh()
  const { db } = await openAt(url, { maxConnections: 1, deadlineMs: 1_000 })
  const gate = createGate()
  const idling = transaction(db, async (tx) => {
    await rows(tx, sql`select 1`)
    await gate.pass()
    await rows(tx, sql`select 2`)
  })
  const failed = expect(idling).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await gate.reached
  await expect.poll(() => connectionsOf(observer), PATIENCE).toBe(0)
  gate.open()
  await failed
  expect(await transaction(db, (tx) => rows(tx, sql`select 3 as three`))).toEqual([{ three: 3 }])
})
