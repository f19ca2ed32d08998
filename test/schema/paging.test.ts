import { describe, expect, test } from 'vitest'
import { runFilter, sessionFilter } from '../../schema/filters.ts'
import { pageRequest } from '../../schema/paging.ts'
import { memoryContext, run, runIdOf, runRecord, sessionRecord } from './support.ts'

const forward = (limit: number, after: string | null = null) => ({ limit, fromEnd: false, after, before: null })

describe('the arguments of a page', () => {
  test.each([
    ['nothing', {}, forward(20)],
    ['nulls', { first: null, last: null, after: null, before: null }, forward(20)],
    ['the smallest page', { first: 1 }, forward(1)],
    ['the largest page', { first: 100, after: 'a' }, forward(100, 'a')],
    ['a page from the end', { last: 5, before: 'b' }, { limit: 5, fromEnd: true, after: null, before: 'b' }],
    [
      'a page between two cursors',
      { first: 5, after: 'a', before: 'b' },
      { limit: 5, fromEnd: false, after: 'a', before: 'b' },
    ],
  ])('%s is a request', (_title, args, request) => {
    expect(pageRequest(args)).toEqual(request)
  })

  test.each([
    [{ first: 0 }, 'first is 0: allowed are whole numbers from 1 to 100'],
    [{ first: -1 }, 'first is -1: allowed are whole numbers from 1 to 100'],
    [{ first: 101 }, 'first is 101: allowed are whole numbers from 1 to 100'],
    [{ last: 0 }, 'last is 0: allowed are whole numbers from 1 to 100'],
    [{ last: -1 }, 'last is -1: allowed are whole numbers from 1 to 100'],
    [{ last: 101 }, 'last is 101: allowed are whole numbers from 1 to 100'],
    [{ first: 1.5 }, 'first is 1.5: allowed are whole numbers from 1 to 100'],
    [{ first: 1, last: 2 }, 'first is 1 and last is 2: allowed is one of them'],
  ])('%j is refused', (args, message) => {
    expect(() => pageRequest(args)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID', message }))
  })
})

describe('a filter', () => {
  const anySession = { search: null, workflowId: null, userId: null, tags: null, createdAt: null, updatedAt: null }
  const anyRun = { sessionId: null, workflowId: null, statuses: null, tags: null, createdAt: null, retryOf: null }

  test('of nulls and empty lists means any', () => {
    expect(sessionFilter(null)).toEqual(anySession)
    expect(sessionFilter({ search: null, tags: [] })).toEqual(anySession)
    expect(runFilter({ statuses: [], tags: [], createdAt: null })).toEqual(anyRun)
  })

  test('keeps what is given, and what is around it', () => {
    const from = new Date('2024-11-19T14:30:00Z')
    expect(sessionFilter({ search: 'a', tags: ['t'], createdAt: { from } }, { workflowId: 'w' })).toEqual({
      ...anySession,
      search: 'a',
      workflowId: 'w',
      tags: ['t'],
      createdAt: { from, to: null },
    })
    const given = { workflowId: 'w', statuses: ['FAILED' as const], retryOf: runIdOf(1) }
    expect(runFilter(given, { sessionId: 's' })).toEqual({ ...anyRun, ...given, sessionId: 's' })
    expect(runFilter(given, { workflowId: 'w' })).toEqual({ ...anyRun, ...given })
    expect(runFilter(given, { workflowId: 'v' })).toBeNull()
  })
})

describe('a connection', () => {
  const sessions = ['s1', 's2', 's3'].map((id) => sessionRecord(id))

  test('has edges, the same nodes, and where the page stands', async () => {
    const { context } = memoryContext({ sessions })
    const { data } = await run(
      `{ sessions(first: 2, after: "s1") { edges { cursor node { sessionId } } nodes { sessionId }
           pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
      { context },
    )
    expect(data?.['sessions']).toEqual({
      edges: [
        { cursor: 's2', node: { sessionId: 's2' } },
        { cursor: 's3', node: { sessionId: 's3' } },
      ],
      nodes: [{ sessionId: 's2' }, { sessionId: 's3' }],
      pageInfo: { hasNextPage: false, hasPreviousPage: true, startCursor: 's2', endCursor: 's3' },
    })
  })

  test('counts only when the count is selected', async () => {
    const { context, calls } = memoryContext({ sessions })
    await run('{ sessions { nodes { id } } }', { context })
    expect(calls).toEqual(['sessionPage'])
    expect((await run('{ sessions { totalCount } }', { context })).data).toEqual({ sessions: { totalCount: 3 } })
    expect(calls).toEqual(['sessionPage', 'sessionPage', 'sessionCount'])
  })

  test.each([
    ['a malformed run id', '{ sessions: runs(filter: { retryOf: "x" }) { totalCount nodes { id } } }'],
    [
      'two workflows at once',
      '{ workflow(workflowId: "pipeline") { sessions(filter: { workflowId: "b" }) { totalCount nodes { id } } } }',
    ],
    [
      'two sessions at once',
      '{ session(sessionId: "s1") { runs(filter: { sessionId: "s2" }) { totalCount nodes { id } } } }',
    ],
  ])('of %s is empty and asks the database for no list', async (_title, document) => {
    const { context, calls } = memoryContext({ sessions, runs: [runRecord(1)] })
    const { data, errors } = await run(document, { context })
    expect(errors).toBeUndefined()
    expect(JSON.stringify(data)).toContain('{"totalCount":0,"nodes":[]}')
    expect(calls.filter((name) => name !== 'sessions')).toEqual([])
  })
})
