import { describe, expect, test } from 'vitest'
import { overHttp, overSse, overWebSocket, post, startTiny, type Answer, type Asked } from './tiny.ts'

const ALL = [
  ['HTTP', overHttp],
  ['SSE', overSse],
  ['WebSocket', overWebSocket],
] as const

const STREAMING = ALL.slice(1)

function codes(answers: readonly Answer[]): unknown[] {
  return answers.flatMap(({ errors = [] }) => errors.map(({ extensions }) => extensions?.['code']))
}

const EXPECTED: readonly [string, string, Asked][] = [
  ['a document that is no GraphQL', 'GRAPHQL_PARSE_FAILED', { query: '{ hello' }],
  ['a field that does not exist', 'GRAPHQL_VALIDATION_FAILED', { query: '{ nothing }' }],
  [
    'a variable of the wrong type',
    'BAD_USER_INPUT',
    { query: 'query ($value: Int!) { echo(value: $value) }', variables: { value: 'three' } },
  ],
  ['a missing variable', 'BAD_USER_INPUT', { query: 'query ($value: Int!) { echo(value: $value) }' }],
  ['an unknown operation name', 'OPERATION_RESOLUTION_FAILURE', { query: 'query A { hello }', operationName: 'B' }],
  ['a KernError', 'NOT_FOUND', { query: '{ hello refused }' }],
]

const FAULTS: readonly [string, Asked][] = [
  ['an error of a resolver', { query: 'query Ask { broken }' }],
  ['a thrown text', { query: 'query Ask { text }' }],
  ['a value that its type cannot hold', { query: 'query Ask { wrong }' }],
  ['null where there must be a value', { query: 'query Ask { missing }' }],
]

describe.each(ALL)('over %s', (_transport, ask) => {
  test.each(EXPECTED)('%s is answered with the code %s', async (_what, code, asked) => {
    await using tiny = await startTiny()
    expect(codes(await ask(tiny.server, asked))).toEqual([code])
    expect(tiny.lines).toEqual([])
  })

  test('an expected error keeps its message and path, beside the data that there is', async () => {
    await using tiny = await startTiny()
    expect(await ask(tiny.server, { query: '{ hello refused }' })).toEqual([
      {
        data: { hello: 'world', refused: null },
        errors: [
          {
            message: 'there is no such thing',
            path: ['refused'],
            locations: [{ line: 1, column: 9 }],
            extensions: { code: 'NOT_FOUND' },
          },
        ],
      },
    ])
  })

  test.each(FAULTS)('%s is masked and logged once under the id that the client gets', async (_what, asked) => {
    await using tiny = await startTiny()
    const answers = await ask(tiny.server, asked)
    expectMasked(answers, tiny.lines)
    expect(tiny.lines).toEqual([expect.objectContaining({ level: 'error', operation: 'Ask' })])
  })
})

describe.each(STREAMING)('a subscription over %s', (_transport, ask) => {
  test('delivers each event and ends', async () => {
    await using tiny = await startTiny()
    const answers = await ask(tiny.server, { query: 'subscription { count }' })
    expect(answers).toEqual([{ data: { count: 1 } }, { data: { count: 2 } }, { data: { count: 3 } }])
  })

  test('that is refused is answered with the code of the refusal', async () => {
    await using tiny = await startTiny()
    const answers = await ask(tiny.server, { query: 'subscription { refusedSource }' })
    expect(answers.flatMap(({ errors = [] }) => errors)).toEqual([
      expect.objectContaining({ message: 'after is wrong', extensions: { code: 'CURSOR_INVALID' } }),
    ])
  })

  test('that fails on its way with an expected error delivers it after the events', async () => {
    await using tiny = await startTiny()
    const answers = await ask(tiny.server, { query: 'subscription { refusing }' })
    expect(answers[0]).toEqual({ data: { refusing: 1 } })
    expect(codes(answers)).toEqual(['UNAVAILABLE'])
    expect(tiny.lines).toEqual([])
  })

  test.each(['brokenSource', 'breaking', 'brokenEvent'])('hides the fault of %s and logs it', async (field) => {
    await using tiny = await startTiny()
    const answers = await ask(tiny.server, { query: `subscription Ask { ${field} }` })
    expectMasked(answers, tiny.lines)
  })
})

describe('over HTTP', () => {
  test.each([
    ['a GET request whose variables are no JSON', '?query={hello}&variables={'],
    ['a GET request without a query', '?variables={}'],
  ])('%s is the mistake of the client and not logged', async (_what, search) => {
    await using tiny = await startTiny()
    const response = await fetch(`${tiny.server.url}/graphql${search}`)
    expect(response.status).toBe(400)
    expect(codes([(await response.json()) as Answer])).toEqual(['BAD_REQUEST']) // what the test looks at
    expect(tiny.lines).toEqual([])
  })

  test('a body that is no JSON is answered with 400 and a code, without its text', async () => {
    await using tiny = await startTiny()
    const response = await post(tiny.server, '{"query": secret')
    expect(response.status).toBe(400)
    const text = await response.text()
    expect(text).toContain('"code":"BAD_REQUEST"')
    expect(text).not.toContain('secret')
  })

  test('the status of a masked field is 200, as there may be data beside it', async () => {
    await using tiny = await startTiny()
    expect((await post(tiny.server, { query: '{ hello broken }' })).status).toBe(200)
  })
})

function expectMasked(answers: readonly Answer[], lines: readonly Record<string, unknown>[]): void {
  const errors = answers.flatMap(({ errors: some = [] }) => some)
  expect(errors).toHaveLength(1)
  const errorId = errors[0]?.extensions?.['errorId']
  expect(errors[0]).toMatchObject({
    message: `Unexpected error. Its id in the log is ${String(errorId)}`,
    extensions: { code: 'INTERNAL', errorId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
  })
  expect(JSON.stringify(answers)).not.toMatch(/secret|Error:|unexpected/)
  expect(lines).toEqual([expect.objectContaining({ errorId, operation: 'Ask' })])
  expect(lines[0]).toMatchObject({ err: { stack: expect.stringContaining('\n    at ') } })
}
