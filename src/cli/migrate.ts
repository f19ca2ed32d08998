import type { Command } from 'commander'
import { type DatabaseUrl, readConfig } from '../config.ts'
import { isKernError, KernError } from '../errors.ts'
import { reaching } from './database.ts'
import type { Terminal } from './terminal.ts'

interface Flags {
  readonly database?: string
}

/** `kern migrate`: brings the database to the schema of this version. */
export function addMigrate(program: Command, terminal: Terminal): void {
  program
    .command('migrate')
    .description('Bring the database to the schema of this version.')
    .option('-d, --database <url>', 'The database: pglite:<folder> or postgres://… (DATABASE_URL).')
    .action(async ({ database: databaseUrl }: Flags) => {
      const config = readConfig(undefined, { databaseUrl })
      const url = config.databaseUrl
      if (url.kind === 'memory') throw nothingRemains()
      terminal.out(`${await reaching(url, () => migrated(url))}.\n`)
    })
}

function nothingRemains(): KernError {
  const message = 'the database is "pglite:memory": allowed is pglite:<folder> or postgres://…, as nothing would remain'
  return new KernError('CONFIG_INVALID', message)
}

/** Migrates the database and says what was done. */
async function migrated(url: DatabaseUrl): Promise<string> {
  const { openDatabase } = await import('../db/client.ts')
  const { assertMigrated, migrate } = await import('../db/migrate.ts')
  await using database = await openDatabase(url, { migrate: false })
  const current = await assertMigrated(database).then(
    () => true,
    (error: unknown) => {
      // What else is wrong with the schema, `migrate` says.
      if (!isKernError(error, 'SCHEMA_OUTDATED')) throw error
      return false
    },
  )
  await migrate(database)
  return `${database.describe()} ${current ? 'has the schema of this version already' : 'is migrated'}`
}
