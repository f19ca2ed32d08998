import type { DatabaseUrl } from '../config.ts'
import { DEFAULT_DEADLINE_MS, type Database, type OpenOptions } from './database.ts'
import { openEmbedded } from './embedded.ts'
import { migrate } from './migrate.ts'
import { openPostgres } from './postgres.ts'

export type { Database, Driver, Listen, OpenOptions } from './database.ts'
export type { Listener } from './listener.ts'
export type { Db, Tx } from './session.ts'
export { rows, send } from './session.ts'

/**
 * Opens a database. An embedded one is brought to the schema of this version at once, as nobody else can do it; a
 * Postgres server is not asked anything before the first statement, see `assertMigrated`.
 *
 * @throws KernError DATABASE_LOCKED if an embedded database is open in another process
 */
export async function openDatabase(url: DatabaseUrl, options: OpenOptions = {}): Promise<Database> {
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS[url.kind]
  if (url.kind === 'postgres') return openPostgres({ url: url.url, maxConnections: url.maxConnections, deadlineMs })

  const folder = url.kind === 'pglite' ? url.folder : null
  const database = await openEmbedded({ folder, image: options.image, deadlineMs })
  try {
    if (options.migrate ?? true) await migrate(database)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}
