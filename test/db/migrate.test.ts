import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { migrate as applyMigrations } from 'drizzle-orm/pg-core'
import { expect, test } from 'vitest'
import { pglite } from '../../src/config.ts'
import { openDatabase, rows } from '../../src/db/client.ts'
import { assertMigrated, migrate } from '../../src/db/migrate.ts'
import { sessions } from '../../src/db/tables.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'

const EMPTY = sql`drop schema kern cascade`

const FOLDER = join(import.meta.dirname, '../../drizzle')

const RUN_ID = '00000000-0000-7000-8000-000000000001'

/** Something of everything that the first version stored. */
const STORED = [
  sql`insert into kern.sessions (session_id, workflow_id, workflow_name, display_name, state, workflow_data, tags,
        run_count, created_at, updated_at)
      values ('s', 'w', 'W', 'S', '{"n":1}', '{}', '{}', 1, now(), now())`,
  sql`insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status,
        input_preview, history_run_ids, tags, step_count, attempt_count, created_at, completed_at)
      values (${RUN_ID}::uuid, 's', 1, 'w', 'W', 'v', 'COMPLETED', 'in', '{}', '{t}', 1, 1, now(), now())`,
  sql`insert into kern.run_payloads (run_id, input, output) values (${RUN_ID}::uuid, '"in"', '"out"')`,
  sql`insert into kern.step_results (run_id, path, position, name, kind, status, input_from, output, history_used,
        stops_run, max_attempts, attempts, started_at, completed_at)
      values (${RUN_ID}::uuid, 'one', 0, 'one', 'step', 'COMPLETED', 'run', '"out"', false, false, 1, '[]', now(), now())`,
  sql`insert into kern.run_events (run_id, seq, type, at) values (${RUN_ID}::uuid, 1, 'RUN_QUEUED', now())`,
]

onEachDatabase((_name, open) => {
  test('an empty database is refused with the command that helps, and migrated', async () => {
    const database = await open()
    await rows(database.db, EMPTY)
    await expect(assertMigrated(database)).rejects.toMatchObject({
      code: 'SCHEMA_OUTDATED',
      message: expect.stringMatching(/: (1 migration is|([2-9]|\d\d) migrations are) missing, .*`kern migrate`/),
    })
    await migrate(database)
    await assertMigrated(database)
    expect(await database.db.select().from(sessions)).toEqual([])
  })

  test('a database that has the schema already, but none of its tables, is migrated', async () => {
    const database = await open()
    await rows(database.db, EMPTY)
    await rows(database.db, sql`create schema kern`)
    await migrate(database)
    await assertMigrated(database)
  })

  test('migrating a second time changes nothing', async () => {
    const database = await open()
    const applied = sql`select * from kern.__drizzle_migrations order by id`
    const before = await rows(database.db, applied)
    await migrate(database)
    expect(await rows(database.db, applied)).toEqual(before)
    expect(before.length).toBeGreaterThan(0)
  })

  test('a database of the first version is brought to this one, with what is stored in it', async () => {
    const database = await open()
    const { db } = database
    await rows(db, EMPTY)
    const [first] = readMigrationFiles({ migrationsFolder: FOLDER })
    if (!first) throw new Error('there is no first migration')
    // The schema is there by then, as the table of migrations is in it.
    const withoutSchema = { ...first, sql: first.sql.slice(1) }
    await applyMigrations([withoutSchema], db, {
      migrationsFolder: FOLDER,
      migrationsSchema: 'kern',
      migrationsTable: '__drizzle_migrations',
    })
    for (const statement of STORED) await rows(db, statement)
    await expect(assertMigrated(database)).rejects.toMatchObject({ code: 'SCHEMA_OUTDATED' })
    await migrate(database)
    await assertMigrated(database)

    const reader = createReaderFor(db)(SYSTEM_VIEWER)
    expect(await reader.sessions(['s'])).toMatchObject([{ state: { n: 1 }, runCount: 1 }])
    const kept = { status: 'COMPLETED', stepCount: 1, lastSeq: 1, tags: ['t'] }
    expect(await reader.runs([RUN_ID])).toMatchObject([{ ...kept, answers: 0, wakeAt: null, usage: null }])
    expect(await reader.payloads([RUN_ID])).toMatchObject([{ input: 'in', output: 'out' }])
    const step = { path: 'one', input: 'in', output: 'out', decision: undefined, partialOutput: undefined }
    expect(await reader.steps([RUN_ID])).toMatchObject([[{ ...step, pending: null, answer: null, usage: null }]])
    const events = await reader.events(RUN_ID, { afterSeq: 0, limit: 9, types: null })
    expect(events).toMatchObject([{ seq: 1, type: 'RUN_QUEUED' }])
  })

  test('a database that a newer version has migrated is refused, and not changed', async () => {
    const database = await open()
    await rows(
      database.db,
      sql`insert into kern.__drizzle_migrations (hash, name) values ('x', '29990101000000_future')`,
    )
    for (const refusing of [assertMigrated, migrate]) {
      await expect(refusing(database)).rejects.toMatchObject({
        code: 'SCHEMA_OUTDATED',
        message: expect.stringMatching(/has 1 migration that .*"29990101000000_future".*newer version/),
      })
    }
  })

  test('a migration that fails half way leaves nothing behind, and succeeds the next time', async () => {
    const database = await open()
    await rows(database.db, EMPTY)
    await rows(database.db, sql`create schema kern`)
    await rows(database.db, sql`create table kern.workers (in_the_way int)`)
    await expect(migrate(database)).rejects.toMatchObject({ code: 'INTERNAL' })
    const tables = sql`select table_name from information_schema.tables where table_schema = 'kern' and table_name not like '\\_\\_%'`
    expect(await rows(database.db, tables)).toEqual([{ table_name: 'workers' }])
    await rows(database.db, sql`drop table kern.workers`)
    await migrate(database)
    await assertMigrated(database)
  })
})

test('of many that migrate an empty Postgres database at the same time, one does it and all succeed', async () => {
  const url = await freshPostgres()
  const databases = await Promise.all(Array.from({ length: 5 }, () => openDatabase(url)))
  const [first] = databases
  if (!first) throw new Error('no database')
  await rows(first.db, EMPTY)
  await Promise.all(databases.map((database) => migrate(database)))
  await assertMigrated(first)
  const [count] = await rows<{ n: number }>(
    first.db,
    sql`select count(*)::int as n, count(distinct name)::int as d from kern.__drizzle_migrations`,
  )
  expect(count).toMatchObject({ n: expect.any(Number), d: count?.n })
  await Promise.all(databases.map((database) => database.close()))
})

test('an embedded database in a folder is migrated when it is opened, unless that is refused', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kern-migrate-'))
  const url = pglite(join(root, 'data'))
  {
    await using database = await openDatabase(url, { migrate: false })
    await expect(assertMigrated(database)).rejects.toThrow('is out of date')
  }
  {
    await using database = await openDatabase(url)
    await assertMigrated(database)
  }
  rmSync(root, { recursive: true })
})
