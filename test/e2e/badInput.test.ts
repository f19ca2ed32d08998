import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { all, ask, data, onEachServer, watchWebSocket } from '../support/server.ts'
import { textPlaces } from './arguments.ts'
import { createFlows } from './flows.ts'
import { expectNothingStored, INPUTS, mutate, nested, post, REFUSAL, refusalsIn, rowCounts } from './refusals.ts'

const flows = createFlows()

onEachServer(
  () => ({ workflows: flows.workflows }),
  (served) => {
    let before: number[] = []
    const known = { sessionId: 'known', runId: '', nodeId: '' }

    beforeAll(async () => {
      const { runWorkflow } = await data<{ runWorkflow: { run: { id: string; runId: string } } }>(
        served(),
        `mutation { runWorkflow(input: { workflowId: "echo", sessionId: "known", input: 1, waitMs: 10000 }) {
           ... on RunPayload { run { id runId } } } }`,
      )
      known.runId = runWorkflow.run.runId
      known.nodeId = runWorkflow.run.id
    })

    beforeEach(async () => {
      served().lines.length = 0
      before = await rowCounts(served().database.db)
    })

    // Whatever a test sent: nothing is stored, and nothing was a fault of the server.
    afterEach(async () => {
      await expectNothingStored(served(), before)
    })

    describe('text that no database can hold is refused wherever text is taken', () => {
      const places = textPlaces()

      test('in more than fifty places', () => {
        expect(places.length).toBeGreaterThan(50)
      })

      test.each(places)('$title', async ({ operation }) => {
        for (const text of ['a\0b', 'a\ud800', '\udc00a']) {
          const answer = await ask(served(), ...operation(text, known))
          expect(refusalsIn(answer), JSON.stringify(answer)).toEqual(['INPUT_INVALID'])
        }
      })
    })

    describe('a value is refused', () => {
      const fields = [
        ['runWorkflow', 'input', { workflowId: 'echo' }],
        ['runWorkflow', 'metadata', { workflowId: 'echo' }],
        ['runWorkflow', 'sessionState', { workflowId: 'echo' }],
        ['createSession', 'state', { workflowId: 'echo' }],
        ['createSession', 'metadata', { workflowId: 'echo' }],
        ['updateSession', 'statePatch', { sessionId: 'known' }],
        ['updateSession', 'metadata', { sessionId: 'known' }],
      ] as const
      const values = [
        ['of one byte more than 1 MiB', JSON.stringify({ a: 'x'.repeat(1_048_576 - 7) })],
        ['nested 65 levels deep', `{"a":${nested(64)}}`],
        ['nested 5,000 levels deep', `{"a":${nested(4_999)}}`],
        ['with the key __proto__', '{"__proto__":{"admin":true}}'],
        ['with the key __proto__ inside', '{"a":[{"__proto__":null}]}'],
        ['with NUL', '{"a":"\\u0000"}'],
        ['with NUL in a key', '{"\\u0000":1}'],
        ['with half a surrogate pair', '{"a":["\\ud800"]}'],
      ] as const
      const cases = fields.flatMap(([field, key, more]) =>
        values.map(([what, text]) => ({ field, key, more, what, text })),
      )

      test.each(cases)('$what as $field.$key', async ({ field, key, more, text }) => {
        const start = JSON.stringify(more).slice(0, -1)
        const query = `mutation ($input: ${INPUTS[field]}!) { ${field}(input: $input) { ${REFUSAL} } }`
        const body = `{"query":${JSON.stringify(query)},"variables":{"input":${start},"${key}":${text}}}}`
        const answer = await post(served(), body)
        expect(refusalsIn(answer), JSON.stringify(answer)).toEqual(['INPUT_INVALID'])
      })

      test.each<[string, string, string | null]>([
        ['65 levels deep', nested(65), 'INPUT_INVALID'],
        ...[500, 1_000, 2_000, 3_000].map(
          (levels) => [`${levels} levels deep`, nested(levels), null] as [string, string, null],
        ),
        ['5,000 levels deep', nested(5_000), 'GRAPHQL_VALIDATION_FAILED'],
        ['with the key __proto__', '{ __proto__: { admin: true } }', 'INPUT_INVALID'],
        ['with a number that would lose digits', '9007199254740993', 'INPUT_INVALID'],
      ])('%s in the document itself', async (_what, literal, code) => {
        const answer = await ask(
          served(),
          `mutation { runWorkflow(input: { workflowId: "echo", input: ${literal} }) { ${REFUSAL} } }`,
        )
        // Where the levels end that can be parsed depends on the platform.
        const codes = code ? [code] : ['INPUT_INVALID', 'GRAPHQL_VALIDATION_FAILED']
        expect(codes).toContain(refusalsIn(answer)[0])
      })

      test('5,000 levels deep over a WebSocket', async () => {
        const query = `mutation { runWorkflow(input: { workflowId: "echo", input: ${nested(5_000)} }) { ${REFUSAL} } }`
        const [answer, ...more] = await all(watchWebSocket(served(), { query }))
        expect(more).toEqual([])
        expect(refusalsIn(answer ?? {})).toEqual(['GRAPHQL_VALIDATION_FAILED'])
      })

      test.each(['sessionState', 'state', 'statePatch'])('as %s unless it is an object', async (key) => {
        const [field, id] =
          key === 'sessionState'
            ? ['runWorkflow', { workflowId: 'echo' }]
            : key === 'state'
              ? ['createSession', { workflowId: 'echo' }]
              : ['updateSession', { sessionId: 'known' }]
        for (const value of [1, 'text', true, [], [{}]]) {
          expect(refusalsIn(await mutate(served(), field, { ...id, [key]: value }))).toEqual(['INPUT_INVALID'])
        }
      })
    })

    describe('a request is refused', () => {
      test.each([
        [
          'a body over the limit',
          JSON.stringify({ query: `{ viewer { userId } } # ${'x'.repeat(2_097_152)}` }),
          'REQUEST_ENTITY_TOO_LARGE',
        ],
        [
          'a selection nested 100,000 levels',
          JSON.stringify({ query: '{ a '.repeat(100_000) + '}'.repeat(100_000) }),
          null,
        ],
        ['a literal nested 500,000 levels', JSON.stringify({ query: `{ a(b: ${nested(500_000)}) }` }), null],
        [
          'variables nested 500,000 levels',
          `{"query":"query ($a: String) { workflow(workflowId: $a) { id } }","variables":{"a":${nested(500_000)}}}`,
          null,
        ],
        ['no JSON', '{"query":', 'BAD_REQUEST'],
        ['no query', '{}', 'BAD_REQUEST'],
        ['variables that are no object', '{"query":"{ viewer { userId } }","variables":[1]}', 'BAD_REQUEST'],
        ['a query that is no text', '{"query":{"a":1}}', 'BAD_REQUEST'],
        ['an empty query', '{"query":""}', null],
        ['an unknown field', '{"query":"{ nothing }"}', 'GRAPHQL_VALIDATION_FAILED'],
        ['a syntax error', '{"query":"{"}', 'GRAPHQL_PARSE_FAILED'],
        ['an unknown operation', '{"query":"query A { viewer { userId } }","operationName":"B"}', null],
      ])('%s', async (_what, body, code) => {
        const answer = await post(served(), body)
        const codes = refusalsIn(answer)
        expect(codes.length, JSON.stringify(answer)).toBeGreaterThan(0)
        for (const given of codes) {
          expect(given).toEqual(code ?? expect.any(String))
          expect(given).not.toBe('INTERNAL')
        }
      })

      test('an input object with the key __proto__', async () => {
        const query = 'mutation ($input: RunWorkflowInput!) { runWorkflow(input: $input) { __typename } }'
        const body = `{"query":"${query}","variables":{"input":{"workflowId":"echo","__proto__":{"sessionId":"x"}}}}`
        expect(refusalsIn(await post(served(), body))).toEqual(['BAD_USER_INPUT'])
      })
    })

    describe('text is refused', () => {
      const long = 'x'.repeat(201)
      const controls = ['a\nb', '\u0001', 'a\u007f', '\u0085', '\t']
      test.each([
        ['setSessionName', 'sessionName', { sessionId: 'known' }, ['', '  ', long, ...controls.slice(0, 3)]],
        ['createSession', 'sessionName', { workflowId: 'echo' }, ['', '  ', long, ...controls.slice(0, 3)]],
        ['runWorkflow', 'sessionName', { workflowId: 'echo' }, ['', '  ', long, ...controls.slice(0, 3)]],
        ['createSession', 'sessionId', { workflowId: 'echo' }, ['', long, ...controls]],
        ['runWorkflow', 'sessionId', { workflowId: 'echo' }, ['', long, ...controls]],
        ['runWorkflow', 'userId', { workflowId: 'echo' }, ['', long, ...controls]],
        ['createSession', 'userId', { workflowId: 'echo' }, ['', long, ...controls]],
        ['runWorkflow', 'idempotencyKey', { workflowId: 'echo' }, ['', long, ...controls]],
        ['cancelRun', 'reason', {}, ['', 'x'.repeat(1_001), '\u0001']],
        ['setSessionName', 'sessionId', { sessionName: 'a' }, ['', long, ...controls]],
        ['updateSession', 'sessionId', { tags: [] }, ['', long, ...controls]],
        ['deleteSession', 'sessionId', {}, ['', long, ...controls]],
      ])('as %s.%s', async (field, key, more, texts) => {
        for (const text of texts) {
          const runId = field === 'cancelRun' ? { runId: known.runId } : {}
          const answer = await mutate(served(), field, { ...more, ...runId, [key]: text })
          expect(refusalsIn(answer), JSON.stringify(text)).toEqual(['INPUT_INVALID'])
        }
      })

      test.each([
        ['runWorkflow', { workflowId: 'echo' }],
        ['createSession', { workflowId: 'echo' }],
        ['updateSession', { sessionId: 'known' }],
      ])('as a tag of %s', async (field, more) => {
        const many = Array.from({ length: 51 }, (_, n) => `tag ${n}`)
        for (const tags of [[''], ['x'.repeat(101)], ['a', 'b\n'], many]) {
          expect(refusalsIn(await mutate(served(), field, { ...more, tags }))).toEqual(['INPUT_INVALID'])
        }
      })
    })

    describe('a number is refused', () => {
      const lists = [
        'sessions',
        'runs',
        'workflow(workflowId: "echo") { sessions',
        'workflow(workflowId: "echo") { runs',
        'session(sessionId: "known") { runs',
      ]
      test.each(lists)('as the size of a page: %s', async (list) => {
        for (const args of ['first: 0', 'first: 101', 'first: -1', 'last: 0', 'last: 101', 'first: 1, last: 1']) {
          const query = `{ ${list}(${args}) { nodes { id } } ${list.includes('{') ? '}' : ''} }`
          expect(refusalsIn(await ask(served(), query)), args).toEqual(['INPUT_INVALID'])
        }
      })

      test('as the size of a page of events', async () => {
        for (const first of [0, 101, -1]) {
          const query = `{ run(runId: "${known.runId}") { events(first: ${first}) { nodes { id } } } }`
          expect(refusalsIn(await ask(served(), query))).toEqual(['INPUT_INVALID'])
        }
      })

      test.each(['1.5', '"a"', '2147483648', '1e3', 'true', '[[1]]'])(
        'that is no 32-bit integer: %s',
        async (value) => {
          const answer = await ask(served(), `{ sessions(first: ${value}) { nodes { id } } }`)
          expect(refusalsIn(answer)).not.toEqual([])
          expect(refusalsIn(answer)).not.toContain('INTERNAL')
          const variable = await post(
            served(),
            `{"query":"query ($n: Int) { sessions(first: $n) { nodes { id } } }","variables":{"n":${value === '1e3' ? '1e300' : value}}}`,
          )
          expect(refusalsIn(variable)).toEqual(['BAD_USER_INPUT'])
        },
      )

      test.each([-1, 60_001])('as the time to wait: %d', async (waitMs) => {
        expect(refusalsIn(await mutate(served(), 'runWorkflow', { workflowId: 'echo', waitMs }))).toEqual([
          'INPUT_INVALID',
        ])
      })

      test.each([0, -1, 101])('as the number of runs of history: %d', async (numRuns) => {
        const query = `{ session(sessionId: "known") { historyContext(numRuns: ${numRuns}) } }`
        expect(refusalsIn(await ask(served(), query))).toEqual(['INPUT_INVALID'])
      })
    })

    describe('an id', () => {
      test.each([
        '',
        'x',
        '%',
        'UnVuOng',
        Buffer.from('Run:x').toString('base64url'),
        Buffer.from('Query:').toString('base64url'),
        'x'.repeat(100_000),
      ])('that is malformed is refused by node and nodes (%#)', async (id) => {
        expect(refusalsIn(await ask(served(), 'query ($id: ID!) { node(id: $id) { id } }', { id }))).toEqual([
          'INPUT_INVALID',
        ])
        const { nodeId } = known
        const many = await ask(served(), 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids: [nodeId, id] })
        expect(refusalsIn(many)).toEqual(['INPUT_INVALID'])
      })

      test('over the hundredth is refused by nodes', async () => {
        const ids = Array.from({ length: 101 }, () => known.nodeId)
        expect(refusalsIn(await ask(served(), 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', { ids }))).toEqual([
          'INPUT_INVALID',
        ])
      })

      test('of something that is not there is null', async () => {
        const gone = Buffer.from(`Run:${crypto.randomUUID()}`).toString('base64url')
        const query =
          'query ($gone: ID!, $ids: [ID!]!, $runId: ID!) { node(id: $gone) { id } nodes(ids: $ids) { id } run(runId: $runId) { id } session(sessionId: "nowhere") { id } workflow(workflowId: "nothing") { id } }'
        expect(await data(served(), query, { gone, ids: [gone, known.nodeId], runId: crypto.randomUUID() })).toEqual({
          node: null,
          nodes: [null, { id: known.nodeId }],
          run: null,
          session: null,
          workflow: null,
        })
      })

      test.each(['x', '', `${crypto.randomUUID()}x`, 'X'.repeat(36)])(
        'of a run that is malformed: %j',
        async (runId) => {
          expect(await data(served(), 'query ($runId: ID!) { run(runId: $runId) { id } }', { runId })).toEqual({
            run: null,
          })
          for (const field of ['cancelRun', 'resumeRun', 'retryRun']) {
            expect(refusalsIn(await mutate(served(), field, { runId })), field).toEqual(['INPUT_INVALID'])
          }
        },
      )
    })

    test.each(['x', '2024-11-19', '2024-02-30T00:00:00Z', '', '0000-01-01T00:00:00Z', '+275760-09-13T00:00:00Z'])(
      '%j is refused as a time',
      async (from) => {
        const answer = await ask(
          served(),
          'query ($from: DateTime) { sessions(filter: { createdAt: { from: $from } }) { nodes { id } } }',
          { from },
        )
        expect(['INPUT_INVALID', 'BAD_USER_INPUT']).toContain(refusalsIn(answer)[0])
      },
    )
  },
)
