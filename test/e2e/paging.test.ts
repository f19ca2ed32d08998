import { beforeAll, describe, expect, test } from 'vitest'
import { data, onEachServer, type Served } from '../support/server.ts'
import { createFlows } from './flows.ts'
import { AT, insertRuns, insertSessions, later, runIdOf } from './rows.ts'

const COUNT = 10

/** Few different times, names and durations: nearly every row has others in the same place. */
const SESSIONS = Array.from({ length: COUNT }, (_, n) => ({
  sessionId: `s${String(n).padStart(2, '0')}`,
  displayName: ['beta', 'Alpha', 'ALPHA', 'alpha b'][n % 4] ?? '',
  createdAt: later(n % 3),
  updatedAt: later((n * 5) % 4),
}))

const RUNS = Array.from({ length: COUNT }, (_, n) => ({
  runId: runIdOf(n),
  sessionId: 's00',
  number: n + 1,
  // In the order of acceptance, in which ids and numbers are given.
  createdAt: later(Math.floor(n / 3)),
  // A clock that was set back makes a run shorter than nothing.
  durationMs: [10, 10.5, null, -2.5, 0][n % 5] ?? null,
  status: n % 5 === 2 ? ('CANCELLED' as const) : ('COMPLETED' as const),
}))

type Key = string | number

const sessionKey: Record<string, (row: (typeof SESSIONS)[number]) => Key> = {
  CREATED_AT: ({ createdAt }) => createdAt.getTime(),
  UPDATED_AT: ({ updatedAt }) => updatedAt.getTime(),
  NAME: ({ displayName }) => displayName.toLowerCase(),
}

const runKey: Record<string, (row: (typeof RUNS)[number]) => Key> = {
  CREATED_AT: ({ createdAt }) => createdAt.getTime(),
  DURATION: ({ durationMs }) => durationMs ?? Number.POSITIVE_INFINITY,
}

/** The ids in the order of a key, and of the ids themselves where keys are equal. */
function sorted<Row>(rows: readonly Row[], key: (row: Row) => Key, id: (row: Row) => string): string[] {
  const keyed = rows.map((row) => ({ key: key(row), id: id(row) }))
  keyed.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.id < b.id ? -1 : 1))
  return keyed.map((row) => row.id)
}

interface Connection {
  readonly totalCount: number
  readonly edges: readonly { readonly cursor: string; readonly node: { readonly key: string } }[]
  readonly nodes: readonly { readonly key: string }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string
    readonly endCursor: string
  }
}

/** A list of a document: what stands around it, its name, and what its nodes are known by. */
interface List {
  readonly around: readonly string[]
  readonly name: 'sessions' | 'runs'
}

const key = ({ name }: List): string => (name === 'sessions' ? 'key: sessionId' : 'key: runId')

async function page(served: Served, list: List, args: string): Promise<Connection> {
  const field = `list: ${list.name}(${args}) { totalCount edges { cursor node { ${key(list)} } } nodes { ${key(list)} }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }`
  const query = list.around.reduceRight((inner, outer) => `${outer} { ${inner} }`, field)
  let found: unknown = await data(served, `{ ${query} }`)
  for (const outer of list.around) found = Object(found)[outer.split(/[:(]/, 1)[0] ?? '']
  return Object(found).list
}

interface Walk {
  readonly served: Served
  readonly list: List
  readonly size: number
  readonly order: string
  readonly backwards: boolean
}

/** All pages of a list, each held to what it says about itself, as one list of ids. */
async function walk({ served, list, size, order, backwards }: Walk): Promise<string[]> {
  const ids: string[][] = []
  let cursor: string | null = null
  for (let more = true; more && ids.length <= COUNT; ) {
    const place = cursor === null ? '' : `${backwards ? 'before' : 'after'}: "${cursor}"`
    const found: Connection = await page(served, list, `${backwards ? 'last' : 'first'}: ${size} ${place} ${order}`)
    const { edges, nodes, pageInfo, totalCount } = found
    expect(nodes).toEqual(edges.map(({ node }) => node))
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([edges[0]?.cursor, edges.at(-1)?.cursor])
    expect(totalCount).toBe(COUNT)
    const [onward, back] = backwards
      ? [pageInfo.hasPreviousPage, pageInfo.hasNextPage]
      : [pageInfo.hasNextPage, pageInfo.hasPreviousPage]
    expect(back).toBe(cursor !== null)
    expect(onward ? edges.length : Math.min(size, edges.length)).toBe(onward ? size : edges.length)
    ids.push(nodes.map((node) => node.key))
    cursor = backwards ? pageInfo.startCursor : pageInfo.endCursor
    more = onward
  }
  return (backwards ? ids.reverse() : ids).flat()
}

onEachServer(
  () => ({ workflows: createFlows().workflows }),
  (served) => {
    beforeAll(async () => {
      const { db } = served().database
      await insertSessions(db, SESSIONS)
      await insertRuns(db, RUNS)
    })

    const lists = [
      { list: { around: [], name: 'sessions' }, sizes: [1, 2, 7, COUNT] },
      { list: { around: ['workflow(workflowId: "echo")'], name: 'sessions' }, sizes: [7] },
      { list: { around: [], name: 'runs' }, sizes: [1, 2, 7, COUNT] },
      { list: { around: ['workflow(workflowId: "echo")'], name: 'runs' }, sizes: [7] },
      { list: { around: ['session(sessionId: "s00")'], name: 'runs' }, sizes: [1, 2, 7, COUNT] },
    ] as const satisfies readonly { readonly list: List; readonly sizes: readonly number[] }[]

    const orders = lists.flatMap(({ list, sizes }) => {
      const fields = list.name === 'sessions' ? Object.keys(sessionKey) : Object.keys(runKey)
      return fields.flatMap((field) => ['ASC', 'DESC'].map((direction) => ({ list, sizes, field, direction })))
    })

    function expected(name: List['name'], field: string, direction: string): string[] {
      const none = () => 0
      const ids =
        name === 'sessions'
          ? sorted(SESSIONS, sessionKey[field] ?? none, ({ sessionId }) => sessionId)
          : sorted(RUNS, runKey[field] ?? none, ({ runId }) => runId)
      return direction === 'ASC' ? ids : ids.reverse()
    }

    describe.each(orders)('$list.around $list.name by $field $direction', ({ list, sizes, field, direction }) => {
      const order = `orderBy: { field: ${field}, direction: ${direction} }`

      test.each([
        ['forwards', false],
        ['backwards', true],
      ])('walked %s has every row once, in order, whatever the size of the page', async (_way, backwards) => {
        for (const size of sizes) {
          const ids = await walk({ served: served(), list, size, order, backwards })
          expect(ids, `pages of ${size}`).toEqual(expected(list.name, field, direction))
        }
      })
    })

    test.each([
      ['sessions', 'UPDATED_AT'],
      ['runs', 'CREATED_AT'],
    ] as const)('the default order of %s is %s, newest first', async (name, field) => {
      const found = await page(served(), { around: [], name }, 'first: 100')
      expect(found.nodes.map((node) => node.key)).toEqual(expected(name, field, 'DESC'))
    })

    test('a page may lie between two cursors, from either end', async () => {
      const list: List = { around: [], name: 'runs' }
      const { edges } = await page(served(), list, 'first: 100')
      const [from, to] = [edges[1]?.cursor, edges[6]?.cursor]
      const inside = edges.slice(2, 6).map(({ node }) => node.key)
      const keys = async (size: string) =>
        (await page(served(), list, `${size} after: "${from}" before: "${to}"`)).nodes.map((node) => node.key)
      expect(await keys('first: 100')).toEqual(inside)
      expect(await keys('first: 2')).toEqual(inside.slice(0, 2))
      expect(await keys('last: 3')).toEqual(inside.slice(1))
    })

    test('rows that are added behind the page do not disturb the walk', async () => {
      const list: List = { around: [], name: 'runs' }
      const order = 'orderBy: { field: CREATED_AT, direction: DESC }'
      const first = await page(served(), list, `first: 5 ${order}`)
      await insertRuns(served().database.db, [
        { runId: runIdOf(99), sessionId: 's01', number: 1, createdAt: new Date(AT.getTime() + 1_000) },
      ])
      const second = await page(served(), list, `first: 100 ${order} after: "${first.pageInfo.endCursor}"`)
      expect([...first.nodes, ...second.nodes].map((node) => node.key)).toEqual(expected('runs', 'CREATED_AT', 'DESC'))
    })
  },
)
