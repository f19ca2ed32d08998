import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { type Database, rows } from '../../src/db/client.ts'
import { asKernError } from '../../src/db/errors.ts'
import { assertMigrated, migrate } from '../../src/db/migrate.ts'
import { transaction } from '../../src/db/transaction.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'
import { temporary } from '../support/places.ts'
import { startProcess } from '../support/process.ts'
import { startProxy } from '../support/proxy.ts'
import { LOAD, openAt, startLoad } from '../trouble/load.ts'

const FOLDER = join(import.meta.dirname, '../../drizzle')

async function freshUrl(): Promise<string> {
  const fresh = await freshPostgres()
  if (fresh.kind !== 'postgres') throw new Error('not Postgres')
  return fresh.url
}

/** The migrations of a later version, which adds a column to a table that is in use. */
async function laterMigrations(): Promise<string> {
  const folder = join(await temporary(), 'drizzle')
  await cp(FOLDER, folder, { recursive: true })
  await mkdir(join(folder, '29990101000000_later'))
  await writeFile(
    join(folder, '29990101000000_later/migration.sql'),
    'ALTER TABLE "kern"."runs" ADD COLUMN "later" text;',
  )
  return folder
}

const columns = sql`select column_name from information_schema.columns
  where table_schema = 'kern' and table_name = 'runs' and column_name = 'later'`

test('a table that others read and write is changed under them, without holding them up, by one of two migrators', async () => {
  const url = await freshUrl()
  const observer = await openAt(url)
  const folder = await laterMigrations()
  const kern = await startKern(await openAt(url), [LOAD], { heartbeatMs: 500, pollMs: 100 })
  const load = startLoad(kern, observer, { clients: 4 })
  await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(5)

  // Somebody reads the table for a long time: what wants to change it has to wait, and everybody else behind it.
  const report = createGate()
  const reading = transaction((await openAt(url, { deadlineMs: 60_000 })).db, async (tx) => {
    await rows(tx, sql`select 1 from kern.runs limit 1`)
    await report.pass()
  })
  await report.reached
  const migrating = Promise.all([migrate(await openAt(url), folder), migrate(await openAt(url), folder)])
  const waits = sql`select 1 from pg_locks where mode = 'AccessExclusiveLock' and not granted
    and relation = 'kern.runs'::regclass`
  for (let round = 0; round < 2; round++) {
    await expect.poll(async () => (await rows(observer.db, waits)).length, PATIENCE).toBeGreaterThan(0)
    const before = load.accepted()
    await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 5)
  }
  expect(await rows(observer.db, columns)).toEqual([])
  report.open()
  await reading
  await migrating
  expect(await rows(observer.db, columns)).toHaveLength(1)
  const before = load.accepted()
  await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 5)
  await load.finish()
  expect(load.unavailable()).toBe(0)
})

async function dropAll({ db }: Database): Promise<void> {
  await rows(db, sql`drop schema if exists kern, kern_jobs cascade`)
}

/** What of Kern is in the database: all or nothing, whatever became of who migrated it. */
async function expectAllOrNothing({ db }: Database): Promise<void> {
  const found = sql`select count(*)::int as n from pg_class c join pg_namespace s on s.oid = c.relnamespace
    where s.nspname = 'kern' and c.relkind = 'r'`
  const names = sql`select count(*)::int as n from pg_tables where schemaname = 'kern' and tablename = '__drizzle_migrations'`
  const [tables, applied] = [await rows<{ n: number }>(db, found), await rows<{ n: number }>(db, names)]
  if (applied[0]?.n === 0) expect(tables).toEqual([{ n: 0 }])
  else expect(await rows(db, sql`select count(*) > 0 as some from kern.__drizzle_migrations`)).toEqual([{ some: true }])
}

test('a migration that is cut off at any statement leaves nothing behind, and the next one does it all', async () => {
  const url = await freshUrl()
  const observer = await openAt(url)
  const { hostname, port } = new URL(url)
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  let cuts = 0
  for (let piece = 2, cut = true; cut; piece += 14) {
    await dropAll(observer)
    cut = false
    proxy.cutAt(piece, () => {
      cut = true
    })
    const database = await openAt(url, { port: proxy.port })
    const outcome: unknown = await migrate(database).catch((error: unknown) => error)
    await database.close()
    if (!cut) break
    cuts++
    // What was sent after the last statement, at the end of the connection, may be cut off too.
    if (outcome !== undefined) expect(asKernError(outcome)).toMatchObject({ code: 'UNAVAILABLE' })
    await expectAllOrNothing(observer)
    await migrate(observer)
    await assertMigrated(observer)
  }
  proxy.cutAt(Number.POSITIVE_INFINITY)
  expect(cuts).toBeGreaterThan(5)
})

test('the process that migrates can be killed in the middle, and the next one does it all', async () => {
  const url = await freshUrl()
  const observer = await openAt(url)
  const { hostname, port } = new URL(url)
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const through = new URL(url)
  through.port = String(proxy.port)
  for (const piece of [20, 60]) {
    await dropAll(observer)
    await using migrator = startProcess(await temporary(), ['migrate', '--database', through.href])
    proxy.cutAt(piece, () => migrator.child.kill('SIGKILL'))
    expect(await migrator.ended).toMatchObject({ signal: 'SIGKILL' })
    await expectAllOrNothing(observer)
    await migrate(observer)
    await assertMigrated(observer)
  }
})
