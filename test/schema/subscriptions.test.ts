import { describe, expect, test } from 'vitest'
import { encodeGlobalId } from '../../schema/globalId.ts'
import type { EventStreams, LiveStream } from '../../src/engine/api.ts'
import { decodeEventCursor, encodeEventCursor } from '../../src/engine/cursor.ts'
import type { EventRecord } from '../../src/engine/records.ts'
import { cursorOf, eventRecord, memoryContext, run, runIdOf, runRecord, stepRecord, streamed } from './support.ts'

const RUN = runIdOf(1)

/** Streams of these events, and what they were asked for. */
function recording(events: readonly EventRecord[]) {
  const asked: unknown[] = []
  const answer = (kind: string) => async (_viewer: unknown, query: object) => {
    asked.push([kind, JSON.parse(JSON.stringify(query))])
    return liveOf(events.map((event) => ({ ...event, spot: null, resume: event })))
  }
  const streams: Partial<EventStreams> = {
    run: answer('run'),
    session: answer('session'),
    workflow: answer('workflow'),
  }
  return { streams, asked }
}

function liveOf<Item>(items: readonly Item[]): LiveStream<Item> {
  const iterator = items.values()
  return {
    next: async () => {
      const { done, value } = iterator.next()
      return done ? { done, value: undefined } : { done: false, value }
    },
    place: () => null,
    caughtUp: async () => {},
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

describe('stepCompleted', () => {
  const types = ['STEP_COMPLETED']
  test.each([
    [`runId: "${RUN}"`, ['run', { runId: RUN, types }]],
    [`runId: "${RUN}", after: "c", sessionId: null`, ['run', { runId: RUN, after: 'c', types }]],
    ['sessionId: "s1", after: "c"', ['session', { sessionId: 's1', after: 'c', types }]],
    ['workflowId: "pipeline", after: null', ['workflow', { workflowId: 'pipeline', types }]],
  ])('(%s) streams completed steps only', async (args, query) => {
    const { streams, asked } = recording([eventRecord(RUN, 1, { type: 'STEP_COMPLETED' })])
    const [answer] = await streamed(`subscription { stepCompleted(${args}) { type } }`, memoryContext({ streams }))
    expect(answer).toEqual({ data: { stepCompleted: { type: 'STEP_COMPLETED' } } })
    expect(asked).toEqual([query])
  })

  test.each([
    ['', 'INPUT_INVALID', 'given is none of them: allowed is exactly one of runId, sessionId and workflowId'],
    ['(runId: null, after: "c")', 'INPUT_INVALID', 'given is none of them'],
    [`(runId: "${RUN}", sessionId: "s1")`, 'INPUT_INVALID', `given is runId "${RUN}" and sessionId "s1"`],
    ['(sessionId: "s1", workflowId: "p")', 'INPUT_INVALID', 'allowed is exactly one'],
    ['(workflowId: "p", after: "c")', 'INPUT_INVALID', 'after is "c" beside workflowId'],
    ['(runId: "x")', 'NOT_FOUND', 'there is no run "x"'],
    ['(sessionId: "a\\u0000")', 'INPUT_INVALID', 'sessionId is "a\\u0000"'],
  ])('%s is refused with %s before anything is asked for', async (args, code, message) => {
    const { streams, asked } = recording([])
    const answers = await streamed(`subscription { stepCompleted${args} { type } }`, memoryContext({ streams }))
    expect(answers).toHaveLength(1)
    expect(answers[0]?.errors?.[0]?.originalError).toMatchObject({ code, message: expect.stringContaining(message) })
    expect(asked).toEqual([])
  })
})

describe('runEvents', () => {
  test('streams events with their run and step, read anew for each of them', async () => {
    const events = [
      eventRecord(RUN, 1, { data: { a: 1 } }),
      eventRecord(RUN, 2, { type: 'CUSTOM', name: 'mine', stepPath: 'a' }),
    ]
    const { streams, asked } = recording(events)
    const { context, calls } = memoryContext({ streams, runs: [runRecord(1)], steps: [stepRecord(RUN, 'a')] })
    const answers = await streamed(
      `subscription { runEvents(runId: "${RUN}", after: "c", types: [LOG, CUSTOM]) {
         cursor seq type at name data run { status } step { path } } }`,
      { context },
    )
    const at = '2024-11-19T14:30:00.000Z'
    const done = { status: 'COMPLETED' }
    expect(answers.map(({ data }) => data?.['runEvents'])).toEqual([
      { cursor: cursorOf(1, 1), seq: 1, type: 'LOG', at, name: null, data: { a: 1 }, run: done, step: null },
      { cursor: cursorOf(1, 2), seq: 2, type: 'CUSTOM', at, name: 'mine', data: null, run: done, step: { path: 'a' } },
    ])
    expect(asked).toEqual([['run', { runId: RUN, after: 'c', types: ['LOG', 'CUSTOM'] }]])
    expect(calls).toEqual(['runs', 'runs', 'stepsByPath'])
  })

  test('streams progress at the place of the event before it, with one id for each step', async () => {
    const progress = { type: 'STEP_PROGRESS', stepPath: 'a' } as const
    const events = [
      eventRecord(RUN, 2, { type: 'STEP_STARTED', stepPath: 'a' }),
      eventRecord(RUN, 2, { ...progress, data: 'so' }),
      eventRecord(RUN, 2, { ...progress, data: 'so far' }),
      eventRecord(RUN, 2, { ...progress, stepPath: 'b:1', data: null }),
    ]
    const { streams } = recording(events)
    const steps = [stepRecord(RUN, 'a', { status: 'RUNNING' }), stepRecord(RUN, 'b:1')]
    const answers = await streamed(
      `subscription { runEvents(runId: "${RUN}") { id seq cursor type data step { path } } }`,
      memoryContext({ streams, runs: [runRecord(1)], steps }),
    )
    const given = answers.map(({ data }) => Object(data?.['runEvents']))
    const place = { seq: 2, cursor: cursorOf(1, 2), type: 'STEP_PROGRESS' }
    expect(given.slice(1)).toMatchObject([
      { ...place, data: 'so', step: { path: 'a' } },
      { ...place, data: 'so far', step: { path: 'a' } },
      { ...place, data: null, step: { path: 'b:1' } },
    ])
    const [started, first, second, other] = given.map(({ id }) => id)
    expect(second).toBe(first)
    expect(new Set([started, first, other]).size).toBe(3)
    // What keeps objects by their ids must not take progress for the event at its place.
    const { context } = memoryContext({ events })
    const query = 'query ($ids: [ID!]!) { nodes(ids: $ids) { id } }'
    const found = await run(query, { context, variables: { ids: [started, first, other] } })
    expect(found).toEqual({ data: { nodes: [{ id: started }, null, null] } })
  })

  test('of a malformed run id is refused before anything is asked for', async () => {
    const { streams, asked } = recording([])
    const [answer] = await streamed('subscription { runEvents(runId: "x") { seq } }', memoryContext({ streams }))
    expect(answer?.errors?.[0]?.originalError).toMatchObject({ code: 'NOT_FOUND' })
    expect(asked).toEqual([])
  })
})

describe('sessionEvents', () => {
  test('gives the cursor of the stream, which also holds how far the queue was told of', async () => {
    const queued = { ...eventRecord(runIdOf(2), 1, { type: 'RUN_QUEUED' }), spot: { number: 2, seq: 1 } }
    const resume = { runId: RUN, seq: 4, queued: 2 }
    const asked: unknown[] = []
    const streams: Partial<EventStreams> = {
      async session(_viewer, query) {
        asked.push(query)
        return liveOf([{ ...queued, resume }])
      },
    }
    const answers = await streamed(
      'subscription { sessionEvents(sessionId: "s1", after: "c") { cursor seq } }',
      memoryContext({ streams }),
    )
    expect(answers).toEqual([{ data: { sessionEvents: { cursor: encodeEventCursor(resume), seq: 1 } } }])
    expect(decodeEventCursor(encodeEventCursor(resume))).toEqual(resume)
    expect(asked).toEqual([{ sessionId: 's1', after: 'c' }])
  })
})

describe('runChanged', () => {
  test.each([
    ['', {}],
    ['(filter: { statuses: [RUNNING], tags: [] })', { statuses: ['RUNNING'], tags: null }],
    ['(filter: { retryOf: "no run" })', { statuses: [] }],
  ])('%s streams changes of the runs that the filter finds', async (args, filter) => {
    const asked: unknown[] = []
    const streams: Partial<EventStreams> = {
      async runs(_viewer, query) {
        asked.push(query)
        return liveOf([
          { kind: 'ENTERED', runId: RUN, run: runRecord(1) },
          { kind: 'LEFT', runId: RUN, run: null },
        ])
      },
    }
    const text = `subscription { runChanged${args} { kind runId nodeId run { id status } } }`
    const [entered, left] = (await streamed(text, memoryContext({ streams }))).map(({ data }) => data?.['runChanged'])
    const nodeId = encodeGlobalId('Run', RUN)
    expect(entered).toEqual({ kind: 'ENTERED', runId: RUN, nodeId, run: { id: nodeId, status: 'COMPLETED' } })
    expect(left).toEqual({ kind: 'LEFT', runId: RUN, nodeId, run: null })
    expect(asked).toMatchObject([{ filter }])
  })

  test('with what no run can have is refused as a list is', async () => {
    const [answer] = await streamed(
      'subscription { runChanged(filter: { sessionId: "a\\u0000" }) { kind } }',
      memoryContext(),
    )
    expect(answer?.errors?.[0]?.originalError).toMatchObject({ code: 'INPUT_INVALID' })
  })
})
