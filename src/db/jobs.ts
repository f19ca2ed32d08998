import { sql } from 'drizzle-orm'
import type { ConstructorOptions, PgBoss } from 'pg-boss'
import { KernError } from '../errors.ts'
import type { Database, Driver } from './database.ts'
import { asKernError } from './errors.ts'
import { rows } from './session.ts'

/** Where pg-boss keeps its jobs: beside the tables of Kern, and apart from those of an application that uses it too. */
const SCHEMA = 'kern_jobs'

/** One for what is sent and fetched, one for maintenance, which must not hold that up. */
const CONNECTIONS = 2
const CONNECT_TIMEOUT_MS = 4_500
/** The server gives up first, so that nothing goes on that nobody waits for. */
const STATEMENT_TIMEOUT_MS = 4_000
const QUERY_TIMEOUT_MS = 4_500

/** What may be asked of pg-boss beyond where it is. */
export type BossOptions = Pick<
  ConstructorOptions,
  'schedule' | 'supervise' | 'cronMonitorIntervalSeconds' | 'cronWorkerIntervalSeconds'
>

/** What is not used: each of these would ask the database something again and again. */
const UNUSED = {
  registerInstance: false,
  persistWarnings: false,
  monitorVacuum: false,
  reindex: false,
  flowIntervalSeconds: 3_600,
} as const satisfies Partial<ConstructorOptions>

/**
 * Opens pg-boss on a database: by a small pool of its own, or by the one connection of an embedded database. It is
 * loaded only when it is needed.
 *
 * @param onError told of what fails in the background, which never ends the process
 * @throws KernError SCHEMA_OUTDATED if the tables of jobs are missing or of another version, UNAVAILABLE
 */
export async function openBoss(
  driver: Driver,
  options: BossOptions,
  onError: (error: unknown) => void,
): Promise<PgBoss> {
  // Nobody else can have an embedded database open: it is brought up to date when somebody first needs jobs.
  const boss = await createBoss(driver, { ...options, migrate: driver.kind === 'pglite' })
  boss.on('error', (error: unknown) => {
    // The whole connection, with its password, would be in the log.
    if (error instanceof Error) Reflect.deleteProperty(error, 'client')
    onError(error)
  })
  try {
    return await boss.start()
  } catch (error) {
    await boss.stop({ graceful: false }).catch(onError)
    throw startError(error)
  }
}

/** Brings the tables of jobs on a server to the version of this pg-boss. Processes that do so at once take turns. */
export async function migrateJobs({ driver }: Database): Promise<void> {
  if (driver.kind === 'pglite') return
  const failures: unknown[] = []
  const boss = await createBoss(driver, { migrate: true, schedule: false, supervise: false })
  boss.on('error', (error) => failures.push(error))
  try {
    await boss.start()
  } catch (error) {
    throw asKernError(error)
  } finally {
    await boss.stop({ graceful: false })
  }
}

/** @throws KernError SCHEMA_OUTDATED if there are no tables of jobs on a server */
export async function assertJobs({ db, driver }: Database): Promise<void> {
  if (driver.kind === 'pglite') return
  const [found] = await rows<{ exists: boolean }>(
    db,
    sql`select to_regclass('kern_jobs.version') is not null as exists`,
  )
  if (!found?.exists) throw outdated('the tables of jobs are missing')
}

async function createBoss(driver: Driver, options: ConstructorOptions): Promise<PgBoss> {
  const { fromPglite, PgBoss } = await import('pg-boss')
  const all = { ...UNUSED, ...options, schema: SCHEMA }
  if (driver.kind === 'pglite') return new PgBoss({ ...all, db: fromPglite(driver.client), backend: 'pglite' })
  // The pool hands on what it does not know to the driver, whose deadlines are not among the types of pg-boss.
  const deadlines = { query_timeout: QUERY_TIMEOUT_MS, statement_timeout: STATEMENT_TIMEOUT_MS, keepAlive: true }
  return new PgBoss({
    ...all,
    ...(options.migrate === true ? {} : deadlines),
    connectionString: asLibpqReadsIt(driver.url),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    max: CONNECTIONS,
    application_name: 'kern jobs',
  })
}

/** The two drivers understand `sslmode` in different ways; this is how the other one, and libpq, do. */
function asLibpqReadsIt(text: string): string {
  const url = new URL(text)
  if (url.searchParams.has('sslmode')) url.searchParams.set('uselibpqcompat', 'true')
  return url.href
}

function startError(error: unknown): KernError {
  const message = error instanceof Error ? error.message : ''
  return /not installed|requires migrations/.test(message) ? outdated(message, error) : asKernError(error)
}

function outdated(what: string, cause?: unknown): KernError {
  return new KernError('SCHEMA_OUTDATED', `the database has no jobs of this version (${what}). Run \`kern migrate\``, {
    cause,
  })
}
