import { openAsBlob } from 'node:fs'
import type { FormattedExecutionResult } from 'graphql'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { WebSocket } from 'ws'
import { createLive, type Live } from '../../examples/clients/shared/live.ts'
import { afterLastEvent } from '../../examples/clients/shared/resume.ts'
import { pglite } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createFlows } from '../e2e/flows.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { data, serve, type Served } from '../support/server.ts'

const FOLLOW = `
  subscription ($runId: ID!, $after: String) {
    runEvents(runId: $runId, after: $after) { cursor seq type run { id } }
  }`

interface Event {
  readonly cursor: string
  readonly seq: number
  readonly type: string
}

/** Everything that a subscription gives until it ends. */
function follow(
  live: Live,
  variables: Record<string, unknown>,
  seen: (event: Event) => unknown = () => {},
): Promise<Event[]> {
  const events: Event[] = []
  return new Promise((complete, error) => {
    const next = ({ data, errors }: FormattedExecutionResult<{ runEvents: Event }>): void => {
      if (!data) return error(new Error(errors?.[0]?.message))
      events.push(data.runEvents)
      seen(data.runEvents)
    }
    live.subscribe({ query: FOLLOW, variables }, { next, error, complete: () => complete(events) })
  })
}

describe('the WebSocket client of the examples', () => {
  let flows: ReturnType<typeof createFlows>
  let database: Database
  let served: Served
  let proxy: Proxy
  let live: Live

  beforeAll(async () => {
    database = await openDatabase(pglite.memory(), { image: await openAsBlob(inject('image')), migrate: false })
  })
  beforeEach(async () => {
    flows = createFlows()
    served = await serve(database, { workflows: flows.workflows })
    proxy = await startProxy({ host: '127.0.0.1', port: Number(new URL(served.url).port) })
    live = connect()
  })
  afterEach(async () => {
    live.close()
    await proxy[Symbol.asyncDispose]()
    await served.close()
  })
  afterAll(() => database.close())

  const connect = (pingMs?: number): Live =>
    createLive(`http://127.0.0.1:${proxy.port}/graphql`, { webSocketImpl: WebSocket, ...(pingMs ? { pingMs } : {}) })

  async function start(workflowId: string): Promise<string> {
    const asked = `mutation { runWorkflow(input: { workflowId: "${workflowId}" }) { ... on RunPayload { run { runId } } } }`
    const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string } } }>(served, asked)
    return runWorkflow.run.runId
  }

  /** What the database says that a subscriber from the first event on should have been given. */
  async function recorded(runId: string): Promise<readonly number[]> {
    const asked = `{ run(runId: "${runId}") { events(first: 100) { nodes { seq } } } }`
    const { run } = await data<{ run: { events: { nodes: { seq: number }[] } } }>(served, asked)
    return run.events.nodes.map(({ seq }) => seq)
  }

  test.each([
    ['is cut', (): void => proxy.reset()],
    ['says nothing any more', (): void => proxy.blackhole()],
  ])('gives every event of a run once although its connection %s', async (_how, harm) => {
    const runId = await start('stages')
    live.close()
    live = connect(500)
    const seen = await follow(live, { runId, after: null }, ({ seq }) => {
      if (seq !== 3) return
      harm()
      proxy.restore()
      for (const name of ['one', 'two', 'three']) flows.door(name).open()
    })
    expect(seen.map(({ seq }) => seq)).toEqual(await recorded(runId))
    expect(seen.at(-1)?.type).toBe('RUN_COMPLETED')
    expect(proxy.accepted).toBeGreaterThan(1)
  })
  test('survives being subscribed, unsubscribed and subscribed again at once, as StrictMode does', async () => {
    const runId = await start('stages')
    const gone: unknown[] = []
    const note = (value?: unknown): unknown => gone.push(value)
    live.subscribe(
      { query: FOLLOW, variables: { runId, after: null } },
      { next: note, error: note, complete: () => {} },
    )()
    for (const name of ['one', 'two', 'three']) flows.door(name).open()
    const seen = await follow(live, { runId, after: null })
    expect(seen.map(({ seq }) => seq)).toEqual(await recorded(runId))
    expect(gone).toEqual([])
    expect(proxy.accepted).toBe(1)
  })

  test('tells why a subscription is refused, and does not try again', async () => {
    const runId = '019359a0-0000-7000-8000-000000000000'
    await expect(follow(live, { runId, after: null })).rejects.toThrow(runId)
    await expect(follow(live, { runId: await start('stages'), after: 'nonsense' })).rejects.toThrow('nonsense')
    expect(proxy.accepted).toBe(1)
  })

  test('reads on each connection, and gives what comes meanwhile after the reading', async () => {
    const readings: PromiseWithResolvers<void>[] = []
    const begun = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const stop = live.readOnConnection(() => {
      begun[readings.length]?.resolve()
      const reading = Promise.withResolvers<void>()
      readings.push(reading)
      return reading.promise
    })
    const order: (string | number)[] = []
    const runId = await start('stages')
    const followed = follow(live, { runId, after: null }, ({ seq }) => order.push(seq))
    await begun[0]?.promise
    proxy.reset()
    await begun[1]?.promise
    for (const name of ['one', 'two', 'three']) flows.door(name).open()
    await data(served, `{ run(runId: "${runId}") { status } }`)
    order.push('first')
    readings[0]?.resolve()
    await readings[0]?.promise
    order.push('second')
    readings[1]?.resolve()
    await followed
    expect(order).toEqual(['first', 'second', ...(await recorded(runId))])
    stop()
  })
})

describe('a subscription that resumes', () => {
  /** Which of some events are given on. */
  function given(events: readonly object[], variables: Record<string, unknown> = { after: null }) {
    const list: unknown[] = []
    const sink = { next: (result: unknown) => void list.push(result), error: () => {}, complete: () => {} }
    const [request, observer] = afterLastEvent({ query: '', variables }, sink)
    for (const event of events) observer.next({ data: { sessionEvents: event } })
    return { list, sent: JSON.parse(JSON.stringify(request)) }
  }
  const event = (run: string, seq: number, type = 'LOG') => ({ cursor: `${run}${seq}`, seq, type, run: { id: run } })

  test('asks for what comes after the last event that it was given', () => {
    expect(given([], { after: 'x', more: 1 }).sent).toEqual({ query: '', variables: { after: 'x', more: 1 } })
    expect(given([event('a', 1), event('b', 1)]).sent.variables).toEqual({ after: 'b1' })
  })

  test('leaves out events that come again, each run by itself, and no partial output', () => {
    const once = [event('a', 1), event('a', 2), event('a', 2, 'STEP_PROGRESS'), event('b', 1), event('a', 3)]
    const again = [event('a', 1), event('a', 2), event('b', 1)]
    expect(given([...once, ...again]).list).toHaveLength(once.length)
  })

  test('leaves one without a cursor as it is', () => {
    const { list, sent } = given([event('a', 1), event('a', 1)], { filter: {} })
    expect(list).toHaveLength(2)
    expect(sent.variables).toEqual({ filter: {} })
  })
})
