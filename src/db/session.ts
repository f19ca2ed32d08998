import type { SQL } from 'drizzle-orm'
import {
  PgAsyncDatabase,
  type PgAsyncSession,
  type PgAsyncTransaction,
  PgDialect,
  type PgDialectConfig,
  type PgQueryResultHKT,
  type PreparedQueryConfig,
} from 'drizzle-orm/pg-core'
import { limited } from './deadline.ts'
import { type Relations, relations } from './relations.ts'

/** `db.execute` answers with another shape on each driver; {@link rows} gives the same on both. */
export interface RawResult extends PgQueryResultHKT {
  readonly type: unknown
}

/** The database through Drizzle, whichever driver is below. A transaction is one too. */
export type Db = PgAsyncDatabase<RawResult, Relations>

/** A transaction, as the callback of `transaction` gets it. */
export type Tx = PgAsyncTransaction<RawResult, Relations>

/**
 * Runs a statement as it is and gives its rows, alike on both drivers. Values are not decoded by Drizzle: `json` and
 * times come as text. The server keeps its plan, so what varies belongs in parameters, not in the text.
 */
export function rows<Row>(db: Db, query: SQL): Promise<Row[]> {
  return db._.session.objects<Row>(query)
}

/** As {@link rows}, of a statement that is text with parameters `$1`, `$2` … */
export function textRows<Row>(db: Db, text: string, params: readonly unknown[]): Promise<Row[]> {
  return db._.session.prepareQuery<{ execute: Row[] }>({ sql: text, params: [...params] }, 'objects', false).execute()
}

/** The same for a statement whose text is known, with the values of its parameters `$1`, `$2` … */
export async function send<Row>(db: Db, text: string, values: readonly string[]): Promise<Row[]> {
  const query = { sql: text, params: [...values] }
  return await db._.session.prepareQuery<{ execute: Row[] }>(query, 'objects', true).execute()
}

/** A dialect for drivers that hand `json` through as text. */
export function createDialect(codecs: PgDialectConfig['codecs']): PgDialect {
  const dialect = new PgDialect(codecs ? { codecs } : {})
  const { relationalRows } = dialect.mapperGenerators
  // Nested relations arrive as one aggregated json value: as the drivers do not parse it, Drizzle has to.
  dialect.mapperGenerators.relationalRows = (options) => relationalRows({ ...options, parseJson: true })
  return dialect
}

/** Makes the database of a driver's session. */
export function createDb(dialect: PgDialect, session: PgAsyncSession<RawResult, Relations>): Db {
  return new PgAsyncDatabase<RawResult, Relations>(dialect, session, relations)
}

/**
 * Lets no statement and no transaction of a session wait longer than `ms`. Statements inside a transaction use sessions
 * of their own: the limit of the transaction covers them.
 */
export function limitWaiting(session: PgAsyncSession<RawResult, Relations>, ms: number): void {
  const prepareQuery = session.prepareQuery.bind(session)
  const transaction = session.transaction.bind(session)
  session.prepareQuery = <T extends PreparedQueryConfig>(...args: Parameters<typeof prepareQuery>) => {
    const prepared = prepareQuery<T>(...args)
    const execute = prepared.execute.bind(prepared)
    prepared.execute = (values) => limited(execute(values), { ms, what: 'a statement' })
    return prepared
  }
  session.transaction = (work, config) => limited(transaction(work, config), { ms, what: 'a transaction' })
}
