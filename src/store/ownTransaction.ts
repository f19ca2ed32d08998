import { sql } from 'drizzle-orm'
import { type Db, rows } from '../db/client.ts'
import { databaseCode } from '../db/errors.ts'
import { textRows } from '../db/session.ts'
import { transaction } from '../db/transaction.ts'
import type { NewRun, OutcomeInTransaction } from '../engine/commands/commandStore.ts'
import type { CallerTransaction, KernTransaction } from '../engine/ownTransaction.ts'
import { KernError } from '../errors.ts'
import { isJsonObject, type Json, type JsonObject, jsonText } from '../json.ts'

/** What a server answers that does not know the function, or not even the schema that it is in. */
const UNKNOWN = new Set(['42883', '3F000'])

/** Transactions on the database of a Kern that its caller writes in, too. */
export interface OwnTransactions {
  /** Accepts a run in one. The function `kern.accept_run` does there what `accept` does elsewhere. */
  acceptIn(tx: CallerTransaction, run: NewRun): Promise<OutcomeInTransaction>
  /**
   * Runs `work` in one of Kern's own. As each transaction of Kern's, it is run again where others were in its way.
   *
   * @throws KernError UNAVAILABLE, and whatever `work` throws
   */
  transaction<T>(work: (tx: KernTransaction) => Promise<T>): Promise<T>
}

export function createOwnTransactions(db: Db): OwnTransactions {
  /** Those that are known to be on this database: an embedded one could not be asked beside them. */
  const own = new WeakSet<CallerTransaction>()
  let databaseId: Promise<string> | null = null

  async function ownId(): Promise<string> {
    databaseId ??= idOf(db)
    try {
      return await databaseId
    } catch (error) {
      databaseId = null
      throw error
    }
  }

  return {
    async acceptIn(tx, run) {
      const id = own.has(tx) ? undefined : await ownId()
      return outcomeOf(await called(tx, jsonText(requestOf(run, id))))
    },
    transaction: (work) =>
      transaction(db, (inner) => {
        const tx: KernTransaction = { query: (statement, values = []) => textRows(inner, statement, values) }
        own.add(tx)
        return work(tx)
      }),
  }
}

async function idOf(db: Db): Promise<string> {
  const [row] = await rows<{ readonly id: string }>(db, sql`select kern.database_id() as id`)
  return row?.id ?? ''
}

/** Calls the function on whatever the caller has. */
async function called(tx: CallerTransaction, request: string): Promise<unknown> {
  try {
    if ('query' in tx && typeof tx.query === 'function') {
      return await tx.query('select kern.accept_run($1::text::json)::text as outcome', [request])
    }
    if ('execute' in tx && typeof tx.execute === 'function') {
      // In base64 nothing is there that a setting of the server could read as the end of the text.
      const text = Buffer.from(request).toString('base64')
      return await tx.execute(
        `select kern.accept_run(convert_from(decode('${text}', 'base64'), 'UTF8')::json)::text as outcome`,
      )
    }
  } catch (error) {
    if (!UNKNOWN.has(databaseCode(error) ?? '')) throw error
    const message = 'is on a database without this version of Kern: allowed is one on the database of this Kern'
    throw refused(message, error)
  }
  throw refused(
    "has neither `execute` nor `query`: allowed is a transaction of Drizzle, of `pg`, or of this Kern's",
    null,
  )
}

function refused(message: string, cause: unknown): KernError {
  return new KernError('INPUT_INVALID', `tx ${message}`, { cause, issues: [{ path: ['tx'], message }] })
}

function requestOf(run: NewRun, databaseId: string | undefined): JsonObject {
  const { session } = run
  const given: { readonly [Name in string]: Json | undefined } = {
    databaseId,
    runId: run.runId,
    at: run.at.getTime(),
    workflowId: session.workflowId,
    workflowVersion: run.workflowVersion,
    workflowName: session.workflowName,
    initialState: session.state,
    sessionId: session.sessionId,
    sessionName: session.name,
    displayName: session.displayName,
    userId: run.userId,
    input: run.input,
    inputPreview: run.inputPreview,
    stateGiven: run.stateGiven,
    metadata: run.metadata,
    tags: run.tags,
    priority: run.priority,
    idempotencyKey: run.idempotencyKey,
    requestHash: run.requestHash,
    onBusy: run.onBusy,
  }
  const entries = Object.entries(given).filter((entry): entry is [string, Json] => entry[1] !== undefined)
  return Object.fromEntries(entries)
}

/** Drivers give their rows as an array, or in an object. */
function outcomeOf(result: unknown): OutcomeInTransaction {
  const found = typeof result === 'object' && result !== null && 'rows' in result ? result.rows : result
  const row: unknown = Array.isArray(found) ? found[0] : undefined
  const text = typeof row === 'object' && row !== null && 'outcome' in row ? row.outcome : undefined
  if (typeof text !== 'string') throw refused('answered a statement with something that is no list of rows', null)
  const { type, ...facts }: JsonObject = JSON.parse(text)
  if (!isJsonObject(facts)) throw new Error('kern.accept_run gave no object')
  // `as`: the function gives these types, each with the facts that are named here.
  return (type === 'session-conflict'
    ? { type, session: facts }
    : { type, run: facts }) as unknown as OutcomeInTransaction
}
