import type { Query, SQL } from 'drizzle-orm'
import { NoopLogger } from 'drizzle-orm/logger'
import {
  PgAsyncPreparedQuery,
  PgAsyncSession,
  PgAsyncTransaction,
  type PgDialect,
  type PgTransactionConfig,
  type PreparedQueryConfig,
} from 'drizzle-orm/pg-core'
import { postgresJsCodecs } from 'drizzle-orm/postgres-js/codecs'
import { KernError } from '../errors.ts'
import { arrayText } from './array.ts'
import { againAfterConflicts } from './conflicts.ts'
import type { Client, Connection } from './connection.ts'
import type { Database } from './database.ts'
import { type Limit, limited } from './deadline.ts'
import { openListener } from './listener.ts'
import { createPool, type Pool, type PoolOptions } from './pool.ts'
import { type Relations, relations } from './relations.ts'
import { createDb, createDialect, type Db, type RawResult, type Tx } from './session.ts'

/** Longer than any migration, shorter than for ever. */
const DEDICATED_DEADLINE_MS = 600_000

/** For what must not wait behind readers. */
const RESERVED_CONNECTIONS = 2
/** As many as there are flushes at once, and one for those that have to wait for a lock. */
const JOURNAL_CONNECTIONS = 3
/**
 * Rows that a flush changes are locked for moments, but for sessions in which a caller's own transaction starts a run: these
 * must not hold up all others for long.
 *
 * A flush has few rows, of which each is found by its key. Planned anew for each, it would cost more than its execution;
 * planned once for all, while the tables may still be small, it must not be planned to read them from end to end.
 */
const JOURNAL_SETTINGS = {
  lock_timeout: '100ms',
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_mergejoin: 'off',
}

/** Opens the pools of connections to a Postgres server. Connects when first asked for something. */
export function openPostgres(options: PoolOptions): Database {
  const pool = createPool(options)
  const reserved = createPool({ ...options, maxConnections: RESERVED_CONNECTIONS })
  const heartbeats = createPool({ ...options, maxConnections: 1 })
  const journal = createPool({ ...options, maxConnections: JOURNAL_CONNECTIONS, settings: JOURNAL_SETTINGS })
  const close = async () => {
    await Promise.all([pool.close(), heartbeats.close(), reserved.close(), journal.close()])
  }
  return {
    kind: 'postgres',
    db: databaseOn(pool, options),
    heartbeats: databaseOn(heartbeats, options),
    reserved: databaseOn(reserved, options),
    journal: databaseOn(journal, options),
    dedicated: (work) => dedicated(options, work),
    driver: { kind: 'postgres', url: options.url },
    listen: (given) => openListener({ ...given, url: options.url }),
    describe: () => pool.describe(),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function databaseOn(pool: Pool, { deadlineMs }: PoolOptions): Db {
  const dialect = createDialect(postgresJsCodecs)
  return createDb(dialect, new PoolSession(dialect, pool, deadlineMs))
}

async function dedicated<T>(options: PoolOptions, work: (db: Db) => Promise<T>): Promise<T> {
  const own = { ...options, maxConnections: 1, deadlineMs: DEDICATED_DEADLINE_MS }
  const pool = createPool(own)
  try {
    return await work(databaseOn(pool, own))
  } finally {
    await pool.close()
  }
}

type Mode = 'arrays' | 'objects' | 'raw'

/** Sends statements of Drizzle on connections of ours. */
abstract class PostgresSession extends PgAsyncSession<RawResult, Relations> {
  protected abstract run<T>(work: (client: Client) => Promise<T>): Promise<T>

  override prepareQuery<T extends PreparedQueryConfig = PreparedQueryConfig>(
    query: Query,
    mode: Mode,
    name: string | boolean,
    mapper?: ConstructorParameters<typeof PgAsyncPreparedQuery>[2],
  ): PgAsyncPreparedQuery<T> {
    const execute = (params: unknown[] = []) =>
      this.run(async (client) => {
        // The driver would guess the type of an array from its first element; the server knows it.
        const values = params.map((value) => (Array.isArray(value) ? arrayText(value) : value))
        // The driver's type of parameters does not know that Drizzle has turned them into what it takes.
        const pending = client.unsafe(query.sql, values as never[], { prepare: true })
        return mode === 'arrays' ? await pending.values() : [...(await pending)]
      })
    return new PgAsyncPreparedQuery<T>(execute, query, mapper, mode, new NoopLogger(), undefined, undefined, undefined)
  }

  /** Statements that are written by hand have few texts and run often, so they are prepared. */
  override objects<T>(query: SQL): Promise<T[]> {
    return this.prepareQuery<{ execute: T[] }>(this.dialect.sqlToQuery(query), 'objects', true).execute()
  }
}

class PoolSession extends PostgresSession {
  readonly #pool: Pool
  readonly #deadlineMs: number

  constructor(dialect: PgDialect, pool: Pool, deadlineMs: number) {
    super(dialect)
    this.#pool = pool
    this.#deadlineMs = deadlineMs
  }

  /** A statement outside of transactions is one: what the server has undone as a whole can be sent again. */
  protected override run<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return againAfterConflicts(() => this.#pool.use({ what: 'a statement' }, ({ client }) => work(client)))
  }

  override transaction<T>(work: (tx: Tx) => Promise<T>, config?: PgTransactionConfig): Promise<T> {
    const use = { what: 'a transaction', deadlineMs: 2 * this.#deadlineMs }
    return this.#pool.use(use, async (connection) => {
      const limit = { ms: this.#deadlineMs, what: 'a statement', onExpired: () => this.#pool.expire(connection) }
      const session = new ConnectionSession(this.dialect, connection, limit)
      await session.command(beginning(config))
      let result: T
      try {
        result = await work(new PostgresTransaction(this.dialect, session, 0))
      } catch (error) {
        // A server that is not there any more has rolled back by itself.
        await session.command('rollback').catch(() => {
          connection.lost = true
        })
        throw error
      }
      // After a statement that failed, the server answers to a commit that it has rolled back.
      if ((await session.command('commit')) === 'COMMIT') return result
      throw new KernError('INTERNAL', 'the transaction was rolled back: one of its statements failed')
    })
  }
}

/** Has one connection, for the time of a transaction. */
class ConnectionSession extends PostgresSession {
  readonly #connection: Connection
  readonly #limit: Limit

  constructor(dialect: PgDialect, connection: Connection, limit: Limit) {
    super(dialect)
    this.#connection = connection
    this.#limit = limit
  }

  protected override async run<T>(work: (client: Client) => Promise<T>): Promise<T> {
    // The driver would connect again, and send the rest of the transaction without its beginning.
    if (this.#connection.lost) throw new KernError('UNAVAILABLE', 'the connection of the transaction was lost')
    return await limited(work(this.#connection.client), this.#limit)
  }

  /** Runs a statement without parameters and gives what the server says that it did. */
  async command(text: string): Promise<string> {
    return await this.run(async (client) => (await client.unsafe(text)).command)
  }

  override async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return await new PostgresTransaction(this.dialect, this, 0).transaction(work)
  }
}

class PostgresTransaction extends PgAsyncTransaction<RawResult, Relations> {
  readonly #dialect: PgDialect
  readonly #session: ConnectionSession

  constructor(dialect: PgDialect, session: ConnectionSession, depth: number) {
    super(dialect, session, relations, depth, false)
    this.#dialect = dialect
    this.#session = session
  }

  /** A transaction within one is a savepoint. */
  override async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const depth = this.nestedIndex + 1
    await this.#session.command(`savepoint s${depth}`)
    try {
      const result = await work(new PostgresTransaction(this.#dialect, this.#session, depth))
      await this.#session.command(`release savepoint s${depth}`)
      return result
    } catch (error) {
      await this.#session.command(`rollback to savepoint s${depth}`)
      throw error
    }
  }
}

function beginning({ isolationLevel, accessMode, deferrable }: PgTransactionConfig = {}): string {
  const parts = ['begin']
  if (isolationLevel) parts.push(`isolation level ${isolationLevel}`)
  if (accessMode) parts.push(accessMode)
  if (deferrable !== undefined) parts.push(deferrable ? 'deferrable' : 'not deferrable')
  return parts.join(' ')
}
