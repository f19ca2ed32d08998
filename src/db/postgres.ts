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
import type { Database } from './database.ts'
import { type Client, type Connection, createPool, type Pool, type PoolOptions } from './pool.ts'
import { type Relations, relations } from './relations.ts'
import { createDb, createDialect, type Db, type RawResult, type Tx } from './session.ts'

/** Longer than any migration, shorter than for ever. */
const DEDICATED_DEADLINE_MS = 600_000

/** One for the journal, which writes one batch at a time, and one for heartbeats. */
const RESERVED_CONNECTIONS = 2

/** Opens the pools of connections to a Postgres server. Connects when first asked for something. */
export function openPostgres(options: PoolOptions): Database {
  const pool = createPool(options)
  const reserved = createPool({ ...options, maxConnections: RESERVED_CONNECTIONS })
  const close = async () => {
    await Promise.all([pool.close(), reserved.close()])
  }
  return {
    kind: 'postgres',
    db: databaseOn(pool),
    reserved: databaseOn(reserved),
    dedicated: (work) => dedicated(options, work),
    describe: () => pool.describe(),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function databaseOn(pool: Pool): Db {
  const dialect = createDialect(postgresJsCodecs)
  return createDb(dialect, new PoolSession(dialect, pool))
}

async function dedicated<T>(options: PoolOptions, work: (db: Db) => Promise<T>): Promise<T> {
  const pool = createPool({ ...options, maxConnections: 1, deadlineMs: DEDICATED_DEADLINE_MS })
  try {
    return await work(databaseOn(pool))
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

  constructor(dialect: PgDialect, pool: Pool) {
    super(dialect)
    this.#pool = pool
  }

  protected override run<T>(work: (client: Client) => Promise<T>): Promise<T> {
    return this.#pool.use('a statement', ({ client }) => work(client))
  }

  override transaction<T>(work: (tx: Tx) => Promise<T>, config?: PgTransactionConfig): Promise<T> {
    return this.#pool.use('a transaction', async (connection) => {
      const session = new ConnectionSession(this.dialect, connection)
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

  constructor(dialect: PgDialect, connection: Connection) {
    super(dialect)
    this.#connection = connection
  }

  protected override async run<T>(work: (client: Client) => Promise<T>): Promise<T> {
    // The driver would connect again, and send the rest of the transaction without its beginning.
    if (this.#connection.lost) throw new KernError('UNAVAILABLE', 'the connection of the transaction was lost')
    return await work(this.#connection.client)
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
