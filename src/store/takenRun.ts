import { and, count, eq, getColumns, inArray } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { events, runPayloads, runs, sessions } from '../db/tables.ts'
import type { TakenRun } from '../engine/ports.ts'
import type { Reader } from '../engine/reader.ts'
import { isJsonObject } from '../json.ts'
import { decode, payloadOf, runOf } from './rows.ts'
import { runColumns } from './runQueries.ts'

/** A run, and the worker that has claimed it. */
export interface Ownership {
  readonly runId: string
  readonly owner: string
}

/**
 * Reads a run as its new owner needs it; null if it is not there, or not the owner's any more: who takes longer than its
 * lease between the claim and this must not go on under the epoch of the one who took the run meanwhile.
 */
export async function takenRun(db: Db, reader: Reader, { runId, owner }: Ownership): Promise<TakenRun | null> {
  const [found] = await db
    .select({ run: runColumns, payload: getColumns(runPayloads), state: sessions.state, deaths: runs.deaths })
    .from(runs)
    .innerJoin(runPayloads, eq(runPayloads.runId, runs.runId))
    .innerJoin(sessions, eq(sessions.sessionId, runs.sessionId))
    .where(and(eq(runs.runId, runId), eq(runs.owner, owner)))
  if (!found) return null
  const payload = payloadOf(found.payload)
  const run = runOf(found.run)
  // Until the event that the run started nothing of it happened, and only a retry has steps.
  const fresh = run.lastSeq === 1
  const [steps = []] = fresh && run.retryOf === null ? [] : await reader.steps([runId])
  const state = decode(found.state)
  return {
    run,
    payload,
    state: isJsonObject(state) ? state : {},
    steps,
    fresh,
    deaths: found.deaths,
    authorEvents: fresh ? 0 : await authorEvents(db, runId),
  }
}

async function authorEvents(db: Db, runId: string): Promise<number> {
  const [row] = await db
    .select({ total: count() })
    .from(events)
    .where(and(eq(events.runId, runId), inArray(events.type, ['LOG', 'CUSTOM'])))
  return row?.total ?? 0
}
