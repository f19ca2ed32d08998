import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { isKernError } from '../errors.ts'
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
      const { openDatabase } = await import('../db/client.ts')
      const { assertMigrated, migrate } = await import('../db/migrate.ts')
      await using database = await openDatabase(config.databaseUrl, { migrate: false })
      const current = await assertMigrated(database).then(
        () => true,
        (error: unknown) => {
          // What else is wrong with the schema, `migrate` says.
          if (!isKernError(error, 'SCHEMA_OUTDATED')) throw error
          return false
        },
      )
      await migrate(database)
      terminal.out(`${database.describe()} ${current ? 'has the schema of this version already' : 'is migrated'}.\n`)
    })
}
