import type { Page, PageRequest, RunOrder, SessionOrder } from '../src/engine/reader.ts'
import type { RunRecord, SessionRecord } from '../src/engine/records.ts'
import { KernError } from '../src/errors.ts'
import type { Builder } from './builder.ts'
import type { KernContext } from './context.ts'
import { isGiven, runFilter, sessionFilter, type Within } from './filters.ts'
import type { Connection, CountedConnection, RunFilterInput, SessionFilterInput } from './models.ts'

/** How many a page holds unless it says so. */
export const DEFAULT_PAGE_SIZE = 20
/** How many a page holds at most. */
export const MAX_PAGE_SIZE = 100

/** The arguments of a connection; null and undefined both mean "not given". */
export interface PageArgs {
  readonly first?: number | null | undefined
  readonly last?: number | null | undefined
  readonly after?: string | null | undefined
  readonly before?: string | null | undefined
}

/**
 * Reads the arguments of a connection. Cursors are left to the reader.
 *
 * @throws KernError INPUT_INVALID if `first` or `last` is out of range, or both are given
 */
export function pageRequest({ first, last, after, before }: PageArgs): PageRequest {
  if (isGiven(first) && isGiven(last)) {
    throw new KernError('INPUT_INVALID', `first is ${first} and last is ${last}: allowed is one of them`)
  }
  const fromEnd = isGiven(last)
  const limit = fromEnd ? pageSize('last', last) : pageSize('first', first)
  return { limit, fromEnd, after: after ?? null, before: before ?? null }
}

/** @throws KernError INPUT_INVALID if the size is out of range */
export function pageSize(name: 'first' | 'last', size: number | null | undefined): number {
  const limit = size ?? DEFAULT_PAGE_SIZE
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_SIZE) {
    throw new KernError('INPUT_INVALID', `${name} is ${limit}: allowed are whole numbers from 1 to ${MAX_PAGE_SIZE}`)
  }
  return limit
}

/** A page as a connection. */
export function connectionOf<Item>(page: Page<Item>): Connection<Item> {
  const { items, hasNextPage, hasPreviousPage } = page
  return {
    edges: items.map(({ cursor, item }) => ({ cursor, node: item })),
    pageInfo: {
      hasNextPage,
      hasPreviousPage,
      startCursor: items[0]?.cursor ?? null,
      endCursor: items.at(-1)?.cursor ?? null,
    },
  }
}

interface ListArgs<Filter, Order> extends PageArgs {
  readonly filter?: Filter | null | undefined
  readonly orderBy?: Order | null | undefined
}
export type SessionListArgs = ListArgs<SessionFilterInput, SessionOrder>
export type RunListArgs = ListArgs<RunFilterInput, RunOrder>

const NEWEST_SESSIONS: SessionOrder = { field: 'UPDATED_AT', direction: 'DESC' }
const NEWEST_RUNS: RunOrder = { field: 'CREATED_AT', direction: 'DESC' }

/** A page of sessions, of one workflow where `within` names it. @throws KernError INPUT_INVALID, CURSOR_INVALID */
export async function sessionConnection(
  context: KernContext,
  args: SessionListArgs,
  within: Pick<Within, 'workflowId'> = {},
): Promise<CountedConnection<SessionRecord>> {
  const page = pageRequest(args)
  const filter = sessionFilter(args.filter, within)
  if (!filter) return nothing()
  const found = await context.reader.sessionPage(filter, args.orderBy ?? NEWEST_SESSIONS, page)
  return { ...connectionOf(found), count: () => context.reader.sessionCount(filter) }
}

/** A page of runs, of one workflow where `within` names it. @throws KernError INPUT_INVALID, CURSOR_INVALID */
export async function runConnection(
  context: KernContext,
  args: RunListArgs,
  within: Pick<Within, 'workflowId'> = {},
): Promise<CountedConnection<RunRecord>> {
  const page = pageRequest(args)
  const filter = runFilter(args.filter, within)
  if (!filter) return nothing()
  const found = await context.reader.runPage(filter, args.orderBy ?? NEWEST_RUNS, page)
  return { ...connectionOf(found), count: () => context.reader.runCount(filter) }
}

/** A page of the runs of a session; many sessions at once are read together. @throws KernError INPUT_INVALID, CURSOR_INVALID */
export async function runConnectionOfSession(
  context: KernContext,
  args: RunListArgs,
  sessionId: string,
): Promise<CountedConnection<RunRecord>> {
  const page = pageRequest(args)
  const found = runFilter(args.filter, { sessionId })
  if (!found) return nothing()
  // The session is an argument of its own, so that the filters of a page of sessions are equal.
  const filter = { ...found, sessionId: null }
  const order = args.orderBy ?? NEWEST_RUNS
  const runs = await context.loaders.runPage({ sessionId, filter, order, page })
  return { ...connectionOf(runs), count: () => context.loaders.runCount({ sessionId, filter }) }
}

function nothing<Item>(): CountedConnection<Item> {
  return { ...connectionOf<Item>({ items: [], hasNextPage: false, hasPreviousPage: false }), count: async () => 0 }
}

/** Adds the connections of sessions, runs and events, with their edges. */
export function addConnections(builder: Builder): void {
  builder.connectionObject(
    { type: 'Session', name: 'SessionConnection', description: 'A page of sessions.' },
    { name: 'SessionEdge', description: 'A session with its place in a list.' },
  )
  builder.connectionObject(
    { type: 'Run', name: 'RunConnection', description: 'A page of runs.' },
    { name: 'RunEdge', description: 'A run with its place in a list.' },
  )
  builder.connectionObject(
    { type: 'RunEvent', name: 'RunEventConnection', description: 'A page of the events of a run, in order of `seq`.' },
    { name: 'RunEventEdge', description: 'An event with its place in the list of its run.' },
  )
  builder.objectField('SessionConnection', 'totalCount', (t) =>
    t.int({ description: 'How many sessions there are in all pages. Costs a query.', resolve: (list) => list.count() }),
  )
  builder.objectField('RunConnection', 'totalCount', (t) =>
    t.int({ description: 'How many runs there are in all pages. Costs a query.', resolve: (list) => list.count() }),
  )
}
