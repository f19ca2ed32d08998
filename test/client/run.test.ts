import { openAsBlob } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, expectTypeOf, inject, test } from 'vitest'
import type { AcceptedRun } from '../../src/client/index.ts'
import { KernClientError } from '../../src/client/index.ts'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createFlows } from '../e2e/flows.ts'
import { startProxy } from '../support/proxy.ts'
import { data, serve, type Served } from '../support/server.ts'
import { behind, createClient } from './support.ts'

const flows = createFlows()
let database: Database
let served: Served

beforeAll(async () => {
  database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
  served = await serve(database, flows)
})

afterAll(async () => {
  await served.close()
  await database.close()
})

let names = 0
const unique = (what: string): string => `${what} that clients run ${++names}`
const clientOf = (more: object = {}) => createClient({ url: served.url, ...more })
const pipeline = { workflowId: 'pipeline', input: { topic: 'tea' } }

/** The runs of a session as they are stored. */
async function runsOf(sessionId: string): Promise<string[]> {
  const query = 'query ($id: String!) { session(sessionId: $id) { runs(first: 100) { nodes { runId } } } }'
  const found = await data<{ session: { runs: { nodes: { runId: string }[] } } | null }>(served, query, {
    id: sessionId,
  })
  return found.session?.runs.nodes.map(({ runId }) => runId) ?? []
}

const relayOf = () => startProxy({ host: '127.0.0.1', port: Number(new URL(served.url).port) })

test('an accepted run is given with what it takes to follow it, and with what else is asked for', async () => {
  const sessionId = unique('session')
  const input = {
    ...pipeline,
    sessionId,
    sessionName: 'Named',
    tags: ['one'],
    metadata: { from: 'here' },
    waitMs: 10_000,
  }
  const run = await clientOf().runWorkflow<{ readonly output: string; readonly tags: readonly string[] }>(input, {
    selection: 'output tags metadata session { name }',
  })
  expectTypeOf(run).toEqualTypeOf<AcceptedRun & { readonly output: string; readonly tags: readonly string[] }>()
  expect(run).toEqual({
    runId: expect.any(String),
    sessionId,
    number: 1,
    status: 'COMPLETED',
    lastCursor: expect.any(String),
    output: 'Read about tea',
    tags: ['one'],
    metadata: { from: 'here' },
    session: { sessionId, name: 'Named' },
  })
})

describe('a refusal is thrown', () => {
  const refusal = async (input: Parameters<ReturnType<typeof clientOf>['runWorkflow']>[0]): Promise<unknown> =>
    clientOf()
      .runWorkflow(input)
      .catch((error: unknown) => error)

  test('with its code and message', async () => {
    const error = await refusal({ workflowId: 'nothing' })
    expect(error).toBeInstanceOf(KernClientError)
    expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('nothing'), details: {} })
  })

  test('with each fault in the input', async () => {
    expect(await refusal({ workflowId: 'pipeline', input: { topic: 5 } })).toMatchObject({
      code: 'INPUT_INVALID',
      details: { issues: [{ path: ['input', 'topic'], message: expect.any(String) }] },
    })
  })

  test('with the run that stands in the way', async () => {
    const sessionId = unique('session')
    const name = unique('door')
    const door = flows.door(name)
    const held = { workflowId: 'held', input: { door: name }, sessionId }
    const run = await clientOf().runWorkflow(held)
    await door.reached
    expect(await refusal({ ...held, onBusy: 'REJECT' })).toMatchObject({
      code: 'CONFLICT',
      details: { runId: run.runId },
    })
    door.open()
  })

  test('as what the document was refused with, where it is no result', async () => {
    const error = await clientOf()
      .runWorkflow(pipeline, { selection: 'nothing' })
      .catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'GRAPHQL_VALIDATION_FAILED' })
  })

  test('and what is not JSON is the fault of the caller', async () => {
    await expect(clientOf().runWorkflow({ ...pipeline, input: 1n })).rejects.toThrow(TypeError)
  })
})

describe('a request', () => {
  test('whose answer is lost is sent again, and starts one run', async () => {
    await using relay = await relayOf()
    const client = clientOf({ url: behind(served.url, relay.port) })
    const sessionId = unique('session')
    const lost = Promise.all([relay.loseAnswerTo(sessionId), relay.loseAnswerTo(sessionId)])
    const run = await client.runWorkflow({ ...pipeline, sessionId })
    await lost
    expect(run.number).toBe(1)
    expect(await runsOf(sessionId)).toEqual([run.runId])
    const another = await client.runWorkflow({ ...pipeline, sessionId })
    expect(await runsOf(sessionId)).toHaveLength(2)
    expect(another.runId).not.toBe(run.runId)
  })

  test('whose answer is lost and that names no session starts one run in one session', async () => {
    await using relay = await relayOf()
    const client = clientOf({ url: behind(served.url, relay.port) })
    const topic = unique('topic')
    const lost = relay.loseAnswerTo(topic)
    const run = await client.runWorkflow({ workflowId: 'pipeline', input: { topic }, waitMs: 10_000 })
    await lost
    expect(await runsOf(run.sessionId)).toEqual([run.runId])
  })

  test('with a key of the caller gives the same run again', async () => {
    const key = { ...pipeline, sessionId: unique('session'), idempotencyKey: unique('key') }
    const [one, other] = [await clientOf().runWorkflow(key), await clientOf().runWorkflow(key)]
    expect(other.runId).toBe(one.runId)
  })

  test('that reaches nobody fails as UNAVAILABLE after its retries, with what the network said', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    server.close()
    await once(server, 'close')
    let requests = 0
    const client = createClient({
      url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/graphql`,
      fetch: (input, init) => {
        requests++
        return fetch(input, init)
      },
    })
    await expect(client.runWorkflow(pipeline, { retries: 2 })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      cause: expect.any(TypeError),
    })
    expect(requests).toBe(3)
  })

  test('that is not answered in time is sent again', async () => {
    await using relay = await relayOf()
    relay.blackhole()
    const client = clientOf({ url: behind(served.url, relay.port), silenceMs: 200 })
    const sessionId = unique('session')
    const run = client.runWorkflow({ ...pipeline, sessionId }, new AbortController())
    await expect.poll(() => relay.accepted, { timeout: 10_000 }).toBeGreaterThan(1)
    relay.restore()
    const { runId } = await run
    expect(await runsOf(sessionId)).toEqual([runId])
  })

  test('ends when its signal aborts, while it waits for an answer and while it waits to try again', async () => {
    await using relay = await relayOf()
    relay.blackhole()
    const asked: Promise<unknown>[] = []
    const client = clientOf({
      url: behind(served.url, relay.port),
      retryMs: 2 ** 30,
      maxRetryMs: 2 ** 31 - 1,
      fetch: (input: string, init: RequestInit) => {
        const answer = fetch(input, init)
        asked.push(answer.catch(() => {}))
        return answer
      },
    })
    const waiting = new AbortController()
    const unanswered = expect(client.runWorkflow(pipeline, waiting)).rejects.toThrow('enough')
    await expect.poll(() => relay.accepted, { timeout: 10_000 }).toBe(1)
    waiting.abort(new Error('enough'))
    await unanswered

    relay.refuse(true)
    const between = new AbortController()
    const refused = expect(client.runWorkflow(pipeline, between)).rejects.toThrow('enough')
    await expect.poll(() => asked.length, { timeout: 10_000 }).toBe(2)
    await asked[1]
    between.abort(new Error('enough'))
    await refused
    await expect(client.runWorkflow(pipeline, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow(
      'before',
    )
  })

  test.each([
    [502, 'UNAVAILABLE', 3],
    [503, 'UNAVAILABLE', 3],
    [429, 'UNAVAILABLE', 3],
    [401, 'FORBIDDEN', 1],
    [403, 'FORBIDDEN', 1],
    [404, 'BAD_RESPONSE', 1],
    [200, 'BAD_RESPONSE', 1],
  ])('that something else answers with %d fails as %s', async (status, code, times) => {
    let requests = 0
    const answer = async (): Promise<Response> => {
      requests++
      return new Response('<h1>A proxy</h1>', { status })
    }
    const client = clientOf({ fetch: answer, retryMs: 1 })
    await expect(client.runWorkflow(pipeline, { retries: 2 })).rejects.toMatchObject({ code })
    expect(requests).toBe(times)
  })
})

test.each([
  ['url', '/graphql'],
  ['url', 'ftp://localhost/graphql'],
  ['transport', 'carrier pigeon'],
  ['retries', -1],
  ['retryMs', 0],
  ['maxRetryMs', Number.NaN],
  ['silenceMs', Infinity],
  ['openTimeoutMs', 2 ** 31],
  ['maxBufferedEvents', 0],
])('the option %s is refused if it is %s, with what is allowed', (name, value) => {
  const create = () => clientOf({ [name]: value })
  expect(create).toThrow(new RegExp(`^${name} is ${String(value)}: allowed is `))
  expect(create).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})
