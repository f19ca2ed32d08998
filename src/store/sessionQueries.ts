import { and, arrayContains, type Column, count, eq, gte, lt, type SQL, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { sessions } from '../db/tables.ts'
import type { DateRange, Reader, SessionFilter, SessionOrder } from '../engine/reader.ts'
import type { SessionRecord } from '../engine/records.ts'
import type { Viewer } from '../viewer.ts'
import { anyOf } from './anyOf.ts'
import { encodeCursor, type Ordering, orderBy, pageOf, TEXT_KEY, TIME_KEY, within } from './paging.ts'
import { sessionColumns, sessionOf } from './rows.ts'
import { visibleSessions } from './visible.ts'

type SessionQueries = Pick<Reader, 'sessions' | 'sessionPage' | 'sessionCount' | 'sessionCursor'>

export function createSessionQueries(db: Db, viewer: Viewer): SessionQueries {
  return {
    async sessions(sessionIds) {
      const found = await db
        .select(sessionColumns)
        .from(sessions)
        .where(and(visibleSessions(viewer), anyOf(sessions.sessionId, sessionIds)))
      const byId = new Map(found.map((row) => [row.sessionId, sessionOf(row)]))
      return sessionIds.map((id) => byId.get(id) ?? null)
    },
    async sessionPage(filter, order, page) {
      const ordering = orderingOf(order)
      const found = await db
        .select({ row: sessionColumns, key: sql<string>`${ordering.key}::text`.as('sort_key') })
        .from(sessions)
        .where(and(visibleSessions(viewer), ...conditions(filter), within(ordering, page)))
        .orderBy(...orderBy(ordering, page))
        .limit(page.limit + 1)
      return pageOf(found, page, ({ row, key }) => ({
        cursor: encodeCursor(ordering, { key, id: row.sessionId }),
        item: sessionOf(row),
      }))
    },
    async sessionCount(filter) {
      const [row] = await db
        .select({ total: count() })
        .from(sessions)
        .where(and(visibleSessions(viewer), ...conditions(filter)))
      return row?.total ?? 0
    },
    sessionCursor(session: SessionRecord) {
      const ordering = orderingOf({ field: 'UPDATED_AT', direction: 'DESC' })
      return encodeCursor(ordering, { key: session.updatedAt.toISOString(), id: session.sessionId })
    },
  }
}

function orderingOf({ field, direction }: SessionOrder): Ordering {
  const common = {
    name: `sessions by ${field} ${direction}`,
    id: sessions.sessionId,
    validId: TEXT_KEY.valid,
    sorts: 'both' as const,
    descending: direction === 'DESC',
  }
  switch (field) {
    case 'CREATED_AT':
      return { ...common, key: sessions.createdAt, keyType: TIME_KEY }
    case 'UPDATED_AT':
      return { ...common, key: sessions.updatedAt, keyType: TIME_KEY }
    case 'NAME':
      return { ...common, key: sql`lower(${sessions.displayName}) collate "C"`, keyType: TEXT_KEY }
  }
}

function conditions(filter: SessionFilter): SQL[] {
  const { search, workflowId, userId, tags, createdAt, updatedAt } = filter
  const all: SQL[] = []
  if (search) {
    const pattern = `%${search.replaceAll(/[\\%_]/g, '\\$&')}%`
    all.push(sql`(${sessions.displayName} ilike ${pattern} or ${sessions.sessionId} ilike ${pattern})`)
  }
  if (workflowId != null) all.push(eq(sessions.workflowId, workflowId))
  if (userId != null) all.push(eq(sessions.userId, userId))
  if (tags && tags.length > 0) all.push(...withTags(sessions.tags, tags))
  return [...all, ...inRange(sessions.createdAt, createdAt), ...inRange(sessions.updatedAt, updatedAt)]
}

/** That a row has all of these tags. The first condition follows from the second; the index of tags has it. */
export function withTags(column: Column, tags: readonly string[]): SQL[] {
  return [sql`${column} <> '{}'`, arrayContains(column, [...tags])]
}

/** A range of time as conditions: from the start, up to but without the end. */
export function inRange(column: Column, range: DateRange | null | undefined): SQL[] {
  const bounds: SQL[] = []
  if (range?.from) bounds.push(gte(column, range.from))
  if (range?.to) bounds.push(lt(column, range.to))
  return bounds
}
