import { acceptQueries, acceptRows } from './acceptStatement.ts'
import type { Entry, WriteEntry } from './journalBatches.ts'
import { touchedBy, type Touched, WRITE_PARAMETERS, writeQueries, writeValues } from './journalStatement.ts'

/** What a flush answers for each run that it wrote or accepted. */
export interface FlushedRow {
  readonly run_id: string
  /** The run that still stands as the session's active one; null if none does, or the write did not touch the session. */
  readonly active_run_id: string | null
  /** Of an accepted run: its number in the session, whether it has its turn, and the session's state as JSON text. */
  readonly number: number | null
  readonly active: boolean | null
  readonly state: string | null
}

const WRITTEN =
  'select run_id, active_run_id, null::int as number, null::bool as active, null::text as state from written'
const ACCEPTED =
  'select run_id, null::uuid as active_run_id, number::int, active, session_state::text as state from started'

/** Statements of flushes. There are few texts, each made once, and a connection prepares each once. */
export interface FlushStatements {
  /** @param at the time at which runs start that are accepted and have their turn */
  of(batch: readonly Entry[], at: Date): { readonly text: string; readonly values: string[] }
}

export function createFlushStatements(): FlushStatements {
  const texts = new Map<string, string>()

  function textOf(touched: Touched | null, accepts: boolean): string {
    const key = JSON.stringify([touched, accepts])
    const text = texts.get(key) ?? statementText(touched, accepts)
    texts.set(key, text)
    return text
  }

  return {
    of(batch, at) {
      const writes = inSessionOrder(batch.flatMap((entry) => (entry.type === 'write' ? [entry] : [])))
      const accepts = batch.flatMap((entry) => (entry.type === 'accept' ? [entry.encoded] : []))
      const touched = writes.length === 0 ? null : touchedBy(writes.map(({ write }) => write))
      return {
        text: textOf(touched, accepts.length > 0),
        values: [
          ...(touched ? writeValues(writes.map(({ encoded }) => encoded)) : []),
          ...(accepts.length > 0 ? [...acceptRows.values(accepts), at.toISOString()] : []),
        ],
      }
    },
  }
}

function statementText(touched: Touched | null, accepts: boolean): string {
  const write = touched ? [writeQueries(touched, 0)] : []
  const accept = accepts ? [acceptQueries(touched ? WRITE_PARAMETERS : 0)] : []
  const results = [...(touched ? [WRITTEN] : []), ...(accepts ? [ACCEPTED] : [])]
  return `with ${[...write, ...accept].join(', ')} ${results.join(' union all ')}`
}

/**
 * Sessions are changed in the order in which runs are accepted for them, so that two processes seldom wait for each other:
 * where they do, the database undoes one of the two, which is sent again.
 */
function inSessionOrder(entries: readonly WriteEntry[]): WriteEntry[] {
  return entries.toSorted((a, b) => (a.write.sessionId < b.write.sessionId ? -1 : 1))
}
