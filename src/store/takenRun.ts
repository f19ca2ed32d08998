import { and, eq, getColumns, inArray } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { runEvents, runPayloads, runs, sessions } from '../db/tables.ts'
import type { Reader, TakenRun } from '../engine/ports.ts'
import { isJsonObject } from '../json.ts'
import { decode, payloadOf, runOf } from './rows.ts'
import { runColumns } from './runQueries.ts'

/** Reads a run as its new owner needs it; null if it is not there. */
export async function takenRun(db: Db, reader: Reader, runId: string): Promise<TakenRun | null> {
  const [found] = await db
    .select({ run: runColumns, payload: getColumns(runPayloads), state: sessions.state })
    .from(runs)
    .innerJoin(runPayloads, eq(runPayloads.runId, runs.runId))
    .innerJoin(sessions, eq(sessions.sessionId, runs.sessionId))
    .where(eq(runs.runId, runId))
  if (!found) return null
  const payload = payloadOf(found.payload)
  // Written in one commit with the event that the run started: until then nothing of it happened, and only a retry has steps.
  const fresh = payload.stateBefore === undefined
  const [steps = []] = fresh && found.run.retryOf === null ? [] : await reader.steps([runId])
  const state = decode(found.state)
  return {
    run: runOf(found.run),
    payload,
    state: isJsonObject(state) ? state : {},
    steps,
    fresh,
    authorEvents: fresh
      ? 0
      : await db.$count(runEvents, and(eq(runEvents.runId, runId), inArray(runEvents.type, ['LOG', 'CUSTOM']))),
  }
}
