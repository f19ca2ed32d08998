import type { Db } from '../../src/db/client.ts'

/** What to do with statements, before they are sent and with what they answer. */
export interface Rewriting {
  readonly text?: (text: string) => string
  readonly answer?: (answer: unknown) => unknown
}

/** A database that sends other statements than it is asked to, those of transactions left out. */
export function rewriting(db: Db, { text = (same) => same, answer = (same) => same }: Rewriting): Db {
  const { session } = db._
  const changed: typeof session = Object.create(session, {
    // The session's own keep what is private to it.
    transaction: { value: session.transaction.bind(session) },
    prepareQuery: {
      value(query: { readonly sql: string }, ...rest: unknown[]) {
        const prepared = Reflect.apply(session.prepareQuery, session, [{ ...query, sql: text(query.sql) }, ...rest])
        const execute = prepared.execute.bind(prepared)
        prepared.execute = async (values: Parameters<typeof execute>[0]) => answer(await execute(values))
        return prepared
      },
    },
  })
  // Statements are built on `session` of the database, and raw ones are sent on that of `_`.
  return Object.create(db, { session: { value: changed }, _: { value: { ...db._, session: changed } } })
}

/** Replaces a text in those statements that have it. `seen` tells whether any had. */
export function replacing(from: string | RegExp, to: string): { text: (text: string) => string; seen: () => boolean } {
  let seen = false
  return {
    text(text) {
      const changed = text.replaceAll(typeof from === 'string' ? from : new RegExp(from, 'g'), to)
      seen ||= changed !== text
      return changed
    },
    seen: () => seen,
  }
}
