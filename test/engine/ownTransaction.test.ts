import { sql } from 'drizzle-orm'
import { drizzle as drizzleOnPg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleOnProxy } from 'drizzle-orm/pg-proxy'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import { drizzle as drizzleOnPostgresJs } from 'drizzle-orm/postgres-js'
import connect from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import {
  type AcceptedRun,
  type CallerTransaction,
  type Kern,
  type KernTransaction,
  step,
  Workflow,
} from '../../src/index.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'
import { startKern } from '../support/kerns.ts'

const orders = pgTable('orders', { id: integer().primaryKey(), what: text().notNull() })
const CREATE = sql`create table if not exists orders (id int primary key, what text not null)`

const ship = new Workflow({
  name: 'ship',
  input: z.object({ order: z.number() }),
  steps: [step('send', ({ input }: { input: { order: number } }) => ({ sent: input.order }))],
})

class Stop extends Error {}

/** How many orders and runs there are, as others see them. */
async function counts({ db }: Database): Promise<{ orders: number; runs: number; sessions: number; events: number }> {
  const [row] = await rows<{ orders: number; runs: number; sessions: number; events: number }>(
    db,
    sql`select (select count(*)::int from orders) as orders, (select count(*)::int from kern.runs) as runs,
      (select count(*)::int from kern.sessions) as sessions, (select count(distinct run_id)::int from kern.run_events) as events`,
  )
  if (!row) throw new Error('a count gave no row')
  return row
}

/** What a client of the caller does: an order is written, a run is started, and `then` comes before the commit. */
type Order = (kern: Kern, order: number, then: () => Promise<void>) => Promise<AcceptedRun>

describe('on Postgres a run in a transaction of', () => {
  let database: Database
  let url: string
  const ends: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    const given = await freshPostgres()
    if (given.kind !== 'postgres') throw new Error('it is a server')
    url = given.url
    database = await openDatabase(given)
    await database.db.execute(CREATE)
  })
  afterAll(async () => {
    for (const end of ends) await end()
    await database.close()
  })

  const CLIENTS: readonly (readonly [string, () => Promise<Order>])[] = [
    [
      'Drizzle on postgres.js',
      async () => {
        const client = connect(url, { max: 2, onnotice: () => {} })
        ends.push(() => client.end({ timeout: 5 }))
        const db = drizzleOnPostgresJs({ client })
        return (kern, order, then) =>
          db.transaction(async (tx) => {
            await tx.insert(orders).values({ id: order, what: 'a book' })
            const run = await kern.run(ship, { input: { order }, tx })
            await then()
            return run
          })
      },
    ],
    [
      'Drizzle on node-postgres',
      async () => {
        const db = drizzleOnPg(url)
        ends.push(() => db.$client.end())
        return (kern, order, then) =>
          db.transaction(async (tx) => {
            await tx.insert(orders).values({ id: order, what: 'a book' })
            const run = await kern.run(ship, { input: { order }, tx })
            await then()
            return run
          })
      },
    ],
    [
      'a client of pg',
      async () => {
        const db = drizzleOnPg(url)
        ends.push(() => db.$client.end())
        return async (kern, order, then) => {
          const client = await db.$client.connect()
          try {
            await client.query('begin')
            await client.query('insert into orders values ($1, $2)', [order, 'a book'])
            const run = await kern.run('ship', { input: { order }, tx: client })
            await then()
            await client.query('commit')
            return run
          } catch (error) {
            await client.query('rollback')
            throw error
          } finally {
            client.release()
          }
        }
      },
    ],
    [
      'this Kern',
      async () => (kern, order, then) =>
        kern.transaction(async (tx) => {
          await tx.query('insert into orders values ($1, $2)', [order, 'a book'])
          const run = await kern.run(ship, { input: { order }, tx })
          await then()
          return run
        }),
    ],
  ]

  test.each(CLIENTS)('%s exists from the commit on, and not if it is rolled back', async (_name, makeClient) => {
    const kern = await startKern(database, [ship])
    const order = await makeClient()
    await database.db.execute(sql`truncate orders`)
    await database.db.execute(sql`delete from kern.sessions`)
    const none = { orders: 0, runs: 0, sessions: 0, events: 0 }
    const left = order(kern, 1, async () => {
      expect(await counts(database)).toEqual(none)
      throw new Stop()
    })
    await expect(left).rejects.toThrow(Stop)
    expect(await counts(database)).toEqual(none)

    const accepted = await order(kern, 2, async () => expect(await counts(database)).toEqual(none))
    expect(accepted).toEqual({ runId: accepted.runId, sessionId: accepted.sessionId, number: 1, repeated: false })
    expect(await kern.waitForRun(accepted.runId)).toMatchObject({ status: 'COMPLETED', output: { sent: 2 } })
    expect(await counts(database)).toEqual({ orders: 1, runs: 1, sessions: 1, events: 1 })
  })

  test('a connection that is cut before the commit leaves neither the rows nor the run', async () => {
    const kern = await startKern(database, [ship])
    await database.db.execute(sql`truncate orders`)
    await database.db.execute(sql`delete from kern.sessions`)
    const client = connect(url, { max: 1, onnotice: () => {} })
    ends.push(() => client.end({ timeout: 5 }))
    const db = drizzleOnPostgresJs({ client })
    const cut = db.transaction(async (tx) => {
      await tx.insert(orders).values({ id: 3, what: 'a book' })
      await kern.run(ship, { input: { order: 3 }, sessionId: 's', tx })
      const [own] = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
      await database.db.execute(sql`select pg_terminate_backend(${own?.pid}::int)`)
      // The driver gives the transaction up. Whatever it is asked to send by then would end the process.
      await new Promise(() => {})
    })
    await expect(cut).rejects.toThrow()
    expect(await counts(database)).toEqual({ orders: 0, runs: 0, sessions: 0, events: 0 })
    // Nothing is left locked.
    expect(await kern.run(ship, { input: { order: 4 }, sessionId: 's' })).toMatchObject({
      status: 'COMPLETED',
      number: 1,
    })
  })

  test('another database is refused, with Kern in it or without', async () => {
    const kern = await startKern(database, [ship])
    const other = await freshPostgres()
    if (other.kind !== 'postgres') throw new Error('it is a server')
    const client = connect(other.url, { max: 1, onnotice: () => {} })
    ends.push(() => client.end({ timeout: 5 }))
    const db = drizzleOnPostgresJs({ client })
    const start = () => db.transaction((tx) => kern.run(ship, { input: { order: 1 }, tx }))
    await expect(start()).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'tx is a transaction on another database: allowed is one on the database of this Kern',
    })
    await client.unsafe('drop schema kern cascade')
    await expect(start()).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'tx is on a database without this version of Kern: allowed is one on the database of this Kern',
    })
  })
})

onEachDatabase((_name, open) => {
  async function shop(): Promise<{ readonly kern: Kern; readonly database: Database }> {
    const database = await open()
    await database.db.execute(CREATE)
    return { kern: await startKern(database, [ship]), database }
  }

  test("rows of the caller and a run are committed together, and rolled back together, in Kern's own transaction", async () => {
    const { kern, database } = await shop()
    const place = (id: number, then: () => void) =>
      kern.transaction(async (tx) => {
        await tx.query('insert into orders values ($1, $2)', [id, 'a book'])
        const run = await kern.run(ship, {
          input: { order: id },
          sessionId: `s${id}`,
          sessionState: { paid: true },
          tx,
        })
        then()
        return run
      })
    const stop = () => {
      throw new Stop()
    }
    await expect(place(1, stop)).rejects.toThrow(Stop)
    expect(await counts(database)).toEqual({ orders: 0, runs: 0, sessions: 0, events: 0 })
    const { runId } = await place(2, () => undefined)
    expect(await kern.waitForRun(runId)).toMatchObject({ status: 'COMPLETED', stateBefore: { paid: true } })
    expect(await counts(database)).toEqual({ orders: 1, runs: 1, sessions: 1, events: 1 })
  })

  test('Drizzle writes in a transaction of Kern through its proxy driver', async () => {
    const { kern, database } = await shop()
    const drizzled = (tx: KernTransaction) =>
      drizzleOnProxy(async (statement, params, method) => {
        const found = await tx.query(statement, params)
        return { rows: method === 'all' ? found.map((row) => Object.values(row)) : found }
      })
    await kern.transaction(async (tx) => {
      await drizzled(tx).insert(orders).values({ id: 1, what: 'a book' })
      expect(await drizzled(tx).select().from(orders)).toEqual([{ id: 1, what: 'a book' }])
      await kern.run(ship, { input: { order: 1 }, tx })
    })
    await kern.idle()
    expect(await counts(database)).toMatchObject({ orders: 1, runs: 1 })
  })

  test('a refusal leaves the transaction as it was, and it can go on', async () => {
    const { kern, database } = await shop()
    await kern.run(ship, { input: { order: 0 }, sessionId: 's', userId: 'ann', idempotencyKey: 'k' })
    await kern.transaction(async (tx) => {
      // @ts-expect-error the input has another type
      await expect(kern.run(ship, { input: { order: 'one' }, tx })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      await expect(kern.run('shop', { tx })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const asked = { input: { order: 1 }, tx }
      await expect(kern.run(ship, { ...asked, onBusy: 'INTERRUPT' })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
      await expect(kern.run(ship, { ...asked, sessionId: 's', userId: 'bob' })).rejects.toMatchObject({
        code: 'CONFLICT',
        message: 'session "s" belongs to user "ann": give another sessionId',
      })
      await expect(kern.run(ship, { ...asked, userId: 'ann', idempotencyKey: 'k' })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
      await kern.run(ship, { ...asked, sessionId: 'busy' })
      await expect(kern.run(ship, { ...asked, sessionId: 'busy', onBusy: 'REJECT' })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
      await tx.query('insert into orders values (1, $1)', ['a book'])
    })
    await kern.idle()
    expect(await counts(database)).toMatchObject({ orders: 1, runs: 2 })
  })

  test('a key gives the run that was started with it before, in a transaction or not', async () => {
    const { kern } = await shop()
    const asked = { input: { order: 1 }, sessionId: 's', idempotencyKey: 'k' }
    const first = await kern.transaction((tx) => kern.run(ship, { ...asked, tx }))
    expect(await kern.run(ship, asked)).toMatchObject({ runId: first.runId, status: 'COMPLETED' })
    const again = await kern.transaction((tx) => kern.run(ship, { ...asked, tx }))
    expect(again).toEqual({ ...first, repeated: true })
  })

  test('what is no transaction is refused', async () => {
    const { kern } = await shop()
    // `as`: a caller without the compiler's help.
    const tx = {} as CallerTransaction
    await expect(kern.run(ship, { input: { order: 1 }, tx })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    const odd = { execute: async () => 'done' }
    await expect(kern.run(ship, { input: { order: 1 }, tx: odd })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })

  test('a run can be waited for by its id, also when it is over', async () => {
    const { kern } = await shop()
    const { runId } = await kern.run(ship, { input: { order: 1 } })
    expect(await kern.waitForRun(runId)).toMatchObject({ runId, output: { sent: 1 } })
    await expect(kern.waitForRun('x')).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(kern.waitForRun('00000000-0000-7000-8000-000000000000')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
