import { sql } from 'drizzle-orm'
import connect from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { createOwnership } from '../../src/dispatch/ownership.ts'
import type { PageRequest, Reader } from '../../src/engine/reader.ts'
import { newId } from '../../src/ids.ts'
import { createCommandStore } from '../../src/store/commandStore.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { insertSteps } from '../../src/store/stepRows.ts'
import { takenRun } from '../../src/store/takenRun.ts'
import { giveLostTurns } from '../../src/store/turns.ts'
import { wakeDue } from '../../src/store/wake.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { freshPostgres } from '../support/databases.ts'
import { answerOf, newRun, still, waitingStepOf } from '../support/parts.ts'
import { type Statement, watchStatements } from '../support/statements.ts'

/** So many that a planner who may choose would not read a table from end to end for a page of it. */
const ROWS = 20_000

/** The id of the n-th run. */
const idOf = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`

const FILL = [
  sql.raw(`
    insert into kern.sessions (session_id, workflow_id, workflow_name, user_id, display_name, state, workflow_version,
      tags, run_count, active_run_id, created_at, updated_at)
    select 's' || n, 'w' || n % 20, 'W', 'u' || n % 500, 'Session ' || n, '{}', 'v', array['t' || n % 200], 1,
      case when n % 1000 = 0 then ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid end,
      now() - make_interval(secs => n), now() - make_interval(secs => n / 2)
    from generate_series(1, ${ROWS}) n`),
  // Every 1000th is active, and every second of those waits; the first 2,000 are all of one session.
  sql.raw(`
    insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, user_id, status,
      input_preview, history_run_ids, tags, retry_of, idempotency_key, created_at, completed_at, duration_ms, wake_at)
    select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
      case when n <= 2000 then 's1' else 's' || n end, n, 'w' || n % 20, 'W', 'v', 'u' || n % 500,
      case when n % 2000 = 0 then 'PAUSED' when n % 1000 = 0 then 'RUNNING' when n % 100 = 0 then 'FAILED' else 'COMPLETED' end,
      'in', '{}', array['t' || n % 200],
      case when n % 50 = 0 then ('00000000-0000-7000-8000-' || lpad((n - 1)::text, 12, '0'))::uuid end,
      case when n % 10 = 0 then 'k' || n end, now() - make_interval(secs => n),
      case when n % 1000 = 0 then null else now() - make_interval(secs => n) end,
      case when n % 1000 = 0 then null else n end, case when n % 2000 = 0 then now() + make_interval(secs => n) end
    from generate_series(1, ${ROWS}) n`),
  sql.raw(`insert into kern.run_payloads (run_id, input, output) select run_id, '1', '1' from kern.runs`),
  sql.raw(`
    insert into kern.run_events (run_id, seq, events)
    select run_id, seq, '[["LOG",1700000000000,null,null]]' from kern.runs cross join generate_series(1, 3) seq`),
  sql.raw('analyze'),
]

const ownershipOn = (db: Database['db']) =>
  createOwnership({ db, workerId: newId(), host: 'test', pid: 1, exclusive: false })

const PAGE: PageRequest = { limit: 10, fromEnd: false, after: null, before: null }
const NEWEST = { field: 'CREATED_AT', direction: 'DESC' } as const

/** What is read while many others have rows too, by what it is called in the titles. */
const READS: readonly (readonly [string, (reader: Reader) => Promise<unknown>])[] = [
  ['the sessions last updated', (r) => r.sessionPage({}, { field: 'UPDATED_AT', direction: 'DESC' }, PAGE)],
  ['the newest sessions', (r) => r.sessionPage({}, NEWEST, PAGE)],
  ['sessions by name', (r) => r.sessionPage({}, { field: 'NAME', direction: 'ASC' }, PAGE)],
  ['sessions of a workflow', (r) => r.sessionPage({ workflowId: 'w3' }, { ...NEWEST, field: 'UPDATED_AT' }, PAGE)],
  ['sessions of a user', (r) => r.sessionPage({ userId: 'u3' }, { ...NEWEST, field: 'UPDATED_AT' }, PAGE)],
  ['sessions with a tag', (r) => r.sessionPage({ tags: ['t3'] }, NEWEST, PAGE)],
  ['a session', (r) => r.sessions(['s3', 's4'])],
  ['the newest runs of all', (r) => r.runPage({}, NEWEST, PAGE)],
  ['the longest runs', (r) => r.runPage({}, { field: 'DURATION', direction: 'DESC' }, PAGE)],
  ['the newest runs of a session', (r) => r.runPage({ sessionId: 's1' }, NEWEST, PAGE)],
  ['the newest runs of some sessions', (r) => r.runPagesOfSessions(['s1', 's3000', 's4000'], {}, NEWEST, PAGE)],
  ['the newest runs of a workflow', (r) => r.runPage({ workflowId: 'w3' }, NEWEST, PAGE)],
  ['runs by status', (r) => r.runPage({ statuses: ['RUNNING', 'QUEUED'] }, NEWEST, PAGE)],
  ['runs with a tag', (r) => r.runPage({ tags: ['t3'] }, NEWEST, PAGE)],
  ['runs made from another', (r) => r.runPage({ retryOf: idOf(49) }, NEWEST, PAGE)],
  ['the runs made from some', (r) => r.retries([idOf(49), idOf(99)])],
  ['how many runs sessions have', (r) => r.runCountsOfSessions(['s3000', 's4000'], {})],
  ['runs', (r) => r.runs([idOf(3), idOf(4)])],
  ['the places of queued runs', (r) => r.queuePositions([idOf(3000), idOf(4000)])],
  ['the values of runs', (r) => r.payloads([idOf(3), idOf(4)])],
  ['the steps of a run', (r) => r.steps([idOf(3)])],
  ['the events of a run', (r) => r.events(idOf(3), { afterSeq: 1, limit: 200, types: null })],
  [
    'the events of a session',
    (r) => r.sessionEvents('s1', { number: 1_900, seq: 1, queued: 1_950 }, { limit: 200, types: null }),
  ],
  ['how far some runs have come', (r) => r.lastSeqs([idOf(3), idOf(4)])],
  ['whether there is something new in some sessions', (r) => r.sessionMarks(['s3', 's1000'])],
  ['the live runs of a session', (r) => r.liveRuns({ sessionId: 's1' }, new Date())],
  ['the live runs of all', (r) => r.liveRuns({}, new Date())],
  ['the history of a session', (r) => r.completedRuns('s1', 1_900, 3)],
  ['the live runs of a workflow', (r) => r.liveRuns({ workflowId: 'w0' }, new Date())],
]

describe('on Postgres with many rows', () => {
  let database: Database
  let plain: connect.Sql
  beforeAll(async () => {
    const url = await freshPostgres()
    database = await openDatabase(url)
    for (const statement of FILL) await database.db.execute(statement)
    const [current] = await rows<{ name: string }>(database.db, sql`select current_database() as name`)
    const own = new URL(inject('postgres').url)
    own.pathname = `/${current?.name}`
    plain = connect(own.href, { max: 1, onnotice: () => {} })
  })
  afterAll(async () => {
    await plain.end({ timeout: 5 })
    await database.close()
  })

  /** How Postgres executes the statements of some work, each with the values that it was sent with. */
  async function plansOf(work: () => Promise<unknown>): Promise<string[]> {
    const statements: Statement[] = []
    const unwatch = watchStatements(database, (statement) => statements.push(statement))
    await work().finally(unwatch)
    const plans: string[] = []
    for (const { text, values } of statements) {
      // `as`: the values come from Drizzle, in the form in which its own driver hands them to this one.
      const lines = await plain.unsafe<{ 'QUERY PLAN': string }[]>(`explain ${text}`, values as string[])
      plans.push(lines.map((line) => line['QUERY PLAN']).join('\n'))
    }
    return plans
  }

  async function expectIndexes(work: () => Promise<unknown>): Promise<void> {
    const plans = await plansOf(work)
    expect(plans).not.toEqual([])
    for (const plan of plans) expect(plan).not.toMatch(/Seq Scan on (runs|sessions|run_events|run_payloads)\b/)
  }

  test.each(READS)('%s are found by an index', async (_title, read) => {
    const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
    await expectIndexes(() => read(reader))
  })

  test('what is asked most reads the rows that it gives, and not all others of its workflow or session too', async () => {
    const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
    const asked: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['sessions_turn_due', () => giveLostTurns(database.db)],
      ['runs_by_wake', () => wakeDue(database.db, new Date())],
      ['runs_by_workflow_end', () => reader.liveRuns({ workflowId: 'w0' }, new Date())],
      ['runs_by_number', () => reader.runPage({ sessionId: 's1' }, NEWEST, PAGE)],
      ['runs_by_number', () => reader.completedRuns('s1', 1_900, 3)],
      ['runs_unfinished', () => reader.runPage({ statuses: ['RUNNING'] }, NEWEST, PAGE)],
      ['sessions_by_updated', () => reader.sessionPage({}, { field: 'UPDATED_AT', direction: 'DESC' }, PAGE)],
    ]
    for (const [index, work] of asked) {
      for (const plan of await plansOf(work)) expect(plan).toContain(index)
    }
  })

  test('the newest 20 runs of a session are read in the order of its index, and no others are', async () => {
    const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
    const [plan = '', ...others] = await plansOf(() =>
      reader.runPage({ sessionId: 's1' }, NEWEST, { ...PAGE, limit: 20 }),
    )
    expect(others).toEqual([])
    expect(plan).toMatch(/Limit[\s\S]*Index Scan Backward using runs_by_number/)
    expect(plan).not.toMatch(/Sort|Seq Scan on runs/)
  })

  test('a page in the middle of a list is found by an index', async () => {
    const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
    const order = { field: 'UPDATED_AT', direction: 'DESC' } as const
    const cursorOf = (items: readonly { readonly cursor: string }[]) => items.at(-1)?.cursor ?? null
    const sessions = await reader.sessionPage({}, order, { ...PAGE, limit: 500 })
    await expectIndexes(() => reader.sessionPage({}, order, { ...PAGE, after: cursorOf(sessions.items) }))
    const ofSession = await reader.runPage({ sessionId: 's1' }, NEWEST, { ...PAGE, limit: 500 })
    await expectIndexes(() =>
      reader.runPage({ sessionId: 's1' }, NEWEST, { ...PAGE, after: cursorOf(ofSession.items) }),
    )
  })

  test('what a worker looks for again and again is found by an index', async () => {
    const { db } = database
    const ownership = ownershipOn(db)
    await expectIndexes(() => giveLostTurns(db))
    // The first of those that wait, and no other.
    await expectIndexes(() => wakeDue(db, new Date(Date.now() + 2_500_000)))
    await expectIndexes(() => ownership.waiting(['w0', 'w10'], 100))
    await expectIndexes(() => ownership.requests())
    await expectIndexes(() => ownership.claim(idOf(3), ['w0', 'w10'], new Date()))
    await expectIndexes(() => takenRun(db, createReaderFor(db)(SYSTEM_VIEWER), { runId: idOf(1000), owner: newId() }))
  })

  test('what a run is accepted, answered and cancelled by is found by an index', async () => {
    const store = createCommandStore(database.db)
    const key = { idempotencyKey: 'k30', requestHash: 'h', userId: 'u30' }
    await expectIndexes(() => store.accept(newRun(still, key)))
    await expectIndexes(() => store.accept(newRun(still, { sessionId: 's1', onBusy: 'INTERRUPT' })))
    const [run] = await createReaderFor(database.db)(SYSTEM_VIEWER).runs([idOf(4000)])
    if (!run) throw new Error('there is no run to answer')
    await database.db.execute(insertSteps([waitingStepOf(run, 'one')]))
    await expectIndexes(async () => {
      expect(await store.answer(answerOf(run, 'one'))).toMatchObject({ type: 'answered', parked: true })
    })
    await expectIndexes(() => store.cancel(idOf(5000), null, new Date()))
    await expectIndexes(() => store.deleteSession('s2'))
  })
})
