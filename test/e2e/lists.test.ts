import { beforeAll, describe, expect, test } from 'vitest'
import { sessions } from '../../src/db/tables.ts'
import type { Db } from '../../src/db/client.ts'
import { ask, data, onEachServer, type Served } from '../support/server.ts'
import { createFlows } from './flows.ts'
import { AT, insertRuns, insertSessions, later, runIdOf } from './rows.ts'

const flows = createFlows()

const SESSIONS = [
  { sessionId: 'a', displayName: '100% tea', workflowId: 'echo', userId: 'ann', tags: ['x', 'y'] },
  { sessionId: 'b', displayName: '100 cups', workflowId: 'echo', userId: 'bob', tags: ['x'] },
  { sessionId: 'c_d', displayName: 'back\\slash', workflowId: 'held', userId: 'ann', tags: ['y'] },
  { sessionId: 'cxd', displayName: 'Ünïcode 🫖', workflowId: 'held', userId: null, tags: [] },
].map((row, n) => ({ ...row, createdAt: later(n), updatedAt: later(10 - n) }))

const RUNS = [
  { sessionId: 'a', number: 1, workflowId: 'echo', status: 'COMPLETED' as const, tags: ['x', 'y'] },
  { sessionId: 'a', number: 2, workflowId: 'echo', status: 'FAILED' as const, tags: ['x'], retryOf: runIdOf(0) },
  { sessionId: 'c_d', number: 1, workflowId: 'held', status: 'CANCELLED' as const },
  { sessionId: 'c_d', number: 2, workflowId: 'held', status: 'QUEUED' as const, completedAt: null, durationMs: null },
].map((row, n) => ({ runId: runIdOf(n), ...row, createdAt: later(n) }))

async function found(served: Served, list: string, filter: object): Promise<unknown[]> {
  const id = list === 'sessions' ? 'sessionId' : 'runId'
  const type = list === 'sessions' ? 'SessionFilter' : 'RunFilter'
  const order = 'orderBy: { field: CREATED_AT, direction: ASC }'
  const query = `query ($filter: ${type}) { list: ${list}(filter: $filter, ${order}) { totalCount nodes { id: ${id} } } }`
  const answer = await data<{ list: { totalCount: number; nodes: { id: string }[] } }>(served, query, { filter })
  expect(answer.list.totalCount).toBe(answer.list.nodes.length)
  return answer.list.nodes.map(({ id: found }) => found)
}

/** The texts of the statements that are sent until the work is done. */
async function statements(db: Db, work: () => Promise<unknown>): Promise<string[]> {
  const { session } = db._
  const { prepareQuery } = session
  const texts: string[] = []
  session.prepareQuery = (...args: Parameters<typeof prepareQuery>) => {
    texts.push(args[0].sql)
    return prepareQuery.apply(session, args) as never // the type of the result is the caller's to say
  }
  try {
    await work()
  } finally {
    session.prepareQuery = prepareQuery
  }
  return texts
}

// Nothing but what the test asks for may send statements while they are counted.
const HOUR_MS = 3_600_000
const quiet = { pollMs: HOUR_MS, heartbeatMs: HOUR_MS, leaseMs: HOUR_MS }

onEachServer(
  () => ({ workflows: flows.workflows, pace: quiet }),
  (served, name) => {
    beforeAll(async () => {
      const { db } = served().database
      await insertSessions(db, SESSIONS)
      await insertRuns(db, RUNS)
    })

    describe('a filter of sessions', () => {
      test.each([
        [{}, ['a', 'b', 'c_d', 'cxd']],
        [{ search: '' }, ['a', 'b', 'c_d', 'cxd']],
        [{ search: '100' }, ['a', 'b']],
        [{ search: '100%' }, ['a']],
        [{ search: '%' }, ['a']],
        [{ search: '_' }, ['c_d']],
        [{ search: 'c_d' }, ['c_d']],
        [{ search: '\\' }, ['c_d']],
        [{ search: 'K\\S' }, ['c_d']],
        [{ search: 'TEA' }, ['a']],
        [{ search: '🫖' }, ['cxd']],
        [{ search: "'; drop table kern.sessions; --" }, []],
        [{ search: 'x'.repeat(10_000) }, []],
        [{ workflowId: 'held' }, ['c_d', 'cxd']],
        [{ workflowId: 'nothing' }, []],
        [{ userId: 'ann' }, ['a', 'c_d']],
        [{ userId: 'Ann' }, []],
        [{ tags: ['x'] }, ['a', 'b']],
        [{ tags: ['x', 'y'] }, ['a']],
        [{ tags: ['y', 'x', 'x'] }, ['a']],
        [{ tags: [] }, ['a', 'b', 'c_d', 'cxd']],
        [{ tags: ['"{},'] }, []],
        [{ createdAt: { from: later(1) } }, ['b', 'c_d', 'cxd']],
        [{ createdAt: { to: later(1) } }, ['a']],
        [{ createdAt: { from: later(1), to: later(3) } }, ['b', 'c_d']],
        [{ createdAt: { from: later(3), to: later(1) } }, []],
        [{ updatedAt: { from: later(9) } }, ['a', 'b']],
        [{ updatedAt: { from: '2024-11-19T15:30:00.132+01:00' } }, ['a', 'b']],
        [{ createdAt: { from: '0001-01-01T00:00:00Z', to: '9999-12-31T23:59:59.999Z' } }, ['a', 'b', 'c_d', 'cxd']],
        [{ userId: 'ann', tags: ['y'], workflowId: 'echo' }, ['a']],
      ])('%j finds %j', async (filter, ids) => {
        expect(await found(served(), 'sessions', filter)).toEqual(ids)
      })
    })

    describe('a filter of runs', () => {
      test.each([
        [{}, [0, 1, 2, 3]],
        [{ sessionId: 'a' }, [0, 1]],
        [{ sessionId: 'A' }, []],
        [{ workflowId: 'held' }, [2, 3]],
        [{ statuses: ['FAILED', 'QUEUED'] }, [1, 3]],
        [{ statuses: [] }, [0, 1, 2, 3]],
        [{ tags: ['x'] }, [0, 1]],
        [{ tags: ['x', 'y'] }, [0]],
        [{ createdAt: { from: later(1), to: later(3) } }, [1, 2]],
        [{ retryOf: runIdOf(0) }, [1]],
        [{ retryOf: runIdOf(9) }, []],
        [{ retryOf: 'x' }, []],
        [{ retryOf: runIdOf(0).toUpperCase() }, []],
        [{ sessionId: 'a', statuses: ['COMPLETED'] }, [0]],
      ])('%j finds the runs %j', async (filter, numbers) => {
        expect(await found(served(), 'runs', filter)).toEqual(numbers.map(runIdOf))
      })
    })

    describe('a cursor', () => {
      const text = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
      const edgeOf = async (field: string) => {
        const answer = await data<{ list: { edges: { cursor: string }[] } }>(
          served(),
          `{ list: ${field} { edges { cursor } } }`,
        )
        return answer.list.edges[0]?.cursor ?? ''
      }
      const LISTS = [
        ['sessions', 'UPDATED_AT', 'DESC'],
        ['sessions', 'UPDATED_AT', 'ASC'],
        ['sessions', 'CREATED_AT', 'DESC'],
        ['sessions', 'NAME', 'DESC'],
        ['runs', 'CREATED_AT', 'DESC'],
        ['runs', 'CREATED_AT', 'ASC'],
        ['runs', 'DURATION', 'ASC'],
      ] as const
      const field = ([list, by, direction]: (typeof LISTS)[number], more = '') =>
        `${list}(orderBy: { field: ${by}, direction: ${direction} } ${more})`

      test('of one list or order is refused by every other one', async () => {
        const cursors = await Promise.all(LISTS.map((list) => edgeOf(field(list))))
        for (const [index, list] of LISTS.entries()) {
          for (const [other, cursor] of cursors.entries()) {
            for (const side of ['after', 'before']) {
              const answer = await ask(served(), `{ list: ${field(list, `${side}: "${cursor}"`)} { nodes { id } } }`)
              const code = answer.errors?.[0]?.extensions?.['code']
              expect([list, other, side, code]).toEqual([
                list,
                other,
                side,
                index === other ? undefined : 'CURSOR_INVALID',
              ])
            }
          }
        }
      })

      const id = runIdOf(0)
      test.each([
        ['empty text', ''],
        ['no base64', '%%%'],
        ['no JSON', Buffer.from('nonsense').toString('base64url')],
        ['another shape', text({ a: 1 })],
        ['too many parts', text(['runs by CREATED_AT DESC', AT.toISOString(), id, 1])],
        ['a part that is no text', text(['runs by CREATED_AT DESC', 5, id])],
        ['an id that is no UUID', text(['runs by CREATED_AT DESC', AT.toISOString(), 'x'])],
        ['a time that is none', text(['runs by CREATED_AT DESC', 'now', id])],
        ['a day that does not exist', text(['runs by CREATED_AT DESC', '2024-02-30T00:00:00Z', id])],
        ['an hour that does not exist', text(['runs by CREATED_AT DESC', '2024-02-28T24:00:00.001Z', id])],
        ['a year that does not exist', text(['runs by CREATED_AT DESC', '0000-01-01T00:00:00Z', id])],
        ['the cursor of an event', Buffer.from(`${id}:1`).toString('base64url')],
      ])('that is %s is refused', async (_what, cursor) => {
        for (const around of ['runs', 'x: workflow(workflowId: "echo") { runs', 'x: session(sessionId: "a") { runs']) {
          const query = `query ($cursor: String) { ${around}(after: $cursor) { nodes { id } } ${around.includes('{') ? '}' : ''} }`
          const { errors } = await ask(served(), query, { cursor })
          expect(errors?.[0]?.extensions?.['code']).toBe('CURSOR_INVALID')
        }
      })

      test.each(['NaN', '-1', '1e999', '1e+999', '9'.repeat(400), '1e-999', ' 1'])(
        'with %j as a duration is refused, or has a place',
        async (duration) => {
          const order = 'orderBy: { field: DURATION, direction: ASC }'
          const query = `query ($cursor: String) { runs(${order}, after: $cursor) { nodes { id } } }`
          const { errors } = await ask(served(), query, { cursor: text(['runs by DURATION ASC', duration, id]) })
          expect([undefined, 'CURSOR_INVALID']).toContain(errors?.[0]?.extensions?.['code'])
        },
      )

      test.each(['a\0', '\ud800'])('with %j as a name is refused', async (display) => {
        const order = 'orderBy: { field: NAME, direction: ASC }'
        const query = `query ($cursor: String) { sessions(${order}, after: $cursor) { nodes { id } } }`
        for (const parts of [
          [display, 'a'],
          ['a', display],
        ]) {
          const { errors } = await ask(served(), query, { cursor: text(['sessions by NAME ASC', ...parts]) })
          expect(errors?.[0]?.extensions?.['code']).toBe('CURSOR_INVALID')
        }
      })
    })

    describe('a page of sessions with their runs', () => {
      beforeAll(async () => {
        const { db } = served().database
        const many = Array.from({ length: 20 }, (_, n) => ({ sessionId: `many ${n}`, workflowId: 'many' }))
        await insertSessions(
          db,
          many.map((row, n) => ({ ...row, lastRunId: runIdOf(1_000 + n * 5 + 4) })),
        )
        const runs = many.flatMap(({ sessionId }, n) =>
          Array.from({ length: 5 }, (_, k) => ({ runId: runIdOf(1_000 + n * 5 + k), sessionId, number: k + 1 })),
        )
        await insertRuns(db, runs)
      })

      const PREVIEWS = `sessionId displayName state runCount lastRun { runId status outputPreview } activeRun { status }
        runs(first: 5) { totalCount nodes { runId status inputPreview outputPreview durationMs lastCursor metrics { stepCount } } }`

      const read = async (first: number, selection: string) => {
        const query = `{ sessions(first: ${first}, filter: { workflowId: "many" }) { totalCount nodes { ${selection} } } }`
        let nodes: { runs: { nodes: unknown[] } }[] = []
        const texts = await statements(served().database.db, async () => {
          nodes = (await data<{ sessions: { nodes: typeof nodes } }>(served(), query)).sessions.nodes
        })
        expect(nodes.flatMap(({ runs }) => runs.nodes)).toHaveLength(first * 5)
        return texts
      }

      test('takes the same few statements however many sessions there are', async () => {
        const [five, twenty] = [await read(5, PREVIEWS), await read(20, PREVIEWS)]
        process.stdout.write(
          `${name}: ${twenty.length} statements for 20 sessions with 5 runs each, and their counts\n`,
        )
        expect(twenty).toHaveLength(five.length)
        expect(twenty.length).toBeLessThanOrEqual(6)
        expect((await read(20, 'runs(first: 5) { nodes { status inputPreview } }')).length).toBeLessThanOrEqual(3)
      })

      test('reads no values where only previews are selected', async () => {
        const values = /run_payloads|"(input|output|state_before|state_after|attempts)"/
        expect((await read(20, PREVIEWS)).filter((text) => values.test(text))).toEqual([])
        expect((await read(20, 'runs(first: 5) { nodes { input } }')).filter((text) => values.test(text))).toHaveLength(
          1,
        )
      })
    })

    test('the events of a run are paged, forwards, by type', async () => {
      const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string; lastCursor: string } } }>(
        served(),
        `mutation { runWorkflow(input: { workflowId: "pipeline", input: { topic: "tea" }, waitMs: 10000 }) {
           ... on RunPayload { run { runId lastCursor } } } }`,
      )
      const { runId, lastCursor } = runWorkflow.run
      const list = async (args: string) => {
        const query = `{ run(runId: "${runId}") { events${args} { nodes { seq type } edges { cursor } pageInfo { hasNextPage endCursor } } } }`
        interface Events {
          readonly nodes: readonly { readonly seq: number; readonly type: string }[]
          readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string }
        }
        return (await data<{ run: { events: Events } }>(served(), query)).run.events
      }
      const whole = await list('')
      expect(whole.pageInfo).toEqual({ hasNextPage: false, endCursor: lastCursor })
      const walked: unknown[] = []
      let after = ''
      for (let more = true; more; ) {
        const page = await list(`(first: 2 ${after})`)
        walked.push(...page.nodes)
        after = `after: "${page.pageInfo.endCursor}"`
        more = page.pageInfo.hasNextPage
      }
      expect(walked).toEqual(whole.nodes)
      const completed = await list('(types: [STEP_COMPLETED], first: 3)')
      expect(completed.nodes).toEqual(whole.nodes.filter(({ type }) => type === 'STEP_COMPLETED'))
      expect(completed.pageInfo.hasNextPage).toBe(false)
    })

    test('nothing that was asked for here has changed a session', async () => {
      expect(await served().database.db.$count(sessions)).toBe(SESSIONS.length + 20 + 1)
    })
  },
)
