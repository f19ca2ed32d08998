import { and, count, eq, getColumns, getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { runPayloads, runs, sessions } from '../db/tables.ts'
import type { Reader, RunFilter, RunOrder } from '../engine/reader.ts'
import { RUN_STATUSES, type RunRecord, type RunStatus } from '../engine/records.ts'
import { isUuid } from '../ids.ts'
import type { Viewer } from '../viewer.ts'
import { anyOf } from './anyOf.ts'
import { COUNT_KEY, encodeCursor, NUMBER_KEY, type Ordering, orderBy, pageOf, within } from './paging.ts'
import { payloadOf, type RunRow, runOf } from './rows.ts'
import { inRange, withTags } from './sessionQueries.ts'
import { visibleRuns, visibleSessions } from './visible.ts'

type RunQueries = Pick<
  Reader,
  | 'runs'
  | 'runPage'
  | 'runCount'
  | 'runPagesOfSessions'
  | 'runCountsOfSessions'
  | 'payloads'
  | 'queuePositions'
  | 'retries'
  | 'runCursor'
>

const { owner: _owner, deaths: _deaths, requestHash: _requestHash, ...shownColumns } = getTableColumns(runs)

/** A run's columns, with what is counted and summed: while it runs from the rows, afterwards from what the end recorded. */
export const runColumns = {
  ...shownColumns,
  lastSeq: sql<number>`coalesce((select e.seq + json_array_length(e.events) - 1 from kern.run_events e
      where e.run_id = kern.runs.run_id order by e.seq desc limit 1), 0)`.as('last_seq'),
  stepCount:
    sql<number>`coalesce(kern.runs.step_count, (select count(*)::int from kern.step_results s where s.run_id = kern.runs.run_id))`.as(
      'steps_counted',
    ),
  attemptCount:
    sql<number>`coalesce(kern.runs.attempt_count, (select coalesce(sum(coalesce(json_array_length(s.attempts), 1)), 0)::int from kern.step_results s where s.run_id = kern.runs.run_id))`.as(
      'attempts_counted',
    ),
  usage: sql<string | null>`case when kern.runs.completed_at is not null then kern.runs.usage::text else (
    select json_build_object('inputTokens', sum((s.usage->>'inputTokens')::bigint),
      'outputTokens', sum((s.usage->>'outputTokens')::bigint), 'totalTokens', sum((s.usage->>'totalTokens')::bigint))::text
    from kern.step_results s where s.run_id = kern.runs.run_id and s.usage is not null having count(*) > 0) end`.as(
    'usage_summed',
  ),
}

/**
 * A run's values. As long as it has changed nothing of its session's state, what it began with is not stored: it is the
 * state that the session has.
 */
const payloadColumns = {
  ...getTableColumns(runPayloads),
  stateBefore: sql<string | null>`coalesce(kern.run_payloads.state_before, (
    select s.state from kern.sessions s
    where s.session_id = kern.runs.session_id and kern.runs.status = 'RUNNING'
      and exists (select 1 from kern.run_events e where e.run_id = kern.runs.run_id and e.seq > 1)))::text`.as(
    'state_began_with',
  ),
}

export function createRunQueries(db: Db, viewer: Viewer): RunQueries {
  const visible = visibleRuns(viewer)
  const select = () => db.select(runColumns).from(runs)

  return {
    async runs(runIds) {
      const found = await select().where(and(visible, anyOf(runs.runId, known(runIds))))
      return inOrder(runIds, found.map(runOf))
    },
    async runPage(filter, order, page) {
      const ordering = orderingOf(order, filter)
      const found = await db
        .select({ ...runColumns, sortKey: sortKey(ordering) })
        .from(runs)
        .where(and(visible, ...conditions(filter), within(ordering, page)))
        .orderBy(...orderBy(ordering, page))
        .limit(page.limit + 1)
      return pageOf(found, page, edgeOf(ordering))
    },
    async runCount(filter) {
      const [row] = await db
        .select({ total: count() })
        .from(runs)
        .where(and(visible, ...conditions(filter)))
      return row?.total ?? 0
    },
    async runPagesOfSessions(sessionIds, filter, order, page) {
      const ordering = orderingOf(order, { sessionId: '' })
      const ofSession = db
        .select({ ...runColumns, sortKey: sortKey(ordering) })
        .from(runs)
        .where(and(eq(runs.sessionId, sessions.sessionId), visible, ...conditions(filter), within(ordering, page)))
        .orderBy(...orderBy(ordering, page))
        .limit(page.limit + 1)
        .as('page')
      const found = await db
        .select(getColumns(ofSession))
        .from(sessions)
        .crossJoinLateral(ofSession)
        .where(and(visibleSessions(viewer), anyOf(sessions.sessionId, sessionIds)))
      const bySession = Map.groupBy(found, (run) => run.sessionId)
      return sessionIds.map((id) => pageOf(bySession.get(id) ?? [], page, edgeOf(ordering)))
    },
    async runCountsOfSessions(sessionIds, filter) {
      const found = await db
        .select({ sessionId: runs.sessionId, total: count() })
        .from(runs)
        .where(and(visible, anyOf(runs.sessionId, sessionIds), ...conditions(filter)))
        .groupBy(runs.sessionId)
      const totals = new Map(found.map(({ sessionId, total }) => [sessionId, total]))
      return sessionIds.map((id) => totals.get(id) ?? 0)
    },
    async payloads(runIds) {
      const found = await db
        .select(payloadColumns)
        .from(runPayloads)
        .innerJoin(runs, eq(runs.runId, runPayloads.runId))
        .where(and(visible, anyOf(runPayloads.runId, known(runIds))))
      return inOrder(runIds, found.map(payloadOf))
    },
    async queuePositions(runIds) {
      const found = await db
        .select({
          runId: runs.runId,
          position:
            sql<number>`(select count(*)::int from kern.runs q where q.session_id = kern.runs.session_id and q.status = 'QUEUED' and q.number <= kern.runs.number)`.as(
              'position',
            ),
        })
        .from(runs)
        .where(and(visible, anyOf(runs.runId, known(runIds)), eq(runs.status, 'QUEUED')))
      const positions = new Map(found.map(({ runId, position }) => [runId, position]))
      return runIds.map((id) => positions.get(id) ?? null)
    },
    async retries(runIds) {
      const found = await select()
        .where(and(visible, anyOf(runs.retryOf, known(runIds))))
        .orderBy(runs.runId)
      const byOrigin = Map.groupBy(found.map(runOf), ({ retryOf }) => retryOf)
      return runIds.map((id) => byOrigin.get(id) ?? [])
    },
    runCursor(run: RunRecord) {
      const ordering = orderingOf({ field: 'CREATED_AT', direction: 'DESC' }, {})
      return encodeCursor(ordering, { key: String(run.number), id: run.runId })
    },
  }
}

/** What is no UUID is no run, and never reaches a statement. */
function known(runIds: readonly string[]): string[] {
  return runIds.filter(isUuid)
}

function inOrder<Item extends { readonly runId: string }>(
  runIds: readonly string[],
  items: readonly Item[],
): (Item | null)[] {
  const byId = new Map(items.map((item) => [item.runId, item]))
  return runIds.map((id) => byId.get(id) ?? null)
}

function sortKey(ordering: Ordering) {
  return sql<string>`${ordering.key}::text`.as('sort_key')
}

function edgeOf(ordering: Ordering) {
  return ({ sortKey: key, ...row }: RunRow & { readonly sortKey: string }) => ({
    cursor: encodeCursor(ordering, { key, id: row.runId }),
    item: runOf(row),
  })
}

/**
 * Runs by their time of acceptance: those of one session by their number, others by their id, which is made from that time.
 * A cursor has both, so that of a run is good for either list.
 */
function orderingOf({ field, direction }: RunOrder, { sessionId }: RunFilter): Ordering {
  const common = {
    name: `runs by ${field} ${direction}`,
    id: runs.runId,
    validId: isUuid,
    descending: direction === 'DESC',
  }
  switch (field) {
    case 'CREATED_AT':
      return { ...common, key: runs.number, keyType: COUNT_KEY, sorts: sessionId == null ? 'id' : 'key' }
    case 'DURATION':
      // A run that is not over counts as longer than all others.
      return {
        ...common,
        key: sql`coalesce(${runs.durationMs}, 'Infinity'::float8)`,
        keyType: NUMBER_KEY,
        sorts: 'both',
      }
  }
}

/** What a filter asks of a run. */
export function conditions(filter: RunFilter): SQL[] {
  const { sessionId, workflowId, statuses, tags, createdAt, retryOf } = filter
  const all: SQL[] = []
  if (sessionId != null) all.push(eq(runs.sessionId, sessionId))
  if (workflowId != null) all.push(eq(runs.workflowId, workflowId))
  if (statuses) all.push(withStatus(statuses))
  if (tags && tags.length > 0) all.push(...withTags(runs.tags, tags))
  if (retryOf != null) all.push(isUuid(retryOf) ? eq(runs.retryOf, retryOf) : sql`false`)
  return [...all, ...inRange(runs.createdAt, createdAt)]
}

/** In the text of the statement, not as a parameter: only so can Postgres know that an index of some statuses has them. */
export function withStatus(statuses: readonly RunStatus[]): SQL {
  const known = RUN_STATUSES.filter((status) => statuses.includes(status))
  if (known.length === 0) return sql`false`
  return sql`${runs.status} in (${sql.raw(known.map((status) => `'${status}'`).join(', '))})`
}
