import { sql } from 'drizzle-orm'
import { expect, inject, onTestFinished, test } from 'vitest'
import { type Database, rows } from '../../src/db/client.ts'
import { asKernError } from '../../src/db/errors.ts'
import { transaction } from '../../src/db/transaction.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, eventLines, PATIENCE, startKern } from '../support/kerns.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { connectionsOf, LOAD, OWN_CONNECTIONS, openAt, startLoad } from './load.ts'

interface Linked {
  readonly proxy: Proxy
  /** By way of the proxy. */
  readonly database: Database
  /** Without it. */
  readonly observer: Database
}

async function openLinked(options: { maxConnections?: number; deadlineMs?: number } = {}): Promise<Linked> {
  const { hostname, port } = new URL(inject('postgres').url)
  const proxy = await startProxy({ host: hostname, port: Number(port) })
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const fresh = await freshPostgres()
  if (fresh.kind !== 'postgres') throw new Error('not Postgres')
  const database = await openAt(fresh.url, { ...options, port: proxy.port })
  return { proxy, database, observer: await openAt(fresh.url) }
}

const PACE = { heartbeatMs: 500, leaseMs: 5_000, pollMs: 100 }

test('a result whose commit was done but never answered is neither lost nor recorded twice', async () => {
  const { proxy, database, observer } = await openLinked()
  let bodies = 0
  const marked = step('marked', async () => {
    bodies++
    return 'result-7e1f'
  })
  const definition = defineWorkflow({ name: 'Marked', steps: [marked, step('after', () => 'end-7e1f')] })
  const kern = await startKern(database, [{ definition }], PACE)
  // Once for the result of a step, once for the end of the run.
  const lost = [proxy.loseAnswerTo('result-7e1f'), proxy.loseAnswerTo('end-7e1f')]
  const run = await kern.run('marked', {})
  await Promise.all(lost)
  expect(run).toMatchObject({ status: 'COMPLETED', output: 'end-7e1f' })
  expect(bodies).toBe(1)
  // It was never let go, and so never taken again.
  expect(await rows(observer.db, sql`select epoch from kern.runs`)).toEqual([{ epoch: 1 }])
  const found = await rows(
    observer.db,
    sql`select path, status, attempts ->> 1 as more from kern.step_results order by path`,
  )
  expect(found).toEqual([
    { path: 'after', status: 'COMPLETED', more: null },
    { path: 'marked', status: 'COMPLETED', more: null },
  ])
  expect(await eventLines(kern, run.runId)).toEqual([
    'RUN_QUEUED',
    'RUN_STARTED',
    'STEP_STARTED marked',
    'STEP_COMPLETED marked',
    'STEP_STARTED after',
    'STEP_COMPLETED after',
    'RUN_COMPLETED',
  ])
})

test('a start whose commit was done but never answered is one run, whoever asks again with the same key', async () => {
  const { proxy, database, observer } = await openLinked()
  const kern = await startKern(database, [LOAD], PACE)
  const request = { workflowId: LOAD.definition.id, sessionId: 'load-0', idempotencyKey: 'key-5b2c' }
  const lost = proxy.loseAnswerTo('key-5b2c')
  const start = () => kern.commands.runWorkflow(SYSTEM_VIEWER, request)
  // Either way is allowed: an answer after all, or UNAVAILABLE and the same run when asked again.
  const run = await start().catch(async (error: unknown) => {
    expect(asKernError(error)).toMatchObject({ code: 'UNAVAILABLE' })
    return await start()
  })
  await lost
  expect(run.number).toBe(1)
  const all = sql`select run_id, status from kern.runs`
  await expect.poll(() => rows(observer.db, all), PATIENCE).toEqual([{ run_id: run.runId, status: 'COMPLETED' }])
})

test('a link that is slow makes runs slow, and nothing is lost, repeated or taken over', async () => {
  const { proxy, database, observer } = await openLinked()
  const kern = await startKern(database, [LOAD], { heartbeatMs: 1_000, leaseMs: 15_000, pollMs: 500 })
  proxy.delay(40)
  proxy.limit(32_000)
  const load = startLoad(kern, observer, { runs: 12 })
  await load.finish()
  const epochs = sql`select distinct epoch from kern.runs`
  expect(await rows(observer.db, epochs)).toEqual([{ epoch: 1 }])
})

test('over a link that died in silence every wait ends in time, and the runs go on when it is back', async () => {
  const deadlineMs = 800
  const { proxy, database, observer } = await openLinked({ maxConnections: 3, deadlineMs })
  const gate = createGate()
  const slow = step('slow', () => gate.pass().then(() => 'kept'))
  const definition = defineWorkflow({ name: 'Slow', steps: [slow] })
  const kern = await startKern(database, [{ definition }, LOAD], PACE)
  const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'slow' })
  await gate.reached

  proxy.blackhole()
  gate.open()
  const begin = performance.now()
  const asked = await Promise.allSettled([
    kern.getRun(runId),
    kern.health(),
    kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'load' }),
    kern.commands.cancelRun(SYSTEM_VIEWER, { runId }),
  ])
  // A statement has one deadline, a transaction two: more than that only where somebody waits without one.
  expect(performance.now() - begin).toBeLessThan(6 * deadlineMs)
  const outcomes = asked.map((one) => (one.status === 'fulfilled' ? one.value : asKernError(one.reason).code))
  expect(outcomes).toEqual(['UNAVAILABLE', false, 'UNAVAILABLE', 'UNAVAILABLE'])

  proxy.restore()
  const status = sql`select status from kern.runs where run_id = ${runId}::uuid`
  await expect.poll(() => rows(observer.db, status), PATIENCE).toEqual([{ status: 'COMPLETED' }])
  await expect.poll(() => kern.health(), PATIENCE).toBe(true)
})

test('a statement in a transaction fails by its own deadline, not by that of the transaction', async () => {
  const { proxy, database } = await openLinked({ deadlineMs: 1_500 })
  const cut = transaction(database.db, async (tx) => {
    await rows(tx, sql`select 1`)
    proxy.blackhole()
    await rows(tx, sql`select 2`)
  })
  await expect(cut).rejects.toThrow('a statement did not end within 1500 ms')
})

test('connections that are closed as soon as they are made are tried with pauses, one at a time', async () => {
  const deadlineMs = 2_000
  const { proxy, database } = await openLinked({ maxConnections: 8, deadlineMs })
  expect(await rows(database.db, sql`select 1 as one`)).toEqual([{ one: 1 }])
  proxy.refuse(true)
  proxy.reset()
  const before = proxy.accepted
  const waiting = Array.from({ length: 50 }, () => rows(database.db, sql`select 1`))
  for (const result of await Promise.allSettled(waiting)) {
    expect(result.status === 'rejected' && asKernError(result.reason).code).toBe('UNAVAILABLE')
  }
  // Eight at first at the most; then after 50, 100, 200 … ms, of which chance takes up to a half.
  expect(proxy.accepted - before).toBeLessThan(8 + 12)
  proxy.refuse(false)
  expect(await rows(database.db, sql`select 1 as one`)).toEqual([{ one: 1 }])
})

test('an address where nobody was ever met is said to be wrong at once', async () => {
  const { proxy, database } = await openLinked({ deadlineMs: 600_000 })
  proxy.refuse(true)
  await expect(rows(database.db, sql`select 1`)).rejects.toThrow()
})

test('after connections were lost again and again the pool has as many as before, and no more', async () => {
  const { proxy, database, observer } = await openLinked({ maxConnections: 5 })
  const kern = await startKern(database, [LOAD], PACE)
  const load = startLoad(kern, observer, { clients: 12 })
  for (let round = 0; round < 8; round++) {
    const before = load.accepted()
    await expect.poll(load.accepted, PATIENCE).toBeGreaterThan(before + 3)
    proxy.reset()
  }
  await load.finish()
  await expect.poll(() => connectionsOf(observer), PATIENCE).toBeLessThanOrEqual(5 + OWN_CONNECTIONS)
  expect(await kern.health()).toBe(true)
})
