import { describe, expect, test } from 'vitest'
import { createLoaders } from '../../schema/context.ts'
import type { RunPayload, StepRecord } from '../../src/engine/records.ts'
import { KernError } from '../../src/errors.ts'
import { cursorOf, eventRecord, memoryContext, run, runIdOf, runRecord, sessionRecord, stepRecord } from './support.ts'

const sessions = Array.from({ length: 20 }, (_, n) => {
  const lastRunId = runIdOf(n * 5 + 4)
  return sessionRecord(`s${n}`, { lastRunId, activeRunId: lastRunId })
})
const runs = Array.from({ length: 100 }, (_, n) =>
  runRecord(n, { sessionId: `s${Math.floor(n / 5)}`, status: 'QUEUED' }),
)
const payload = (n: number, given: Partial<RunPayload> = {}): RunPayload => ({
  runId: runIdOf(n),
  input: undefined,
  stateGiven: undefined,
  output: undefined,
  stateBefore: undefined,
  stateAfter: undefined,
  ...given,
})

describe('reading a page of 20 sessions with 5 runs each', () => {
  test('takes two calls, and no payload, step or count that was not selected', async () => {
    const { context, calls } = memoryContext({ sessions, runs })
    const { data, errors } = await run(
      '{ sessions(first: 20) { nodes { displayName runs(first: 5) { nodes { runId status inputPreview durationMs } } } } }',
      { context },
    )
    expect(errors).toBeUndefined()
    expect(JSON.stringify(data).match(/"runId"/g)).toHaveLength(100)
    expect(calls).toEqual(['sessionPage', 'runPagesOfSessions'])
  })

  test('takes one call more for each kind of thing that is selected', async () => {
    const { context, calls } = memoryContext({ sessions, runs })
    const { errors } = await run(
      `{ sessions(first: 20) { totalCount nodes { id lastRun { id } activeRun { id }
           runs(first: 5) { totalCount nodes { id input output stateBefore stateAfter queuePosition retries { id }
             session { id } steps { id input output } step(path: "a") { id } } } } } }`,
      { context },
    )
    expect(errors).toBeUndefined()
    expect(calls.sort()).toEqual(
      [
        'sessionPage',
        'sessionCount',
        'runPagesOfSessions',
        'runCountsOfSessions',
        'runs',
        'payloads',
        'queuePositions',
        'retries',
        'sessions',
        'stepSummaries',
        'stepsByPath',
      ].sort(),
    )
  })

  test('takes one call for each set of arguments', async () => {
    const { context, calls } = memoryContext({ sessions, runs })
    await run(
      '{ sessions { nodes { a: runs(first: 1) { nodes { id } } b: runs(first: 2) { nodes { id } } c: runs(first: 1) { nodes { id } } } } }',
      { context },
    )
    expect(calls).toEqual(['sessionPage', 'runPagesOfSessions', 'runPagesOfSessions'])
  })
})

describe('the loaders', () => {
  test('ask for each key once, and keep nothing for the next moment', async () => {
    const { context } = memoryContext({ runs })
    const asked: (readonly string[])[] = []
    const reader = {
      ...context.reader,
      runs: async (ids: readonly string[]) => (asked.push(ids), context.reader.runs(ids)),
    }
    const loaders = createLoaders(reader)
    const [first, again, other] = await Promise.all([
      loaders.run(runIdOf(1)),
      loaders.run(runIdOf(1)),
      loaders.run(runIdOf(2)),
    ])
    expect([first?.number, again?.number, other?.number]).toEqual([1, 1, 2])
    await loaders.run(runIdOf(1))
    expect(asked).toEqual([[runIdOf(1), runIdOf(2)], [runIdOf(1)]])
  })

  test('never ask for a malformed id', async () => {
    const { context, calls } = memoryContext({ sessions, runs })
    const { data, errors } = await run(
      '{ a: run(runId: "x") { id } b: run(runId: 7) { id } c: session(sessionId: "") { id } }',
      { context },
    )
    expect(errors).toBeUndefined()
    expect(data).toEqual({ a: null, b: null, c: null })
    expect(calls).toEqual(['sessions'])
    expect(await context.loaders.session('a\0')).toBeNull()
    expect(await context.loaders.step({ runId: runIdOf(1), path: 'a\0' })).toBeNull()
    expect(await context.loaders.steps('x')).toEqual([])
    expect(calls).toEqual(['sessions'])
  })

  test('answer the neighbours of a list whose cursor is malformed', async () => {
    const { context } = memoryContext({ sessions, runs })
    const { reader } = context
    const refusing: typeof reader = {
      ...reader,
      sessions: (ids) => reader.sessions(ids),
      runPagesOfSessions: async (ids, filter, order, page) => {
        if (page.after !== null) throw new KernError('CURSOR_INVALID', 'why')
        return reader.runPagesOfSessions(ids, filter, order, page)
      },
    }
    const { data, errors } = await run(
      `{ session(sessionId: "s1") { runs { nodes { number } } }
         bad: session(sessionId: "s2") { runs(after: "x") { nodes { number } } } }`,
      { context: { ...context, reader: refusing, loaders: createLoaders(refusing) } },
    )
    expect(errors).toHaveLength(1)
    expect(errors?.[0]?.originalError).toMatchObject({ code: 'CURSOR_INVALID' })
    expect(data).toMatchObject({ session: { runs: { nodes: [{ number: 5 }, {}, {}, {}, {}] } }, bad: null })
  })
})

describe('a run', () => {
  const query = async (fields: string, world: Parameters<typeof memoryContext>[0]) => {
    const { data, errors } = await run(`{ run(runId: "${runIdOf(1)}") { ${fields} } }`, memoryContext(world))
    return errors ? { errors } : data?.['run']
  }

  test('tells its duration only once it ended', async () => {
    const running = runRecord(1, { status: 'RUNNING', completedAt: null })
    const fields = 'durationMs metrics { durationMs queuedMs usage { totalTokens } }'
    expect(await query(fields, { runs: [running] })).toEqual({
      durationMs: null,
      metrics: { durationMs: null, queuedMs: 5, usage: null },
    })
    expect(await query(fields, { runs: [runRecord(1)] })).toEqual({
      durationMs: 20,
      metrics: { durationMs: 20, queuedMs: 5, usage: null },
    })
    const waiting = runRecord(1, { status: 'QUEUED', startedAt: null })
    expect(await query('metrics { queuedMs } queuePosition', { runs: [waiting] })).toEqual({
      metrics: { queuedMs: null },
      queuePosition: 1,
    })
  })

  test('tells values apart from those that are not there', async () => {
    const payloads = [payload(1, { input: 0, output: false, stateBefore: {} })]
    const fields = 'input output stateBefore stateAfter metadata'
    expect(await query(fields, { runs: [runRecord(1, { metadata: '' })], payloads })).toEqual({
      input: 0,
      output: false,
      stateBefore: {},
      stateAfter: null,
      metadata: '',
    })
  })

  test('shows no value that is newer than its status', async () => {
    const payloads = [payload(1, { output: 'late', stateBefore: { a: 1 }, stateAfter: { a: 2 } })]
    const fields = 'status output stateBefore stateAfter'
    const waiting = runRecord(1, { status: 'QUEUED', startedAt: null, completedAt: null })
    expect(await query(fields, { runs: [waiting], payloads })).toEqual({
      status: 'QUEUED',
      output: null,
      stateBefore: null,
      stateAfter: null,
    })
    const running = runRecord(1, { status: 'RUNNING', completedAt: null })
    expect(await query(fields, { runs: [running], payloads })).toMatchObject({
      output: null,
      stateBefore: { a: 1 },
      stateAfter: null,
    })
  })

  test('names its relations, and leaves out what is gone', async () => {
    const all = [
      runRecord(1, { historyRunIds: [runIdOf(2), runIdOf(9)], retryOf: runIdOf(2), workflowId: 'gone' }),
      runRecord(2),
      runRecord(3, { retryOf: runIdOf(1) }),
    ]
    expect(
      await query('historyRuns { number } retryOf { number } retries { number } workflow { id }', { runs: all }),
    ).toEqual({
      historyRuns: [{ number: 2 }],
      retryOf: { number: 2 },
      retries: [{ number: 3 }],
      workflow: null,
    })
  })

  test('is an error where its session went away while it was read', async () => {
    expect(await query('session { id }', { runs: [runRecord(1)] })).toMatchObject({
      errors: [{ originalError: { code: 'NOT_FOUND' } }],
    })
  })

  test('filters its steps by status; an empty list means any', async () => {
    const steps: StepRecord[] = [stepRecord(runIdOf(1), 'a'), stepRecord(runIdOf(1), 'b', { status: 'FAILED' })]
    const fields = 'all: steps(statuses: []) { path } failed: steps(statuses: [FAILED]) { path }'
    expect(await query(fields, { runs: [runRecord(1)], steps })).toEqual({
      all: [{ path: 'a' }, { path: 'b' }],
      failed: [{ path: 'b' }],
    })
  })

  test('shows a step with its attempts', async () => {
    const error = { name: 'Error', code: null, message: 'no', stepPath: 'a', retryable: true }
    const attempts = [
      { number: 1, startedAt: '2024-11-19T14:30:00.000Z', completedAt: '2024-11-19T14:30:01.000Z', error },
      { number: 2, startedAt: '2024-11-19T14:30:02.000Z', completedAt: null, error: null },
    ]
    const steps = [
      stepRecord(runIdOf(1), 'a', { kind: 'sequence', attempts, completedAt: new Date('2024-11-19T14:30:03Z') }),
      stepRecord(runIdOf(1), 'b'),
    ]
    const fields = 'steps { kind attempt durationMs attempts { number startedAt completedAt error { message } } }'
    expect(await query(fields, { runs: [runRecord(1)], steps })).toEqual({
      steps: [
        {
          kind: 'SEQUENCE',
          attempt: 2,
          durationMs: 3000,
          attempts: [
            {
              number: 1,
              startedAt: attempts[0]?.startedAt,
              completedAt: attempts[0]?.completedAt,
              error: { message: 'no' },
            },
            { number: 2, startedAt: attempts[1]?.startedAt, completedAt: null, error: null },
          ],
        },
        { kind: 'STEP', attempt: 0, durationMs: null, attempts: [] },
      ],
    })
  })

  test('pages through its events, forward', async () => {
    const world = {
      runs: [runRecord(1)],
      events: [1, 2, 3].map((seq) => eventRecord(runIdOf(1), seq, { type: seq === 2 ? 'CUSTOM' : 'LOG' })),
    }
    expect(
      await query(
        'lastCursor events(first: 2) { edges { cursor node { seq cursor } } pageInfo { hasNextPage hasPreviousPage } }',
        world,
      ),
    ).toEqual({
      lastCursor: cursorOf(1, 3),
      events: {
        edges: [1, 2].map((seq) => ({ cursor: cursorOf(1, seq), node: { seq, cursor: cursorOf(1, seq) } })),
        pageInfo: { hasNextPage: true, hasPreviousPage: false },
      },
    })
    expect(
      await query(
        `events(after: "${cursorOf(1, 1)}", types: [LOG]) { nodes { seq } pageInfo { hasNextPage hasPreviousPage } }`,
        world,
      ),
    ).toEqual({
      events: { nodes: [{ seq: 3 }], pageInfo: { hasNextPage: false, hasPreviousPage: true } },
    })
  })

  test.each(['x', '', cursorOf(2, 1)])('refuses %j as a cursor of its events', async (after) => {
    expect(await query(`events(after: "${after}") { nodes { seq } }`, { runs: [runRecord(1)] })).toMatchObject({
      errors: [{ originalError: { code: 'CURSOR_INVALID' } }],
    })
  })
})
