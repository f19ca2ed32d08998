import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { rows } from '../../src/db/client.ts'
import { asKernError } from '../../src/db/errors.ts'
import { migrate } from '../../src/db/migrate.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'
import { type Cluster, ownCluster } from '../support/postgres.ts'
import { startProxy } from '../support/proxy.ts'
import { ask, serve } from '../support/server.ts'
import { connectionsOf, endConnections, LOAD, OWN_CONNECTIONS, openAt, startLoad } from './load.ts'

let cluster: Cluster
let names = 0

beforeAll(async () => {
  cluster = await ownCluster({ settings: ['max_connections = 40'] })
})

afterAll(() => cluster.stop())

/** A migrated database of the cluster. */
async function freshUrl(): Promise<string> {
  const admin = postgres(cluster.url, { max: 1, onnotice: () => {} })
  const name = `trouble_${++names}`
  await admin.unsafe(`create database ${name}`)
  await admin.end()
  const url = new URL(cluster.url)
  url.pathname = `/${name}`
  const database = await openAt(url.href)
  await migrate(database)
  await database.close()
  return url.href
}

async function proxied(url: string) {
  const { hostname, port } = new URL(url)
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  return proxy
}

const PACE = { heartbeatMs: 200, leaseMs: 2_000, pollMs: 50 }

describe('a server that crashes', () => {
  test('and is back soon loses nothing of what was accepted, and the process goes on', async () => {
    const url = await freshUrl()
    const observer = await openAt(url)
    const kern = await startKern(await openAt(url), [LOAD], PACE)
    const load = startLoad(kern, observer)
    for (let crash = 0; crash < 2; crash++) {
      const before = load.accepted()
      await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 20)
      await cluster.halt('SIGQUIT')
      await cluster.start()
    }
    const before = load.accepted()
    await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 20)
    await load.finish()
  })
})

describe('while a server is away', () => {
  test('starts and reads are answered by UNAVAILABLE in time, a step that ends keeps its result, and all goes on afterwards', async () => {
    const url = await freshUrl()
    const proxy = await proxied(url)
    const gate = createGate()
    const bodies: string[] = []
    const slow = step('slow', async ({ runId }: StepContext) => {
      bodies.push(runId)
      await gate.pass()
      return 'kept'
    })
    const workflow = { definition: defineWorkflow({ name: 'Slow', steps: [slow, step('after', () => 'done')] }) }
    const database = await openAt(url, { port: proxy.port, maxConnections: 4 })
    const observer = await openAt(url)
    const served = await serve(database, { workflows: [workflow], pace: { ...PACE, leaseMs: 60_000 } })
    onTestFinished(() => served.close())
    const start = `mutation { runWorkflow(input: { workflowId: "slow" }) {
      ... on Error { message code } ... on RunPayload { run { runId } } } }`
    const first = await ask<{ runWorkflow: { run: { runId: string } } }>(served, start)
    const runId = first.data?.runWorkflow.run.runId ?? ''
    await gate.reached

    await cluster.halt('SIGINT')
    const health = (path: string) => fetch(new URL(`/health/${path}`, served.url)).then(({ status }) => status)
    await expect.poll(() => health('ready'), PATIENCE).toBe(503)
    expect(await health('live')).toBe(200)
    const begin = performance.now()
    const before = proxy.accepted
    const asked = Array.from({ length: 30 }, () => ask(served, start))
    const read = ask(served, `{ run(runId: "${runId}") { status } }`)
    gate.open()
    for (const answer of await Promise.all([...asked, read])) expect(codeOf(answer)).toBe('UNAVAILABLE')
    const seconds = (performance.now() - begin) / 1_000
    // Both pools try again with pauses of half a second and more; without them it would be hundreds.
    expect(proxy.accepted - before).toBeLessThan(12 + 6 * seconds)
    // Deadlines of the product are 4.5 s; the machine may be slow.
    expect(seconds).toBeLessThan(9)

    await cluster.start()
    const status = async () =>
      (await rows<{ status: string }>(observer.db, sql`select status from kern.runs where run_id = ${runId}::uuid`))[0]
        ?.status
    await expect.poll(status, PATIENCE).toBe('COMPLETED')
    // Of the others, one whose start was on its way may run: its outcome was unknown.
    expect(bodies.filter((id) => id === runId)).toHaveLength(1)
    await expect.poll(() => health('ready'), PATIENCE).toBe(200)
    expect(codeOf(await ask(served, start))).toBeNull()
    expect(await connectionsOf(observer)).toBeLessThanOrEqual(4 + OWN_CONNECTIONS)
  })

  test('a start that began before is kept where the server is back in time', async () => {
    const url = await freshUrl()
    const kern = await startKern(await openAt(url), [LOAD], PACE)
    const observer = await openAt(url)
    await kern.run(LOAD.definition.id, { sessionId: 'load-0', idempotencyKey: 'key-0', input: 0 })
    await cluster.halt('SIGINT')
    const { id } = LOAD.definition
    const started = kern.commands.runWorkflow(SYSTEM_VIEWER, {
      workflowId: id,
      sessionId: 'load-0',
      idempotencyKey: 'key-1',
    })
    await cluster.start()
    expect(await started).toMatchObject({ number: 2 })
    const done = sql`select count(*)::int as n from kern.runs where status = 'COMPLETED'`
    await expect.poll(() => rows(observer.db, done), PATIENCE).toEqual([{ n: 2 }])
  })
})

describe('where a server has no connections left', () => {
  test('those that a process has go on working, and show that it lives', async () => {
    const url = await freshUrl()
    const observer = await openAt(url)
    const database = await openAt(url, { maxConnections: 10 })
    const kern = await startKern(database, [LOAD], PACE)
    await kern.run(LOAD.definition.id, { sessionId: 'load-0', idempotencyKey: 'key-0', input: 0 })
    const before = await connectionsOf(observer)
    const greedy = await takeAllConnections(url)

    const load = startLoad(kern, observer, { clients: 10 })
    const heartbeat = async () =>
      (await rows<{ at: string }>(observer.db, sql`select max(heartbeat_at)::text as at from kern.workers`))[0]?.at
    const beat = await heartbeat()
    await expect.poll(heartbeat, PATIENCE).not.toBe(beat)
    await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(20)
    // More at once than there are connections: whoever is not served by a new one waits for one that is there.
    const many = Array.from({ length: 30 }, () => rows<{ one: number }>(database.db, sql`select 1 as one`))
    expect((await Promise.all(many)).flat()).toHaveLength(30)
    expect(await connectionsOf(observer)).toBe(before)
    expect(load.unavailable()).toBe(0)
    await greedy.end()
    await load.finish()
    expect(await rows(observer.db, sql`select distinct epoch from kern.runs`)).toEqual([{ epoch: 1 }])
  })

  test('who has none waits for one within the deadline, and is told UNAVAILABLE after it', async () => {
    const url = await freshUrl()
    const observer = await openAt(url)
    const proxy = await proxied(url)
    const { db } = await openAt(url, { maxConnections: 2, deadlineMs: 600 })
    const { db: patient } = await openAt(url, { maxConnections: 2, deadlineMs: 60_000, port: proxy.port })
    for (const each of [db, patient]) expect(await rows(each, sql`select 1 as one`)).toEqual([{ one: 1 }])
    await endConnections(observer)
    const greedy = await takeAllConnections(url)
    const refused: unknown = await rows(db, sql`select 1`).catch((error: unknown) => error)
    expect(asKernError(refused)).toMatchObject({ code: 'UNAVAILABLE' })

    const before = proxy.accepted
    const waiting = rows(patient, sql`select 1 as one`)
    // The second attempt says that the first one has failed.
    await expect.poll(() => proxy.accepted, PATIENCE).toBeGreaterThan(before + 1)
    await greedy.end()
    expect(await waiting).toEqual([{ one: 1 }])
    expect(await rows(db, sql`select 1 as one`)).toEqual([{ one: 1 }])
  })
})

/** Takes every connection that the server has left, those kept for its operator too. */
async function takeAllConnections(url: string): Promise<{ end(): Promise<void> }> {
  const taken: postgres.Sql[] = []
  const end = async () => {
    await Promise.all(taken.map((client) => client.end({ timeout: 1 })))
  }
  onTestFinished(end)
  for (;;) {
    const client = postgres(url, { max: 1, onnotice: () => {}, fetch_types: false })
    try {
      await client`select 1`
      taken.push(client)
    } catch {
      await client.end({ timeout: 0 })
      return { end }
    }
  }
}

/** The code of an error, wherever GraphQL puts it; null if there is none. */
function codeOf(answer: { readonly data?: unknown; readonly errors?: readonly { extensions?: { code?: unknown } }[] }) {
  const [error] = answer.errors ?? []
  if (error) return error.extensions?.code
  return /"code":"(\w+)"/.exec(JSON.stringify(answer.data))?.[1] ?? null
}
