import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { type Duration, systemClock } from '../../src/clock.ts'
import { readConfig } from '../../src/config.ts'
import { type Db, rows } from '../../src/db/client.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import { step, type StepContext, Workflow } from '../../src/index.ts'
import { countOldRuns, knownWorkflows, pruneBatch } from '../../src/store/prune.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, createTestClock, eventsOf, PATIENCE, runsOf, startKern } from '../support/kerns.ts'

const DAY_MS = 86_400_000
const EVERY_MS = 300_000

const talk = new Workflow({
  name: 'talk',
  addWorkflowHistoryToSteps: true,
  numHistoryRuns: 10,
  steps: [
    step('say', ({ input, setState, history }: StepContext) => {
      if (input === 'fail') throw new Error('as asked')
      if (input === 'remember') setState({ remembered: true })
      return history.runs.length
    }),
  ],
})

/** Lets runs have ended some days ago. */
async function age(db: Db, runIds: readonly string[], days: number): Promise<void> {
  for (const runId of runIds) {
    await db.execute(
      sql`update kern.runs set completed_at = now() - make_interval(days => ${days}) where run_id = ${runId}::uuid`,
    )
  }
}

const old = (workflowId = 'talk', days = 30) => ({ workflowId, before: new Date(Date.now() - days * DAY_MS) })

/** How many rows there are of runs in each table. */
async function rowCounts(db: Db): Promise<unknown> {
  const [row] = await rows(
    db,
    sql`select (select count(*)::int from kern.sessions) as sessions, (select count(*)::int from kern.runs) as runs,
      (select count(distinct run_id)::int from kern.run_payloads) as payloads,
      (select count(distinct run_id)::int from kern.run_events) as events,
      (select count(distinct run_id)::int from kern.step_results) as steps`,
  )
  return row
}

/** Many finished runs, each in a session of its own, the first of them the oldest. */
async function fill(db: Db, count: number): Promise<void> {
  await db.execute(sql`
    insert into kern.sessions (session_id, workflow_id, workflow_name, display_name, state, workflow_version, tags, run_count, created_at, updated_at)
    select 's' || n, 'w' || n % 20, 'W', 'Session', '{}', 'v', '{}', 1, now(), now() from generate_series(1, ${count}::int) n`)
  await db.execute(sql`
    insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status, input_preview,
      history_run_ids, tags, created_at, completed_at)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 's' || n, 1, 'w' || n % 20, 'W', 'v', 'COMPLETED', '',
      '{}', '{}', now(), now() - make_interval(days => 100) + make_interval(secs => n) from generate_series(1, ${count}::int) n`)
  await db.execute(sql`insert into kern.run_payloads (run_id, input) select run_id, '1' from kern.runs`)
  await db.execute(
    sql`insert into kern.run_events (run_id, seq, events) select run_id, seq, '[]' from kern.runs cross join generate_series(1, 3) seq`,
  )
  await db.execute(sql`insert into kern.step_results (run_id, path, position, name, kind, status, input_from, history_used, stops_run, max_attempts, started_at)
    select run_id, 'a', 0, 'a', 'step', 'COMPLETED', 'run', false, false, 1, now() from kern.runs`)
}

test('the retention of a workflow is a time, and no part of its version', () => {
  const kept = (retention?: Duration) =>
    new Workflow({ name: 'kept', retention, steps: [step('a', () => 1)] }).definition
  expect(kept('90d').retentionMs).toBe(90 * DAY_MS)
  expect(kept().retentionMs).toBeNull()
  expect(kept('90d').version).toBe(kept().version)
  for (const wrong of [0, '11y', '4000d', -1]) {
    // `as`: an author without the compiler's help.
    expect(() => kept(wrong as Duration)).toThrow(/^retention of workflow "kept" is /)
  }
  expect(readConfig({ KERN_RETENTION: '30d' })).toMatchObject({ retentionMs: 30 * DAY_MS })
  expect(readConfig({})).toMatchObject({ retentionMs: null })
  expect(() => readConfig({ KERN_RETENTION: 'soon' })).toThrow(/^KERN_RETENTION is "soon"/)
})

onEachDatabase((name, open) => {
  test('runs that ended before the time are deleted with all that belongs to them, and no others', async () => {
    const database = await open()
    const gate = createGate()
    const slow = new Workflow({ name: 'slow', steps: [step('wait', () => gate.pass().then(() => 'over'))] })
    const kern = await startKern(database, [talk, slow])
    const ended = [
      await kern.run('talk', { input: 'done' }),
      await kern.run('talk', { input: 'fail' }),
      await kern.run('talk', { input: 'new' }),
    ]
    expect(ended.map(({ status }) => status)).toEqual(['COMPLETED', 'FAILED', 'COMPLETED'])
    const [done, failed, fresh] = ended.map(({ runId }) => runId)
    if (!done || !failed || !fresh) throw new Error('there are three')
    const running = kern.run('slow', {})
    await gate.reached
    await age(database.db, [done, failed], 31)
    await age(database.db, [fresh], 29)
    expect(await countOldRuns(database.db, old())).toBe(2)
    expect(await pruneBatch(database.db, old('slow', 0))).toEqual({ runs: 0, sessions: 0, more: false })
    expect(await pruneBatch(database.db, old())).toEqual({ runs: 2, sessions: 2, more: false })
    expect(await kern.getRun(done)).toBeNull()
    expect(await kern.getRun(failed)).toBeNull()
    expect(await kern.getRun(fresh)).toMatchObject({ status: 'COMPLETED' })
    gate.open()
    expect(await running).toMatchObject({ status: 'COMPLETED' })
    expect(await rowCounts(database.db)).toEqual({ sessions: 2, runs: 2, payloads: 2, events: 2, steps: 2 })
  })

  test('a session is kept while it has a name, a state, metadata, tags or a run', async () => {
    const database = await open()
    const kern = await startKern(database, [talk])
    const { commands } = kern
    await kern.run('talk', { sessionId: 'named', sessionName: 'Mine' })
    await kern.run('talk', { sessionId: 'remembers', input: 'remember' })
    await kern.run('talk', { sessionId: 'plain' })
    for (const given of [{ metadata: { a: 1 } }, { tags: ['t'] }]) {
      const sessionId = Object.keys(given).join()
      await commands.createSession(SYSTEM_VIEWER, { workflowId: 'talk', sessionId, ...given })
      await kern.run('talk', { sessionId })
    }
    await kern.run('talk', { sessionId: 'two' })
    await database.db.execute(sql`update kern.runs set completed_at = now() - interval '31 days'`)
    const kept = await kern.run('talk', { sessionId: 'two' })
    expect(await pruneBatch(database.db, old())).toEqual({ runs: 6, sessions: 1, more: false })
    expect(await kern.getSession({ sessionId: 'plain' })).toBeNull()
    for (const sessionId of ['named', 'remembers', 'metadata', 'tags']) {
      expect(await kern.getSession({ sessionId })).toMatchObject({ runCount: 1, lastRunId: null, activeRunId: null })
    }
    expect(await kern.getSession({ sessionId: 'two' })).toMatchObject({ runCount: 2, lastRunId: kept.runId })
  })

  test('numbers go on, history is of the runs that are left, and a key is free again', async () => {
    const database = await open()
    const kern = await startKern(database, [talk])
    const asked = { sessionId: 's', sessionName: 'Mine' }
    const first = await kern.run('talk', { ...asked, idempotencyKey: 'k' })
    const second = await kern.run('talk', asked)
    const retried = await kern.retryRun({ runId: first.runId, fromStep: 'say' })
    expect(retried).toMatchObject({ number: 3, output: 2, retryOf: first.runId })
    await age(database.db, [first.runId, second.runId], 31)
    await pruneBatch(database.db, old())
    const next = await kern.run('talk', { ...asked, idempotencyKey: 'k' })
    expect(next).toMatchObject({ number: 4, output: 1, historyRunIds: [retried.runId] })
    // What referred to a run that is gone says so still.
    expect(await kern.getRun(retried.runId)).toMatchObject({
      retryOf: first.runId,
      historyRunIds: [first.runId, second.runId],
    })
    expect((await runsOf(kern, 's')).map(({ number }) => number)).toEqual([3, 4])
    await expect(kern.retryRun({ runId: first.runId, fromStep: 'say' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await eventsOf(kern, first.runId)).toEqual([])
  })

  test('a cursor of a run that is gone is refused, and does not pass over what is lost', async () => {
    const database = await open()
    const kern = await startKern(database, [talk])
    const asked = { sessionId: 's', sessionName: 'Mine' }
    const first = await kern.run('talk', asked)
    const second = await kern.run('talk', asked)
    await age(database.db, [first.runId], 31)
    await pruneBatch(database.db, old())
    const follow = (runId: string) =>
      kern.streams.session(SYSTEM_VIEWER, { sessionId: 's', after: encodeEventCursor({ runId, seq: 2 }) })
    await expect(follow(first.runId)).rejects.toMatchObject({ code: 'CURSOR_EXPIRED' })
    const stream = await follow(second.runId)
    expect(await stream.next()).toMatchObject({ value: { runId: second.runId, seq: 3 } })
    await stream.return?.()
    await expect(kern.streams.run(SYSTEM_VIEWER, { runId: first.runId })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('of many the oldest are deleted first, a hundred at a time', async () => {
    const { db } = await open()
    await fill(db, 5_000)
    await db.execute(
      sql`insert into kern.workflows (workflow_id, version, name, data, initial_state) values ('w1', 'v', 'W', '{}', '{}'), ('w0', 'v', 'W', '{}', '{}')`,
    )
    expect(await knownWorkflows(db)).toEqual(['w0', 'w1'])
    expect(await pruneBatch(db, old('w1'))).toEqual({ runs: 100, sessions: 100, more: true })
    const [left] = await rows<{ oldest: string; n: number }>(
      db,
      sql`select min(session_id) as oldest, count(*)::int as n from kern.runs where workflow_id = 'w1' and number = 1`,
    )
    expect(left?.n).toBe(150)
    expect(
      await rows(db, sql`select session_id from kern.sessions where session_id in ('s1', 's1981', 's2001') order by 1`),
    ).toEqual([{ session_id: 's2001' }])
    expect(await pruneBatch(db, old('w1'))).toMatchObject({ runs: 100, more: true })
    expect(await pruneBatch(db, old('w1'))).toMatchObject({ runs: 50, more: false })
    expect(await rowCounts(db)).toEqual({ sessions: 4_750, runs: 4_750, payloads: 4_750, events: 4_750, steps: 4_750 })
  })

  test('a process deletes what is too old when it starts and now and then, by the rule of the workflow or its own', async () => {
    const database = await open()
    const own = new Workflow({ name: 'own', retention: '90d', steps: [step('a', () => 1)] })
    const earlier = await startKern(database, [talk, own])
    for (const id of ['talk', 'own']) await earlier.run(id, { sessionId: `old ${id}` })
    await database.db.execute(sql`update kern.runs set completed_at = now() - interval '31 days'`)
    await earlier.close()
    const clock = createTestClock(systemClock, { hold: (ms) => ms === EVERY_MS })
    // Idle waits are taken out of time's hands as others are.
    const kern = await startKern(database, [talk, own], {
      retentionMs: 30 * DAY_MS,
      clock: { ...clock, idle: clock.sleep },
    })
    await clock.asked(EVERY_MS)
    expect(await kern.getSession({ sessionId: 'old talk' })).toBeNull()
    expect(await kern.getSession({ sessionId: 'old own' })).toMatchObject({ runCount: 1 })
    await database.db.execute(sql`update kern.runs set completed_at = now() - interval '91 days'`)
    clock.elapse(EVERY_MS)
    await clock.asked(EVERY_MS)
    expect(await kern.getSession({ sessionId: 'old own' })).toBeNull()
  })

  test('without a rule nothing is deleted', async () => {
    const database = await open()
    const kern = await startKern(database, [talk])
    const { runId } = await kern.run('talk', {})
    await age(database.db, [runId], 10_000)
    await kern.close()
    const clock = createTestClock(systemClock, { hold: (ms) => ms === EVERY_MS })
    const later = await startKern(database, [talk], { clock: { ...clock, idle: clock.sleep } })
    await later.idle()
    expect(await later.getRun(runId)).toMatchObject({ runId })
    expect(clock.held).toEqual([])
  })

  if (name === 'PGlite') return

  test('rows are found by indexes, not by reading whole tables', async () => {
    const { db } = await open()
    await fill(db, 20_000)
    await db.execute(sql`analyze`)
    const [before, after] = await db.transaction(async (tx) => {
      // What the connection has done before, and not told the server's statistics yet, is counted too.
      const scans = () =>
        rows<{ readonly relname: string; readonly seq: number; readonly idx: number }>(
          tx,
          sql`select relname, coalesce(seq_scan, 0)::int as seq, coalesce(idx_scan, 0)::int as idx
            from pg_stat_xact_user_tables where schemaname = 'kern'
              and relname in ('runs', 'sessions', 'run_payloads', 'run_events', 'step_results') order by 1`,
        )
      const first = await scans()
      // A transaction is a database too: one inside it is a savepoint.
      await pruneBatch(tx, old('w1'))
      return [first, await scans()] as const
    })
    expect(after.map(({ relname }) => relname)).toEqual(before.map(({ relname }) => relname))
    for (const [index, { seq, idx }] of after.entries()) {
      expect(seq).toBe(before[index]?.seq)
      expect(idx).toBeGreaterThan(before[index]?.idx ?? 0)
    }
    const plan = await rows<{ 'QUERY PLAN': string }>(
      db,
      sql`explain select run_id, session_id from kern.runs where workflow_id = 'w1' and completed_at < now() order by completed_at limit 100`,
    )
    expect(plan.map((line) => line['QUERY PLAN']).join('\n')).toMatch(/Index Scan using runs_by_workflow_end/)
  })

  test('one process at a time deletes, and none waits for rows that others hold', async () => {
    const database = await open()
    const { db } = database
    const kern = await startKern(database, [talk])
    const busy = await kern.run('talk', { sessionId: 'busy' })
    const free = await kern.run('talk', { sessionId: 'free' })
    await age(db, [busy.runId, free.runId], 31)
    const held = createGate()
    const holder = db.transaction(async (tx) => {
      await tx.execute(sql`select from kern.sessions where session_id = 'busy' for update`)
      await held.pass()
    })
    await held.reached
    expect(await pruneBatch(db, old())).toEqual({ runs: 1, sessions: 1, more: false })
    held.open()
    await holder
    const deleting = createGate()
    const other = db.transaction(async (tx) => {
      await pruneBatch(tx, old('another'))
      await deleting.pass()
    })
    await deleting.reached
    expect(await pruneBatch(db, old())).toEqual({ runs: 0, sessions: 0, more: false })
    deleting.open()
    await other
    expect(await pruneBatch(db, old())).toEqual({ runs: 1, sessions: 1, more: false })
  })

  test('runs that are accepted meanwhile in a session that empties are kept', async () => {
    const database = await open()
    const kern = await startKern(database, [talk])
    for (let round = 0; round < 10; round++) {
      const sessionId = `s${round}`
      const { runId } = await kern.run('talk', { sessionId })
      await age(database.db, [runId], 31)
      const [next] = await Promise.all([kern.run('talk', { sessionId }), pruneBatch(database.db, old())])
      expect(next.status).toBe('COMPLETED')
      expect(await kern.getSession({ sessionId })).toMatchObject({ lastRunId: next.runId, activeRunId: null })
    }
    await expect
      .poll(() => pruneBatch(database.db, old()).then(() => countOldRuns(database.db, old())), PATIENCE)
      .toBe(0)
  })
})
