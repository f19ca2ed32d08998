import { and, asc, desc, eq, getTableColumns, gt, gte, isNull, lt, lte, or, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { runEvents, runPayloads, runs } from '../db/tables.ts'
import type { Reader } from '../engine/ports.ts'
import { isUuid } from '../ids.ts'
import type { Viewer } from '../viewer.ts'
import type { HistoryRun } from '../workflow/context.ts'
import { anyOf } from './anyOf.ts'
import { decode, eventOf } from './rows.ts'
import { visibleRuns } from './visible.ts'

type EventQueries = Pick<Reader, 'events' | 'sessionEvents' | 'completedRuns' | 'liveRuns'>

/**
 * The last run of a session that has its turn or had it: the one that has it, or all where none does. The turn moves on
 * after the end of a run, so whoever reads up to here has read everything of the runs before.
 */
const hasHadTurn = (sessionId: string) => sql`coalesce((
  select a.number from kern.sessions s join kern.runs a on a.run_id = s.active_run_id
  where s.session_id = ${sessionId}), 2147483647)`

export function createEventQueries(db: Db, viewer: Viewer): EventQueries {
  const visible = visibleRuns(viewer)
  const select = () =>
    db.select(getTableColumns(runEvents)).from(runEvents).innerJoin(runs, eq(runs.runId, runEvents.runId)).$dynamic()

  return {
    async events(runId, { afterSeq, limit, types }) {
      if (!isUuid(runId)) return []
      const found = await select()
        .where(
          and(
            visible,
            eq(runEvents.runId, runId),
            gt(runEvents.seq, afterSeq),
            types ? anyOf(runEvents.type, types) : undefined,
          ),
        )
        .orderBy(asc(runEvents.seq))
        .limit(limit)
      return found.map(eventOf)
    },
    async sessionEvents(sessionId, after, { limit, types }) {
      const later = or(gt(runs.number, after.number), and(eq(runs.number, after.number), gt(runEvents.seq, after.seq)))
      const found = await select()
        .where(
          and(
            visible,
            eq(runs.sessionId, sessionId),
            gte(runs.number, after.number),
            lte(runs.number, hasHadTurn(sessionId)),
            later,
            types ? anyOf(runEvents.type, types) : undefined,
          ),
        )
        .orderBy(asc(runs.number), asc(runEvents.seq))
        .limit(limit)
      return found.map(eventOf)
    },
    async completedRuns(sessionId, beforeNumber, limit) {
      const found = await db
        .select({
          runId: runs.runId,
          number: runs.number,
          completedAt: runs.completedAt,
          input: runPayloads.input,
          output: runPayloads.output,
        })
        .from(runs)
        .innerJoin(runPayloads, eq(runPayloads.runId, runs.runId))
        .where(
          and(
            visible,
            eq(runs.sessionId, sessionId),
            eq(runs.status, 'COMPLETED'),
            beforeNumber === null ? undefined : lt(runs.number, beforeNumber),
          ),
        )
        .orderBy(desc(runs.number))
        .limit(Math.max(0, limit))
      return found.reverse().map(
        ({ input, output, completedAt, ...run }): HistoryRun => ({
          ...run,
          input: decode(input),
          output: decode(output),
          completedAt: completedAt ?? new Date(0),
        }),
      )
    },
    liveRuns: async (workflowId, since) =>
      await db
        .select({
          runId: runs.runId,
          lastSeq:
            sql<number>`(select coalesce(max(e.seq), 0)::int from kern.run_events e where e.run_id = kern.runs.run_id)`.as(
              'last_seq',
            ),
        })
        .from(runs)
        .where(
          and(visible, eq(runs.workflowId, workflowId), or(isNull(runs.completedAt), gte(runs.completedAt, since))),
        ),
  }
}
