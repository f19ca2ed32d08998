import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { sql } from 'drizzle-orm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { DatabaseUrl } from '../../src/config.ts'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { openListener } from '../../src/db/listener.ts'
import { CHANNEL, createCarrier } from '../../src/events/carrier.ts'
import { keepListening } from '../../src/events/listening.ts'
import { newId } from '../../src/ids.ts'
import { answer } from '../../src/store/answer.ts'
import { createLog, type Log, type LogSeverity } from '../../src/log.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, eventsOf, PATIENCE } from '../support/kerns.ts'
import { startProxy } from '../support/proxy.ts'
import { watchStatements } from '../support/statements.ts'
import { told } from './hints.child.ts'
import { startHinted, unpolled, until, watch } from './hintSupport.ts'

const quick = () => new Workflow({ name: `Quick ${newId()}`, steps: [step('one', () => 1), step('two', () => 2)] })

async function opened(url: DatabaseUrl): Promise<Database> {
  const database = await openDatabase(url)
  onTestFinished(() => database.close())
  return database
}

async function fresh(): Promise<Database> {
  return await opened(await freshPostgres())
}

/** A log that keeps what is said, from `level` on. */
function keptLog(level: LogSeverity): { readonly log: Log; readonly said: string[] } {
  const said: string[] = []
  const output = new Writable({
    write(line: Buffer, _encoding, done) {
      // One line, made by the log.
      const { level: severity, msg } = JSON.parse(line.toString()) as { level: string; msg: string }
      said.push(`${severity}: ${msg}`)
      done()
    },
  })
  return { log: createLog({ level, format: 'json', output }), said }
}

const CHILD = join(import.meta.dirname, 'hints.child.ts')

const LOST = 'warn: no connection listens to other processes'
const BACK = 'info: this process is told again'

/** How many connections of a database listen. */
async function listeners({ db }: Database): Promise<number> {
  const found = await rows<{ pid: number }>(
    db,
    sql`select pid from pg_stat_activity where datname = current_database() and application_name = 'kern hints'`,
  )
  return found.length
}

const terminate = ({ db }: Database) =>
  rows(
    db,
    sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name = 'kern hints'`,
  )

describe('where the connection that listens is lost', () => {
  test('a stream is given every event once, also those of the gap, without looking by itself', async () => {
    const database = await fresh()
    const gate = createGate()
    const workflow = new Workflow({
      name: `Talks ${newId()}`,
      steps: [
        step('talks', async ({ emit }: StepContext) => {
          await gate.pass()
          for (let count = 1; count <= 100; count += 1) {
            emit('said', { count })
            if (count % 30 === 0) await terminate(database)
          }
          // What follows is committed while nobody listens.
          await terminate(database)
          return 1
        }),
        step('ends', () => 1),
      ],
    })
    const [here, there] = [
      await startHinted(database, [workflow], unpolled()),
      await startHinted(database, [workflow], unpolled()),
    ]
    const { runId } = await there.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.definition.id })
    await gate.reached
    const all = until(await watch(here, runId), 'RUN_COMPLETED')
    gate.open()
    expect(await all).toEqual(await eventsOf(there, runId))
    expect((await all).filter(({ type }) => type === 'CUSTOM')).toHaveLength(100)
  })

  test('it says so once, and once that it is back', async () => {
    const database = await fresh()
    const { log, said } = keptLog('info')
    const kern = await startHinted(database, [quick()], { log })
    await terminate(database)
    await expect.poll(() => said, PATIENCE).toEqual([expect.stringContaining(LOST), expect.stringContaining(BACK)])
    expect(await listeners(database)).toBe(1)
    await kern.close()
    expect(said).toHaveLength(2)
  })

  test('it is opened again also where the server is away for some attempts, and says no more of that', async () => {
    const { log, said } = keptLog('info')
    const closing = new AbortController()
    let attempts = 0
    const ready = Promise.withResolvers<void>()
    const listening = keepListening({
      open: async () => {
        attempts += 1
        if (attempts <= 3) throw new Error('no server')
        return { lost: new AbortController().signal, probe: async () => {}, close: async () => {} }
      },
      ready: ready.resolve,
      closing: closing.signal,
      clock: { ...systemClock, idle: (ms, signal) => systemClock.idle(ms < 10_000 ? 0 : ms, signal) },
      log,
      random: () => 0.5,
    })
    await ready.promise
    expect(said).toEqual([expect.stringContaining(LOST), expect.stringContaining(BACK)])
    closing.abort()
    await listening
  })

  test('closing does not wait for a server that never answers, and leaves no connection', async () => {
    const sockets: Socket[] = []
    const server = createServer((socket) => void sockets.push(socket.on('error', () => undefined).resume()))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const address = server.address()
    const url = `postgres://me@127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/none`
    const { log, said } = keptLog('info')
    const closing = new AbortController()
    const listening = keepListening({
      open: () => openListener({ url, channel: CHANNEL, take: () => undefined, closing: closing.signal }),
      ready: () => undefined,
      closing: closing.signal,
      clock: systemClock,
      log,
      random: Math.random,
    })
    await expect.poll(() => sockets.length, PATIENCE).toBe(1)
    closing.abort(new Error('closed'))
    let ended = false
    void listening.then(() => {
      ended = true
    })
    // It would have been given 5 seconds.
    await expect.poll(() => ended && sockets.every(({ destroyed }) => destroyed), { timeout: 3_000 }).toBe(true)
    expect(said).toEqual([])
  })

  test('without that anybody is told, it is found by asking the server', { timeout: 30_000 }, async () => {
    const url = await freshPostgres()
    if (url.kind !== 'postgres') throw new Error('a Postgres database has a URL')
    const target = new URL(url.url)
    await using proxy = await startProxy({ host: target.hostname, port: Number(target.port || 5432) })
    target.port = String(proxy.port)
    target.hostname = '127.0.0.1'
    const { log, said } = keptLog('info')
    const closing = new AbortController()
    const ready = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const asked = Promise.withResolvers<void>()
    let times = 0
    let probes = 0
    const clock: Clock = {
      ...systemClock,
      idle: async (ms, signal) => {
        if (ms < 10_000) return
        probes += 1
        // The second probe is never due.
        if (probes > 1) return await systemClock.idle(3_600_000, signal)
        await asked.promise
      },
    }
    const listening = keepListening({
      open: () => openListener({ url: target.href, channel: CHANNEL, take: () => undefined, closing: closing.signal }),
      ready: () => ready[times++]?.resolve(),
      closing: closing.signal,
      clock,
      log,
      random: () => 0,
    })
    await ready[0]?.promise
    // Only connections from now on pass again; nobody is told that the first one does not any more.
    proxy.blackhole()
    proxy.restore()
    expect(said).toEqual([])
    asked.resolve()
    await ready[1]?.promise
    expect(said).toEqual([expect.stringContaining(LOST), expect.stringContaining(BACK)])
    closing.abort()
    await listening
  })
})

describe('where notifying does not work', () => {
  /** Puts a function in the place of `pg_notify`, for connections that are opened from now on. */
  async function shadow(database: Database, body: string): Promise<void> {
    const { db } = database
    await db.execute(sql`create schema broken`)
    await db.execute(
      sql.raw(`create function broken.pg_notify(text, text) returns void language plpgsql as $$ begin ${body} end $$`),
    )
    await db.execute(sql`do $$ begin
      execute format('alter database %I set search_path = broken, pg_catalog, public', current_database());
    end $$`)
  }

  test('since it fails, runs are committed all the same, and other processes see them by looking', async () => {
    const url = await freshPostgres()
    await shadow(await opened(url), `raise exception 'queue is full';`)
    const database = await opened(url)
    const { log, said } = keptLog('debug')
    const workflow = quick()
    const here = await startHinted(database, [workflow])
    const there = await startHinted(database, [workflow], { log })
    const { runId } = await there.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.definition.id })
    expect(await until(await watch(here, runId), 'RUN_COMPLETED')).toEqual(await eventsOf(there, runId))
    await expect.poll(() => said, PATIENCE).toContain('debug: hints for other processes could not be sent')
    expect(here.heard).toEqual([{ type: 'missed' }])
    expect(said.filter((line) => !line.startsWith('debug:'))).toEqual([])
  })

  test('since it hangs, no run waits for it, and what is told meanwhile is told together', async () => {
    const url = await freshPostgres()
    const admin = await opened(url)
    await shadow(admin, `perform pg_catalog.pg_advisory_xact_lock(7); perform pg_catalog.pg_notify($1, $2);`)
    const database = await opened(url)
    const workflow = quick()
    const [here, there] = [await startHinted(database, [workflow]), await startHinted(database, [workflow])]
    let statements = 0
    onTestFinished(watchStatements(database, ({ text }) => void (text.includes('pg_notify') && (statements += 1))))
    await admin.db.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(7)`)
      const ended = await Promise.all(Array.from({ length: 20 }, () => there.run(workflow, {})))
      expect(ended.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 'COMPLETED'))
      expect(here.heard).toEqual([{ type: 'missed' }])
      expect(statements).toBe(1)
    })
    const settled = () => here.heard.filter((hint) => hint.type === 'changed' && hint.settled).length
    await expect.poll(settled, PATIENCE).toBe(20)
    expect(statements).toBeLessThanOrEqual(3)
  })
})

describe('what others say on the channel', () => {
  test('does no harm, be it garbage, about runs that are not there, or untrue', async () => {
    const database = await fresh()
    const gate = createGate()
    const workflow = new Workflow({ name: `Held ${newId()}`, steps: [step('one', () => gate.pass().then(() => 1))] })
    const { log, said } = keptLog('info')
    const [here, there] = [
      await startHinted(database, [workflow], { ...unpolled(), log }),
      await startHinted(database, [workflow], { ...unpolled(), log }),
    ]
    const request = { workflowId: workflow.definition.id, idempotencyKey: newId() }
    const { runId, sessionId, workflowId } = await there.commands.runWorkflow(SYSTEM_VIEWER, request)
    await gate.reached
    const events = await watch(here, runId)
    await until(events, 'STEP_STARTED')
    const ended = here.commands.runWorkflow(SYSTEM_VIEWER, { ...request, waitMs: 20_000 })
    const say = (payload: string) => rows(database.db, sql`select pg_notify(${CHANNEL}, ${payload})`)
    for (const garbage of [
      '',
      'x',
      '{}',
      '["x",["changed"]]',
      `["x",["asked","${'é'.repeat(3_900)}"]]`,
      'y'.repeat(7_999),
    ])
      await say(garbage)
    const untrue = `["x",["waiting"],["missed"],["asked","${runId}"],["asked","no uuid"],["changed","${newId()}","s","w",true],["changed","${runId}","${sessionId}","${workflowId}",true]]`
    for (let time = 1; time <= 3; time += 1) await say(untrue)
    await expect.poll(() => here.heard.filter(({ type }) => type === 'waiting').length, PATIENCE).toBe(3)
    gate.open()
    expect(await ended).toMatchObject({ status: 'COMPLETED' })
    expect((await until(events, 'RUN_COMPLETED')).map(({ seq }) => seq)).toEqual([4, 5])
    expect(said).toEqual([])
  })
})

describe('a hint that comes before its commit', () => {
  test('loses nothing: what commits late is given in its place, and what follows after it', async () => {
    const url = await freshPostgres()
    const database = await opened(url)
    const other = await opened(url)
    const workflow = new Workflow({
      name: `Late ${newId()}`,
      steps: [waitForInput('asks', { prompt: 'Which?', schema: z.string() }), step('on', () => 1)],
    })
    const [here, there] = [
      await startHinted(database, [workflow], unpolled()),
      await startHinted(database, [workflow], unpolled()),
    ]
    const run = await there.run(workflow, {})
    const { runId, sessionId } = run
    const workflowId = workflow.definition.id
    const events = await watch(here, runId)
    await until(events, 'RUN_PAUSED')
    const at = new Date()
    const given = { number: 1, action: 'CONTINUE', data: 'this', at: at.toISOString(), userId: null } as const
    const reads = { count: 0 }
    onTestFinished(watchStatements(database, ({ text }) => void (text.includes('events') && (reads.count += 1))))
    const resumed = until(events, 'RUN_RESUMED')
    await other.db.transaction(async (tx) => {
      await answer(tx, { runId, path: 'asks', at, answer: given })
      // Everybody looks, and finds nothing yet.
      for (const round of [1, 2]) {
        const before = reads.count
        const item = ['changed', runId, sessionId, workflowId, false]
        await rows(other.db, sql`select pg_notify(${CHANNEL}, ${JSON.stringify([`round ${round}`, item])})`)
        await expect.poll(() => reads.count, PATIENCE).toBeGreaterThan(before)
      }
    })
    await rows(other.db, sql`select pg_notify(${CHANNEL}, '["x",["missed"]]')`)
    const first = await resumed
    const rest = await until(events, 'RUN_COMPLETED')
    const all = await eventsOf(there, runId)
    expect(first).toHaveLength(1)
    expect([...first, ...rest]).toEqual(all.slice(all.findIndex(({ type }) => type === 'RUN_RESUMED')))
  })
})

describe('sending', () => {
  test('goes at once for the first hint, and together for all that come within the gap after it', async () => {
    const database = await fresh()
    const { db, listen } = database
    if (!listen) throw new Error('a Postgres database can be listened to')
    let gap = Promise.withResolvers<void>()
    const clock = { ...systemClock, idle: (ms: number) => (ms < 1_000 ? gap.promise : systemClock.idle(ms)) }
    const { log } = keptLog('debug')
    const statements: unknown[] = []
    onTestFinished(
      watchStatements(database, ({ text, values }) => void (text.includes('pg_notify') && statements.push(values))),
    )
    const sender = createCarrier({ db, listen, id: 'sender', clock, log, random: Math.random })
    const heard: unknown[] = []
    const waited = Promise.withResolvers<void>()
    const receiver = createCarrier({ db, listen, id: 'receiver', clock: systemClock, log, random: Math.random })
    receiver.listen((hint) => {
      if (hint.type === 'missed') waited.resolve()
      else heard.push(hint)
    })
    receiver.start()
    await waited.promise
    sender.tell({ type: 'waiting' })
    await expect.poll(() => heard, PATIENCE).toEqual([{ type: 'waiting' }])
    const asked = Array.from({ length: 500 }, () => ({ type: 'asked', runId: newId() }) as const)
    for (const hint of asked) sender.tell(hint)
    await rows(db, sql`select 1`)
    expect(statements).toHaveLength(1)
    gap.resolve()
    gap = Promise.withResolvers()
    await expect.poll(() => heard, PATIENCE).toEqual([{ type: 'waiting' }, ...asked])
    expect(statements).toHaveLength(2)
    gap.resolve()
    await Promise.all([sender.close(), receiver.close()])
  })

  test('what is told last is sent before closing, and nothing after it', async () => {
    const database = await fresh()
    const { db, listen } = database
    if (!listen) throw new Error('a Postgres database can be listened to')
    const { log } = keptLog('debug')
    const deps = { db, listen, clock: systemClock, log, random: Math.random }
    const [sender, receiver] = [createCarrier({ ...deps, id: 'a' }), createCarrier({ ...deps, id: 'b' })]
    const heard: string[] = []
    receiver.listen(({ type }) => heard.push(type))
    receiver.start()
    await expect.poll(() => heard, PATIENCE).toEqual(['missed'])
    sender.tell({ type: 'waiting' })
    sender.tell({ type: 'asked', runId: 'r' })
    await sender.close()
    sender.tell({ type: 'asked', runId: 'after' })
    await expect.poll(() => heard, PATIENCE).toEqual(['missed', 'waiting', 'asked'])
    await receiver.close()
    await expect.poll(() => listeners(database), PATIENCE).toBe(0)
  })
})

test('a process of its own tells what it does before it ends, and ends by itself when it is closed', async () => {
  const url = await freshPostgres()
  if (url.kind !== 'postgres') throw new Error('a Postgres database has a URL')
  const database = await opened(url)
  const here = await startHinted(database, [told], { ...unpolled(), concurrency: 1 })
  const sessionId = newId()
  await here.commands.createSession(SYSTEM_VIEWER, { workflowId: told.definition.id, sessionId })
  const events = await here.streams.session(SYSTEM_VIEWER, { sessionId })
  const ended = until(events, 'RUN_COMPLETED')
  const child = spawn(process.execPath, [CHILD, url.url, sessionId], { stdio: ['ignore', 'ignore', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  expect(await once(child, 'exit')).toEqual([0, null])
  const all = await ended
  expect(all).toEqual(await eventsOf(here, all[0]?.runId ?? ''))
  await events.return?.()
})
