import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { migrate as applyMigrations } from 'drizzle-orm/pg-core'
import { KernError, shown } from '../errors.ts'
import type { Database } from './database.ts'
import { asKernError, databaseCode } from './errors.ts'
import { assertJobs, migrateJobs } from './jobs.ts'
import { type Db, rows } from './session.ts'

const SCHEMA = 'kern'
const TABLE = '__drizzle_migrations'

/** "kern" in ASCII: the number of the lock that migrators of one database share. */
const LOCK = 0x6b65726e
/** How long to wait for another migrator. */
const LOCK_WAIT = '60s'
/** How long a migration may hold up others while it waits for a table itself. */
const TABLE_WAIT = '500ms'
const TABLE_ATTEMPTS = 60
const TABLE_PAUSE_MS = 500

/**
 * Brings the database to the schema of this version, or leaves it as it is where that fails; does nothing if it is there
 * already. Of several processes that migrate one database at a time, one works and the others wait.
 *
 * @param folder where the migrations are; those of this version if it is left out
 * @throws KernError SCHEMA_OUTDATED if a newer version has migrated the database
 * @throws KernError UNAVAILABLE if the database, or a table that is in use, could not be had in time
 */
export async function migrate(database: Database, folder: string = migrationsFolder()): Promise<void> {
  try {
    await database.dedicated(async (db) => {
      const migrations = readMigrations(folder)
      await (database.kind === 'postgres'
        ? migrateAlone(db, migrations)
        : db.transaction((tx) => apply(tx, migrations)))
    })
    await migrateJobs(database)
  } catch (error) {
    throw asKernError(error)
  }
}

/**
 * @throws KernError SCHEMA_OUTDATED if migrations are missing, or if the database has some that this version does not
 *   know
 */
export async function assertMigrated(database: Database): Promise<void> {
  const { missing, unknown } = await compare(database.db, readMigrations(migrationsFolder())).catch(
    (error: unknown) => {
      throw asKernError(error)
    },
  )
  refuseNewer(unknown)
  const [first] = missing
  if (first !== undefined) {
    throw new KernError(
      'SCHEMA_OUTDATED',
      `the schema of the ${database.describe()} is out of date: ${counted(missing)} missing, from ` +
        `${shown(first)} on. Run \`kern migrate\``,
    )
  }
  await assertJobs(database)
}

function counted({ length }: readonly string[]): string {
  return length === 1 ? '1 migration is' : `${length} migrations are`
}

/** The lock belongs to the transaction that does the work: whoever loses its connection has lost both. */
async function migrateAlone(db: Db, migrations: Migrations): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction(async (tx) => {
        await rows(tx, sql.raw(`set local lock_timeout = '${LOCK_WAIT}'`))
        await rows(tx, sql`select pg_advisory_xact_lock(${LOCK}::int8)`)
        await rows(tx, sql.raw(`set local lock_timeout = '${TABLE_WAIT}'`))
        await apply(tx, migrations)
      })
    } catch (error) {
      // A statement that waits for a table makes all later users of the table wait behind it: better let go and ask again.
      if (databaseCode(error) !== '55P03' || attempt === TABLE_ATTEMPTS) throw error
      await delay(TABLE_PAUSE_MS * (0.5 + Math.random()))
    }
  }
}

async function apply(db: Db, migrations: Migrations): Promise<void> {
  const { missing, unknown } = await compare(db, migrations)
  refuseNewer(unknown)
  if (missing.length === 0) return
  await applyMigrations(migrations, db, {
    migrationsFolder: '',
    migrationsSchema: SCHEMA,
    migrationsTable: TABLE,
  })
}

function refuseNewer(unknown: readonly string[]): void {
  const [first] = unknown
  if (first === undefined) return
  throw new KernError(
    'SCHEMA_OUTDATED',
    `the database has ${unknown.length} ${unknown.length === 1 ? 'migration' : 'migrations'} that this version of Kern does not know, from ${shown(first)} on: a ` +
      'newer version has migrated it. Start that version',
  )
}

interface Comparison {
  readonly missing: readonly string[]
  readonly unknown: readonly string[]
}

async function compare(db: Db, migrations: Migrations): Promise<Comparison> {
  const known = migrations.map(({ name }) => name)
  const applied = await appliedMigrations(db)
  return {
    missing: known.filter((name) => !applied.includes(name)),
    unknown: applied.filter((name) => !known.includes(name)),
  }
}

async function appliedMigrations(db: Db): Promise<string[]> {
  const [table] = await rows<{ exists: boolean }>(
    db,
    sql`select to_regclass(${`${SCHEMA}.${TABLE}`}) is not null as exists`,
  )
  if (!table?.exists) return []
  const names = sql`select name from ${sql.identifier(SCHEMA)}.${sql.identifier(TABLE)} order by id`
  return (await rows<{ name: string }>(db, names)).map(({ name }) => name)
}

type Migrations = ReturnType<typeof readMigrationFiles>

function readMigrations(folder: string): Migrations {
  const migrations = readMigrationFiles({ migrationsFolder: folder })
  // The table of migrations is kept in the same schema, so the schema exists before the first migration makes it.
  const tolerant = (statement: string): string =>
    statement.replace(/^\s*CREATE SCHEMA "/, 'CREATE SCHEMA IF NOT EXISTS "')
  return migrations.map((migration) => ({ ...migration, sql: migration.sql.map(tolerant) }))
}

/** The folder `drizzle` of the package, which is two levels above this file in the sources and three in a build. */
function migrationsFolder(): string {
  for (let folder = import.meta.dirname; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return join(folder, 'drizzle')
  }
  throw new KernError('INTERNAL', `no package.json above ${import.meta.dirname}: the migrations of Kern are beside it`)
}
