import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../../src/db/client.ts'
import type { Chance } from '../faults/seed.ts'

interface Prepared {
  execute(values?: unknown): Promise<unknown>
}

interface WithSession {
  readonly _: {
    readonly session: { prepareQuery(query: { readonly sql: string }, ...rest: unknown[]): Prepared }
  }
}

/**
 * Holds back answers to reads of events for some turns of the event loop, by chance: they are older then than what has been
 * committed, and told, in the meantime.
 */
export function slowAnswers({ db }: Database, chance: Chance): void {
  // Drizzle does not show its sessions in its types.
  const { session } = (db as unknown as WithSession)._
  const { prepareQuery } = session
  session.prepareQuery = (query, ...rest) => {
    const prepared = prepareQuery.call(session, query, ...rest)
    if (!/from ("kern"\."events"|kern\.events)/.test(query.sql)) return prepared
    const execute = prepared.execute.bind(prepared)
    prepared.execute = async (values) => {
      const answer = await execute(values)
      const turns = chance.whole(1, 2) === 1 ? 0 : chance.whole(1, 12)
      for (let turn = 0; turn < turns; turn += 1) await nextTurn()
      return answer
    }
    return prepared
  }
}
