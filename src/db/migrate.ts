import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { migrate as applyMigrations } from 'drizzle-orm/pg-core'
import { KernError, shown } from '../errors.ts'
import type { Database } from './database.ts'
import { asKernError, databaseCode } from './errors.ts'
import { type Db, rows } from './session.ts'

const SCHEMA = 'kern'
const TABLE = '__drizzle_migrations'

/** "kern" in ASCII: the number of the lock that migrators of one database share. */
const LOCK = 0x6b65726e
/** How long to wait for another migrator. */
const LOCK_WAIT = '60s'
/** How long a migration may hold up others while it waits for a table itself. */
const TABLE_WAIT = '2s'
const TABLE_ATTEMPTS = 10
const TABLE_PAUSE_MS = 500

/**
 * Brings the database to the schema of this version; does nothing if it is there already. Of several processes that
 * migrate one database at a time, one works and the others wait.
 *
 * @throws KernError SCHEMA_OUTDATED if a newer version has migrated the database
 * @throws KernError UNAVAILABLE if the database, or a table that is in use, could not be had in time
 */
export async function migrate(database: Database): Promise<void> {
  try {
    await database.dedicated(async (db) => {
      await (database.kind === 'postgres' ? migrateAlone(db) : apply(db))
    })
  } catch (error) {
    throw asKernError(error)
  }
}

/**
 * @throws KernError SCHEMA_OUTDATED if migrations are missing, or if the database has some that this version does not
 *   know
 */
export async function assertMigrated(database: Database): Promise<void> {
  const { missing, unknown } = await compare(database.db).catch((error: unknown) => {
    throw asKernError(error)
  })
  refuseNewer(unknown)
  const [first] = missing
  if (first !== undefined) {
    throw new KernError(
      'SCHEMA_OUTDATED',
      `the schema of the ${database.describe()} is out of date: ${counted(missing)} missing, from ` +
        `${shown(first)} on. Run \`kern migrate\``,
    )
  }
}

function counted({ length }: readonly string[]): string {
  return length === 1 ? '1 migration is' : `${length} migrations are`
}

/** The lock belongs to the connection, which this function has for itself, and is given back when that ends. */
async function migrateAlone(db: Db): Promise<void> {
  await rows(db, sql.raw(`set lock_timeout = '${LOCK_WAIT}'`))
  await rows(db, sql`select pg_advisory_lock(${LOCK}::int8)`)
  await rows(db, sql.raw(`set lock_timeout = '${TABLE_WAIT}'`))
  for (let attempt = 1; ; attempt++) {
    try {
      return await apply(db)
    } catch (error) {
      // A statement that waits for a table makes all later users of the table wait behind it: better let go and ask again.
      if (databaseCode(error) !== '55P03' || attempt === TABLE_ATTEMPTS) throw error
      await delay(TABLE_PAUSE_MS)
    }
  }
}

async function apply(db: Db): Promise<void> {
  const { missing, unknown } = await compare(db)
  refuseNewer(unknown)
  if (missing.length === 0) return
  await applyMigrations(readMigrations(), db, {
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

async function compare(db: Db): Promise<Comparison> {
  const known = readMigrations().map(({ name }) => name)
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

function readMigrations(): ReturnType<typeof readMigrationFiles> {
  const migrations = readMigrationFiles({ migrationsFolder: migrationsFolder() })
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
