import { hostname } from 'node:os'
import { type Clock, systemClock } from './clock.ts'
import { checkedDatabase, DEFAULTS, type DatabaseUrl } from './config.ts'
import { type Database, openDatabase } from './db/client.ts'
import { assertMigrated } from './db/migrate.ts'
import { createOwnership } from './dispatch/ownership.ts'
import { createWorker, type Worker } from './dispatch/worker.ts'
import type { Commands, EventStreams, Workflows } from './engine/api.ts'
import { createCommands } from './engine/commands/commands.ts'
import type { Overrides } from './engine/execution.ts'
import { createExecutor } from './engine/executor.ts'
import type { ReaderFor } from './engine/ports.ts'
import { KernError } from './errors.ts'
import { createHub } from './events/hub.ts'
import { createEventStreams } from './events/streams.ts'
import { newId } from './ids.ts'
import { DEFAULT_LIMITS } from './json.ts'
import { createLibrary, type Library } from './engine/library.ts'
import { createLog, type Log } from './log.ts'
import { createRegistry } from './engine/registry.ts'
import { createCommandStore } from './store/commandStore.ts'
import { createJournal } from './store/journal.ts'
import { createReaderFor } from './store/reader.ts'
import { takenRun } from './store/takenRun.ts'
import { advance, giveLostTurns } from './store/turns.ts'
import { wakeDue } from './store/wake.ts'
import { SYSTEM_VIEWER } from './viewer.ts'
import type { HasDefinition } from './workflow/definition.ts'

/** What a Kern is made of. */
export interface KernOptions {
  /** Where everything is stored: `pglite(folder)`, `pglite.memory()` or `postgres(url)`. */
  readonly db: DatabaseUrl
  /** The workflows that are served. */
  readonly workflows: readonly HasDefinition[]
  /** How many runs are executed here at the same time. @default 100 */
  readonly concurrency?: number | undefined
  /** The IANA time zone of times in generated session names. @default 'UTC' */
  readonly timeZone?: string | undefined
  /** The largest value that a step, a run or a state may hold, in bytes of its JSON text. @default 1_048_576 */
  readonly maxValueBytes?: number | undefined
  /** How long a step may go on after its run was cancelled, in milliseconds. @default 10_000 */
  readonly graceMs?: number | undefined
  /** How long running steps may go on when Kern is closed, in milliseconds. @default 5_000 */
  readonly drainMs?: number | undefined
  /** @default lines on standard output, from `warn` on */
  readonly log?: Log | undefined
  /** Where time comes from. @default the machine's */
  readonly clock?: Clock | undefined
}

/** A running Kern: an open database, and a worker that executes runs. */
export interface Kern extends Library, AsyncDisposable {
  readonly commands: Commands
  readonly workflows: Workflows
  readonly streams: EventStreams
  readonly readerFor: ReaderFor
  /** What the database is, without its password. */
  readonly database: string
  /** Whether the database answers. */
  health(): Promise<boolean>
  /** Resolves when no run is being executed here: each is over, or waits for its turn elsewhere, a person or a time. */
  idle(): Promise<void>
  /** Lets running steps end within the drain time, leaves the rest for later, and closes the database. */
  close(): Promise<void>
}

const DEFAULT_GRACE_MS = 10_000
const DEFAULT_DRAIN_MS = 5_000
/** A wait for a time that is longer than this frees the place of its run, in milliseconds. */
const PARK_MS = 5_000

/**
 * Opens the database, takes up what earlier processes left, and serves workflows. The one place that wires all parts.
 *
 * @throws KernError CONFIG_INVALID, DEFINITION_INVALID, DATABASE_LOCKED, SCHEMA_OUTDATED, UNAVAILABLE
 */
export async function createKern(options: KernOptions): Promise<Kern> {
  const workflows = createRegistry(options.workflows)
  const database = await openDatabase(checkedDatabase(options.db))
  try {
    if (database.kind === 'postgres') await assertMigrated(database)
    return await startOn(database, { ...options, workflows, release: () => database.close() })
  } catch (error) {
    await database.close()
    throw error
  }
}

/** How a worker goes about its work; times in milliseconds. What is left out is as {@link createKern} has it. */
export interface Pace {
  readonly leaseMs?: number | undefined
  readonly heartbeatMs?: number | undefined
  readonly pollMs?: number | undefined
  /** How long a run may wait for a time before it gives its place up. */
  readonly parkMs?: number | undefined
  /** Functions that take the place of those of steps, by workflow id and the step's path in the definition. */
  readonly overrides?: ReadonlyMap<string, Overrides> | undefined
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

interface StartOptions extends Omit<KernOptions, 'db' | 'workflows'> {
  readonly workflows: Workflows
  readonly pace?: Pace
  /** What to do once everything has ended. */
  readonly release: () => Promise<void>
}

async function startOn(database: Database, options: StartOptions): Promise<Kern> {
  const parts = wire(options, database)
  await parts.worker.start()
  return kernOf(database, parts, options)
}

interface Parts {
  readonly worker: Worker
  readonly commands: Commands
  readonly streams: EventStreams
  readonly readerFor: ReaderFor
  readonly library: Library
  /** Ends the waits and streams of callers. */
  readonly closing: AbortController
}

function wire(options: StartOptions, { db, reserved, kind }: Database): Parts {
  const { workflows, pace = {}, clock = systemClock, graceMs = DEFAULT_GRACE_MS } = options
  const log = options.log ?? createLog({ level: 'warn' })
  const limits = { ...DEFAULT_LIMITS, maxBytes: options.maxValueBytes ?? DEFAULT_LIMITS.maxBytes }
  const hub = createHub()
  const readerFor = createReaderFor(db)
  const journal = createJournal({
    db: reserved,
    advance: (sessionId) => advance(db, sessionId),
    sleep: (ms) => clock.sleep(ms),
  })
  const executor = createExecutor({
    journal,
    readerFor,
    hub,
    clock,
    limits,
    graceMs,
    parkMs: pace.parkMs ?? PARK_MS,
    overrides: pace.overrides ?? new Map(),
    random: Math.random,
  })
  const ownership = createOwnership({
    db: reserved,
    workerId: newId(),
    host: hostname(),
    pid: process.pid,
    exclusive: kind === 'pglite',
    leaseMs: pace.leaseMs,
  })
  const reader = readerFor(SYSTEM_VIEWER)
  const worker = createWorker({
    ownership,
    load: (runId) => takenRun(db, reader, runId),
    giveLostTurns: () => giveLostTurns(db),
    wakeDue: (at) => wakeDue(db, at),
    executor,
    workflows,
    concurrency: options.concurrency ?? DEFAULTS.concurrency,
    drainMs: options.drainMs ?? DEFAULT_DRAIN_MS,
    graceMs,
    heartbeatMs: pace.heartbeatMs,
    pollMs: pace.pollMs,
    clock,
    log,
  })
  const timeZone = options.timeZone ?? DEFAULTS.timeZone
  const closing = new AbortController()
  const store = createCommandStore(db)
  const commands = createCommands({
    workflows,
    store,
    readerFor,
    dispatcher: worker,
    hub,
    clock,
    newId,
    limits,
    timeZone,
    graceMs,
    closing: closing.signal,
  })
  const streams = createEventStreams({ hub, readerFor, workflows, clock, closing: closing.signal })
  const library = createLibrary({ commands, streams, readerFor, hub, clock, closing: closing.signal })
  return { worker, commands, streams, readerFor, library, closing }
}

function kernOf(
  database: Database,
  { worker, commands, streams, readerFor, library, closing }: Parts,
  { workflows, release }: StartOptions,
): Kern {
  let closed: Promise<void> | null = null
  const end = async () => {
    try {
      await worker.close()
    } finally {
      closing.abort(new KernError('UNAVAILABLE', 'this process is stopping'))
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
    health: () =>
      database.db.execute('select 1').then(
        () => true,
        () => false,
      ),
    idle: worker.idle,
    close,
    [Symbol.asyncDispose]: close,
  }
}
