import { eq, sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { postgres } from '../../src/config.ts'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { runs, workers } from '../../src/db/tables.ts'
import { transaction } from '../../src/db/transaction.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'

/** Two connections, and no deadline that would free them before the test does. */
async function openSmall(): Promise<{ readonly database: Database; readonly observer: Database }> {
  const url = await freshPostgres()
  if (url.kind !== 'postgres') throw new Error('not Postgres')
  const database = await openDatabase(postgres(url.url, { maxConnections: 2 }), { deadlineMs: 600_000 })
  onTestFinished(() => database.close())
  const observer = await openDatabase(url)
  onTestFinished(() => observer.close())
  return { database, observer }
}

/** Holds both connections of the pool that all parts share; resolves when it has them. */
async function occupy({ db }: Database): Promise<{ free(): Promise<void> }> {
  const gates = [createGate(), createGate()]
  const holders = gates.map((gate) =>
    transaction(db, async (tx) => {
      await rows(tx, sql`select 1`)
      await gate.pass()
    }),
  )
  const free = async () => {
    for (const gate of gates) gate.open()
    await Promise.all(holders)
  }
  onTestFinished(free)
  await Promise.all(gates.map(({ reached }) => reached))
  return { free }
}

onEachDatabase((name, open) => {
  test('the reserved connections lead to the same database', async () => {
    const database = await open()
    await database.reserved.insert(workers).values({ workerId: newId(), host: 'here', pid: 1 })
    expect(await database.db.select({ pid: workers.pid }).from(workers)).toEqual([{ pid: 1 }])
    // A second Db on the one connection would only add another deadline beside the first.
    expect(database.reserved === database.db).toBe(name === 'PGlite')
  })

  test('the reserved connections are closed with the database', async () => {
    const database = await open()
    await rows(database.reserved, sql`select 1`)
    await database.close()
    await expect(rows(database.reserved, sql`select 1`)).rejects.toThrow()
  })
})

test('a statement on the reserved connections is answered while all others are in use', async () => {
  const { database } = await openSmall()
  await occupy(database)
  expect(await rows(database.reserved, sql`select 1 as one`)).toEqual([{ one: 1 }])
  expect(await transaction(database.reserved, (tx) => rows(tx, sql`select 2 as two`))).toEqual([{ two: 2 }])
})

test('there are two reserved connections beside those of the pool', async () => {
  const { database } = await openSmall()
  await occupy(database)
  const connections = sql`select count(*)::int as n from pg_stat_activity
    where application_name = 'kern' and datname = current_database()`
  const count = async () => (await rows<{ n: number }>(database.reserved, connections))[0]?.n
  const gate = createGate()
  const held = transaction(database.reserved, async (tx) => {
    await rows(tx, sql`select 1`)
    await gate.pass()
  })
  await gate.reached
  // One that made the tables may be on its way out still.
  await expect.poll(count, PATIENCE).toBe(4)
  gate.open()
  await held
  expect(await Promise.all(Array.from({ length: 20 }, count))).toEqual(Array.from({ length: 20 }, () => 4))
})

test('a worker shows that it lives, and records what its runs did, while readers hold all other connections', async () => {
  const { database, observer } = await openSmall()
  const gate = createGate()
  const definition = defineWorkflow({ name: 'Busy', steps: [step('wait', () => gate.pass().then(() => 'done'))] })
  const kern = await startKern(database, [{ definition }], { heartbeatMs: 20 })
  const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: definition.id })
  await gate.reached
  const { free } = await occupy(database)

  const heartbeat = async () => (await observer.db.select({ at: workers.heartbeatAt }).from(workers))[0]?.at.getTime()
  const before = await heartbeat()
  await expect.poll(heartbeat, PATIENCE).toBeGreaterThan(before ?? Number.NaN)

  gate.open()
  const status = async () => (await observer.db.select().from(runs).where(eq(runs.runId, runId)))[0]?.status
  await expect.poll(status, PATIENCE).toBe('COMPLETED')
  await free()
})
