import type { Database } from '../../src/db/client.ts'

/** A statement on its way to the database. */
export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
  /** How much its parameters hold, in UTF-16 code units of their text. */
  readonly size: number
}

interface Prepared {
  execute(values?: unknown): Promise<unknown>
}

interface Session {
  prepareQuery(query: { readonly sql: string; readonly params: readonly unknown[] }, ...rest: unknown[]): Prepared
  transaction(work: (tx: WithSession) => Promise<unknown>, ...rest: unknown[]): Promise<unknown>
}

interface WithSession {
  readonly _: { readonly session: Session }
}

/**
 * Calls `see` before each statement, those of transactions included. A statement fails with what `see` throws, and is
 * not sent. Begin and commit are not statements here.
 *
 * @returns ends it
 */
export function watchStatements(database: Database, see: (statement: Statement) => void): () => void {
  // Drizzle does not show its sessions in its types.
  const sessions = [database.db, database.reserved, database.journal].map(
    (db) => (db as unknown as WithSession)._.session,
  )
  // An embedded database has one for both.
  const ends = [...new Set(sessions)].map((session) => watchSession(session, see))
  return () => {
    for (const end of ends) end()
  }
}

function watchSession(session: Session, see: (statement: Statement) => void): () => void {
  const { prepareQuery, transaction } = session
  session.prepareQuery = (query, ...rest) => {
    const prepared = prepareQuery.call(session, query, ...rest)
    const execute = prepared.execute.bind(prepared)
    prepared.execute = async (values) => {
      const size = query.params.reduce((sum: number, value) => sum + String(value).length, 0)
      see({ text: query.sql, values: query.params, size })
      return await execute(values)
    }
    return prepared
  }
  session.transaction = (work, ...rest) => {
    const watched = (tx: WithSession) => {
      watchSession(tx._.session, see)
      return work(tx)
    }
    return transaction.call(session, watched, ...rest)
  }
  return () => Object.assign(session, { prepareQuery, transaction })
}
