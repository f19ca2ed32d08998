import { systemClock } from './clock.ts'
import { checkedDatabase, checkedRole } from './config.ts'
import { type Database, openDatabase } from './db/client.ts'
import { assertMigrated } from './db/migrate.ts'
import { openQueue, type Queue } from './dispatch/queue.ts'
import { checkScheduledInput, startScheduled } from './engine/commands/scheduled.ts'
import { createRegistry } from './engine/registry.ts'
import { KernError } from './errors.ts'
import { createLog } from './log.ts'
import { enterWorkflows } from './store/workflows.ts'
import type { Kern, KernOptions } from './wiring/options.ts'
import type { Pace } from './wiring/pace.ts'
import type { WireOptions } from './wiring/commons.ts'
import { limitsOf, type Parts, wire } from './wiring/parts.ts'

export type { Kern, KernOptions } from './wiring/options.ts'

/**
 * Opens the database, takes up what earlier processes left, and serves workflows. The one place that wires all parts.
 *
 * @throws KernError CONFIG_INVALID, DEFINITION_INVALID, DATABASE_LOCKED, SCHEMA_OUTDATED, UNAVAILABLE
 */
export async function createKern(options: KernOptions): Promise<Kern> {
  const workflows = createRegistry(options.workflows)
  const url = checkedDatabase(options.db)
  checkedRole(options.role, url.kind)
  const database = await openDatabase(url)
  try {
    if (database.kind === 'postgres') await assertMigrated(database)
    return await startOn(database, { ...options, workflows, release: () => database.close() })
  } catch (error) {
    await database.close()
    throw error
  }
}

/**
 * As {@link createKern}, on a database that is open and migrated, and stays open when this Kern is closed.
 *
 * @internal the types of the package must not lead to those of Drizzle, which need `skipLibCheck`
 */
export async function createKernOn(
  database: Database,
  options: Omit<KernOptions, 'db'>,
  pace: Pace = {},
): Promise<Kern> {
  return await startOn(database, {
    ...options,
    workflows: createRegistry(options.workflows),
    pace,
    release: async () => {},
  })
}

interface StartOptions extends Omit<WireOptions, 'log'>, Pick<KernOptions, 'log'> {
  /** What to do once everything has ended. */
  readonly release: () => Promise<void>
}

async function startOn(database: Database, options: StartOptions): Promise<Kern> {
  const { pace = {}, clock = systemClock, log = createLog({ level: 'warn' }) } = options
  const workflows = options.workflows.list()
  const limits = limitsOf(options)
  for (const definition of workflows) await checkScheduledInput(definition, limits)
  const scheduled = pace.schedules === false ? [] : workflows
  const queue = await openQueue(database.driver, { workflows: scheduled, clock, log, random: Math.random })
  const parts = wire({ ...options, log }, database, queue)
  try {
    await enterWorkflows(database.db, workflows)
    await parts.worker?.start()
    parts.retention?.start()
    const { worker, wakeDue, commands } = parts
    await queue?.start({ worker, wakeDue, run: (definition, key) => startScheduled(commands, definition, key) })
    // Last: nobody would end it if the start failed.
    parts.carrier?.start()
    return kernOf(database, parts, { ...options, queue })
  } catch (error) {
    await Promise.all([parts.worker?.close(), parts.retention?.close()])
    await queue?.close()
    throw error
  }
}

function kernOf(
  database: Database,
  { worker, retention, commands, streams, readerFor, library, carrier, closing }: Parts,
  { workflows, release, queue }: StartOptions & { readonly queue: Queue | null },
): Kern {
  let drained: Promise<void> | null = null
  let closed: Promise<void> | null = null
  const drain = () => {
    drained ??= Promise.all([queue?.stop(), worker?.close(), retention?.close()]).then(() => undefined)
    return drained
  }
  const end = async () => {
    try {
      await drain()
    } finally {
      closing.abort(new KernError('UNAVAILABLE', 'this process is stopping'))
      await carrier?.close()
      await queue?.close()
      await release()
    }
  }
  const close = () => {
    closed ??= end()
    return closed
  }
  return {
    ...library,
    commands,
    workflows,
    streams,
    readerFor,
    database: database.describe(),
    health: async () => drained === null && (await answers(database)),
    idle: async () => await worker?.idle(),
    drain,
    close,
    [Symbol.asyncDispose]: close,
  }
}

const answers = (database: Database): Promise<boolean> =>
  database.db.execute('select 1').then(
    () => true,
    () => false,
  )
