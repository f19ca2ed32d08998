import { and, asc, desc, eq, getViewSelectedFields, gt, gte, lt, or, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { events, runPayloads, runs, sessions } from '../db/tables.ts'
import type { Reader } from '../engine/reader.ts'
import { isFinal, RUN_STATUSES } from '../engine/records.ts'
import { isUuid } from '../ids.ts'
import type { Viewer } from '../viewer.ts'
import type { HistoryRun } from '../workflow/context.ts'
import { anyOf } from './anyOf.ts'
import { decode, eventOf } from './rows.ts'
import { conditions, runColumns, withStatus } from './runQueries.ts'
import { createSessionEvents } from './sessionEvents.ts'
import { visibleRuns, visibleSessions } from './visible.ts'

type EventQueries = Pick<
  Reader,
  'events' | 'sessionEvents' | 'completedRuns' | 'liveRuns' | 'lastSeqs' | 'sessionMarks'
>

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
    sessionEvents: createSessionEvents(db, viewer),
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
    liveRuns: async ({ statuses: _statuses, ...filter }, since) =>
      await db
        .select({ runId: runs.runId, status: runs.status, lastSeq: runColumns.lastSeq, endedAt: runs.completedAt })
        .from(runs)
        .where(
          and(
            visible,
            ...conditions(filter),
            or(withStatus(RUN_STATUSES.filter((status) => !isFinal(status))), gte(runs.completedAt, since)),
          ),
        ),
    async lastSeqs(runIds) {
      const found = await db
        .select({ runId: runs.runId, lastSeq: runColumns.lastSeq })
        .from(runs)
        .where(and(visible, anyOf(runs.runId, runIds.filter(isUuid))))
      return new Map(found.map(({ runId, lastSeq }) => [runId, lastSeq]))
    },
    async sessionMarks(sessionIds) {
      // An event more is a run more, one of the run that has its turn, or one that comes with it when the turn moves.
      const found = await db
        .select({
          sessionId: sessions.sessionId,
          mark: sql<string>`concat_ws(':', kern.sessions.run_count, kern.sessions.active_run_id, (
            select e.seq + json_array_length(e.events) from kern.run_events e
            where e.run_id = kern.sessions.active_run_id order by e.seq desc limit 1))`.as('mark'),
        })
        .from(sessions)
        .where(and(visibleSessions(viewer), anyOf(sessions.sessionId, sessionIds)))
      return new Map(found.map(({ sessionId, mark }) => [sessionId, mark]))
    },
  }
}
