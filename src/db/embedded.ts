import { mkdir, realpath } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PGlite } from '@electric-sql/pglite'
import { pgliteCodecs } from 'drizzle-orm/pglite/codecs'
import { PgliteSession } from 'drizzle-orm/pglite/session'
import type { Database } from './database.ts'
import { limited } from './deadline.ts'
import { acquireLock } from './lock.ts'
import { type Relations, relations } from './relations.ts'
import { createDb, createDialect, limitWaiting } from './session.ts'

/** An embedded Postgres. */
export interface EmbeddedOptions {
  /** Where its data is; null for a database in memory. Created with its parents if it does not exist. */
  readonly folder: string | null
  /** A dump to start from, for a database in memory. */
  readonly image?: Blob | undefined
  readonly deadlineMs: number
}

const CLOSE_TIMEOUT_MS = 5_000
const JSON_OID = 114
/** How long statements may hold the event loop before it has a turn, in milliseconds. */
const HOLD_MS = 5

const asText = (value: string): string => value

/**
 * A PGlite that lets the event loop turn. It computes in this thread and answers in microtasks, so however many statements
 * wait for one another, and whoever makes one after the other, no timer and no socket would get a turn before the last.
 */
class YieldingPGlite extends PGlite {
  readonly #turns = createTurns()

  /** Each statement passes through here, one after another, those of transactions too. */
  override async _runExclusiveQuery<T>(work: () => Promise<T>): Promise<T> {
    return await super._runExclusiveQuery(async () => {
      // While it opens and closes, it is at its own work.
      if (!this.ready) return await work()
      await this.#turns.due()
      if (!this.ready) throw new Error('The embedded database was closed')
      return await work()
    })
  }
}

/** Knows since when the event loop has not turned. */
function createTurns() {
  let turn: Promise<void> | null = null
  let since = 0

  function begin(): void {
    since = performance.now()
    turn = nextTurn().then(() => {
      turn = null
    })
  }

  return {
    /** Resolves when a statement may be made: at once, or after a turn of a loop that has been held for long. */
    async due(): Promise<void> {
      if (turn && performance.now() - since >= HOLD_MS) await turn
      if (!turn) begin()
    },
  }
}

/**
 * Opens an embedded database. It has one connection, and does not wait for the disk: what was committed outlives the
 * process, also one that is killed, but not a failure of power.
 *
 * @throws KernError DATABASE_LOCKED if another process, or this one, has the folder open
 */
export async function openEmbedded({ folder, image, deadlineMs }: EmbeddedOptions): Promise<Database> {
  const lock = folder === null ? null : await acquireLock(await realFolder(folder))
  try {
    const client = new YieldingPGlite({
      ...(folder === null ? {} : { dataDir: folder }),
      ...(image ? { loadDataDir: image } : {}),
      parsers: { [JSON_OID]: asText },
      serializers: { [JSON_OID]: asText },
    })
    await client.waitReady
    // Times in text are then the same on every machine.
    await client.exec(`set time zone 'UTC'`)
    return createEmbedded(client, { folder, deadlineMs, release: async () => lock?.release() })
  } catch (error) {
    await lock?.release()
    throw error
  }
}

interface Parts {
  readonly folder: string | null
  readonly deadlineMs: number
  readonly release: () => Promise<void>
}

function createEmbedded(client: PGlite, { folder, deadlineMs, release }: Parts): Database {
  const dialect = createDialect(pgliteCodecs)
  const session = new PgliteSession<Relations>(client, dialect, relations)
  limitWaiting(session, deadlineMs)
  const db = createDb(dialect, session)
  const unlimited = createDb(dialect, new PgliteSession<Relations>(client, dialect, relations))

  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= closeClient(client, release)
    return closing
  }
  return {
    kind: 'pglite',
    db,
    heartbeats: db,
    reserved: db,
    journal: db,
    dedicated: (work) => work(unlimited),
    driver: { kind: 'pglite', client },
    listen: null,
    describe: () => (folder === null ? 'embedded database in memory' : `embedded database in ${folder}`),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * A transaction that is still open holds the one connection: closing does not wait for it longer than its time. The
 * lock is not given back before the database has ended, as it may write until then; if it never does, the death of the
 * process frees the folder.
 */
async function closeClient(client: PGlite, release: () => Promise<void>): Promise<void> {
  const ended = client.closed ? release() : client.close().then(release)
  await limited(ended, { ms: CLOSE_TIMEOUT_MS, what: 'closing the embedded database' }).catch(() => {})
}

/** One folder has one lock, whatever path leads to it. */
async function realFolder(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  return await realpath(folder)
}
