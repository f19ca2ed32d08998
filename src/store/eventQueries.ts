import { and, asc, desc, eq, getViewSelectedFields, gt, gte, lt, lte, or, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { events, runPayloads, runs } from '../db/tables.ts'
import type { Reader } from '../engine/reader.ts'
import { isFinal, RUN_STATUSES } from '../engine/records.ts'
import { isUuid } from '../ids.ts'
import type { Viewer } from '../viewer.ts'
import type { HistoryRun } from '../workflow/context.ts'
import { anyOf } from './anyOf.ts'
import { decode, eventOf } from './rows.ts'
import { runColumns, withStatus } from './runQueries.ts'
import { visibleRuns } from './visible.ts'

type EventQueries = Pick<Reader, 'events' | 'sessionEvents' | 'completedRuns' | 'liveRuns'>

/**
 * The last run of a session that has its turn or had it: the one that has it, or all where none does. The turn moves on
 * after the end of a run, so whoever reads up to here has read everything of the runs before.
 */
const hasHadTurn = (sessionId: string) => sql`coalesce((
  select a.number from kern.sessions s join kern.runs a on a.run_id = s.active_run_id
  where s.session_id = ${sessionId}), 2147483647)`

/** The row in which the event after `afterSeq` is, if it is there: no row before it has to be read. */
const rowOf = (runId: string, afterSeq: number) => sql`coalesce((
  select max(e.seq) from kern.run_events e where e.run_id = ${runId}::uuid and e.seq <= ${afterSeq}::int + 1), 0)`

export function createEventQueries(db: Db, viewer: Viewer): EventQueries {
  const visible = visibleRuns(viewer)
  const select = () =>
    db.select(getViewSelectedFields(events)).from(events).innerJoin(runs, eq(runs.runId, events.runId)).$dynamic()

  return {
    async events(runId, { afterSeq, limit, types }) {
      if (!isUuid(runId)) return []
      const found = await select()
        .where(
          and(
            visible,
            eq(events.runId, runId),
            gte(events.firstSeq, rowOf(runId, afterSeq)),
            gt(events.seq, afterSeq),
            types ? anyOf(events.type, types) : undefined,
          ),
        )
        .orderBy(asc(events.firstSeq), asc(events.seq))
        .limit(limit)
      return found.map(eventOf)
    },
    async sessionEvents(sessionId, after, { limit, types }) {
      const later = or(gt(runs.number, after.number), and(eq(runs.number, after.number), gt(events.seq, after.seq)))
      const found = await select()
        .where(
          and(
            visible,
            eq(runs.sessionId, sessionId),
            gte(runs.number, after.number),
            lte(runs.number, hasHadTurn(sessionId)),
            later,
            types ? anyOf(events.type, types) : undefined,
          ),
        )
        .orderBy(asc(runs.number), asc(events.firstSeq), asc(events.seq))
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
          lastSeq: runColumns.lastSeq,
        })
        .from(runs)
        .where(
          and(
            visible,
            eq(runs.workflowId, workflowId),
            or(withStatus(RUN_STATUSES.filter((status) => !isFinal(status))), gte(runs.completedAt, since)),
          ),
        ),
  }
}
