import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { systemClock } from '../../src/clock.ts'
import { type Database, type Db, rows } from '../../src/db/client.ts'
import { databaseCode } from '../../src/db/errors.ts'
import type { RunRequest } from '../../src/engine/api.ts'
import type { CommandDeps } from '../../src/engine/commands/commandDeps.ts'
import { newRun } from '../../src/engine/commands/runCommand.ts'
import { newId } from '../../src/ids.ts'
import { step, Workflow } from '../../src/index.ts'
import { canonicalText, DEFAULT_LIMITS, type Json, jsonText } from '../../src/json.ts'
import { createCommandStore } from '../../src/store/commandStore.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { enterWorkflows } from '../../src/store/workflows.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { onEachDatabase } from '../support/databases.ts'
import { recorded, startKern } from '../support/kerns.ts'

const echo = new Workflow({
  name: 'Echo "it"',
  id: 'echo',
  initialState: { count: 0 },
  steps: [step('say', ({ input }) => input ?? null)],
})

/** What a run is started with, by what is special about it. */
const REQUESTS: readonly (readonly [string, Omit<RunRequest, 'workflowId' | 'sessionId'>])[] = [
  ['nothing', {}],
  ['text', { input: 'Hello, "world"\n' }],
  ['blank text', { input: ' \u00a0\u2028\ufeff ' }],
  ['JSON null', { input: null, metadata: null }],
  ['long text', { input: '😀'.repeat(257) }],
  ['text that just fits', { input: '😀'.repeat(256) }],
  ['a long object', { input: { text: 'x'.repeat(400), list: [1, 2.5, 1e21, 1e-7] } }],
  ['negative zero', { input: { a: [-0] } }],
  ['odd keys', { input: { b: 1, '2': 2, '10': 3, '': 4, é: 5 }, idempotencyKey: 'a key' }],
  [
    'all there is',
    {
      input: { q: 1 },
      userId: 'ann',
      idempotencyKey: 'k',
      sessionState: { count: 2, more: [] },
      metadata: { from: ['SQL'] },
      tags: ['b', 'a', 'b', 'with "quotes", {braces} and \\'],
    },
  ],
]

/** Calls the function as a client of another language would. */
async function startedInSql(db: Db, { workflowId, sessionId, ...given }: RunRequest): Promise<string> {
  const json = (value: Json | undefined) => (value === undefined ? null : jsonText(value))
  const [row] = await rows<{ readonly id: string }>(
    db,
    sql`select kern.run_workflow(${workflowId}, ${json(given.input)}::text::json, session_id => ${sessionId ?? null},
      user_id => ${given.userId ?? null}, idempotency_key => ${given.idempotencyKey ?? null},
      state => ${json(given.sessionState)}::text::json, metadata => ${json(given.metadata)}::text::json,
      tags => array(select json_array_elements_text(${jsonText(given.tags ?? [])}::text::json))) as id`,
  )
  if (!row) throw new Error('the function gave nothing')
  return row.id
}

/** Accepts a run as the library does, where nobody executes it. */
async function startedByLibrary(db: Db, request: RunRequest): Promise<string> {
  const deps = { limits: DEFAULT_LIMITS, newId, clock: systemClock, readerFor: createReaderFor(db) }
  // `as`: no more of them is used to make a run of a request.
  const run = await newRun(deps as unknown as CommandDeps, SYSTEM_VIEWER, request, echo.definition)
  const outcome = await createCommandStore(db).accept(run)
  if (outcome.type !== 'accepted') throw new Error(`the run was not accepted: ${outcome.type}`)
  return run.runId
}

/** All columns of all rows that belong to a session, without ids and times, which differ. */
async function rowsOf(db: Db, sessionId: string): Promise<string[]> {
  const found = await rows<{ readonly line: string }>(
    db,
    sql`select 'session ' || row_to_json(s)::text as line from kern.sessions s where session_id = ${sessionId}
      union all select 'run ' || row_to_json(r)::text from kern.runs r where session_id = ${sessionId}
      union all select 'payload ' || row_to_json(p)::text from kern.run_payloads p join kern.runs r using (run_id) where session_id = ${sessionId}
      union all select 'events ' || row_to_json(e)::text from kern.run_events e join kern.runs r using (run_id) where session_id = ${sessionId}`,
  )
  const plain = (line: string) =>
    line
      .replaceAll(/"[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}"/g, '"id"')
      .replaceAll(/"2\d{3}-\d\d-\d\dT[^"]*"/g, '"time"')
      .replaceAll(/"RUN_QUEUED",\d{13},/g, '"RUN_QUEUED",ms,')
  return found.map(({ line }) => plain(line)).sort()
}

const anyJson = fc
  .jsonValue({ stringUnit: 'grapheme' })
  .filter((value) => !/\\u0000|"__proto__"/.test(JSON.stringify(value)))

/** How Postgres writes values in JSON. */
async function texts(db: Db, values: readonly string[], style: string): Promise<string[]> {
  const found = await rows<{ readonly text: string }>(
    db,
    sql`select kern.json_text(v.item, ${style !== 'stored'}, ${style === 'sorted'}) as text
      from json_array_elements(${`[${values.join(',')}]`}::text::json) with ordinality v(item, place) order by place`,
  )
  return found.map(({ text }) => text)
}

/** The SQLSTATE and the message that a statement is refused with. */
async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (thrown: unknown) => thrown,
  )
  const last = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return `${databaseCode(error)} ${last instanceof Error ? last.message : ''}`
}

onEachDatabase((name, open) => {
  async function served(): Promise<Database> {
    const database = await open()
    await enterWorkflows(database.db, [echo.definition])
    return database
  }

  test('a run that is started in SQL has the rows of one that the library accepts, column by column', async () => {
    const { db } = await served()
    for (const [special, given] of REQUESTS) {
      const request = { ...given, workflowId: 'echo', sessionId: `with ${special}` }
      await startedByLibrary(db, request)
      await startedByLibrary(db, { ...request, idempotencyKey: 'second' })
      const expected = await rowsOf(db, request.sessionId)
      await db.execute(sql`delete from kern.sessions`)
      await startedInSql(db, request)
      await startedInSql(db, { ...request, idempotencyKey: 'second' })
      expect(await rowsOf(db, request.sessionId), special).toEqual(expected)
      expect(expected).toHaveLength(7)
      await db.execute(sql`delete from kern.sessions`)
    }
  })

  test('JSON is written in SQL as in JavaScript, to be stored, shown and compared', async () => {
    const { db } = await served()
    // `as`: jsonValue() is typed as unknown, and makes JSON only.
    const values = fc.sample(anyJson, { numRuns: 2_000, seed: 7 }) as Json[]
    const given = values.map((value) => JSON.stringify(value))
    expect(await texts(db, values.map(jsonText), 'stored')).toEqual(values.map(jsonText))
    expect(await texts(db, values.map(jsonText), 'shown')).toEqual(given)
    expect(await texts(db, given, 'sorted')).toEqual(values.map(canonicalText))
    const odd = [
      '{"a":1,"b":2,"a":3}',
      ' [ 1.0, 1E2, 10000000000000000000000, 0.0000001, 12e-1 ] ',
      '-0.0',
      '"\\u0041"',
    ]
    expect(await texts(db, odd, 'stored')).toEqual(['{"a":3,"b":2}', '[1,100,1e+22,1e-7,1.2]', '-0', '"A"'])
  })

  test('ids that are made in SQL are UUIDs of version 7 in the order of their times', async () => {
    const { db } = await served()
    const found = await rows<{ readonly id: string }>(
      db,
      sql`select kern.new_id('2026-11-22 12:00:00Z'::timestamptz + make_interval(secs => n / 1000000.0)) as id
        from generate_series(1, 3000) n order by n`,
    )
    const ids = found.map(({ id }) => id)
    for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    expect(ids).toEqual([...ids].sort())
    expect(new Set(ids)).toHaveLength(3_000)
    expect(Number.parseInt(ids[0]?.replace('-', '').slice(0, 12) ?? '', 16)).toBe(Date.UTC(2026, 10, 22, 12))
  })

  test('a run that is started in SQL is executed', async () => {
    const database = await open()
    const kern = await startKern(database, [echo])
    const runId = await startedInSql(database.db, { workflowId: 'echo', input: { a: [1, 'é'] }, sessionId: 's' })
    expect(await kern.waitForRun(runId)).toMatchObject({ status: 'COMPLETED', output: { a: [1, 'é'] }, number: 1 })
    const { events } = await recorded(kern, runId)
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index + 1))
  })

  test('an input that does not fit the schema fails its run', async () => {
    const database = await open()
    const strict = new Workflow({ name: 'strict', input: z.object({ n: z.number() }), steps: [step('n', () => 1)] })
    const kern = await startKern(database, [strict])
    const runId = await startedInSql(database.db, { workflowId: 'strict', input: { n: 'one' } })
    expect(await kern.waitForRun(runId)).toMatchObject({ status: 'FAILED', error: { code: 'INPUT_INVALID' } })
  })

  test('the same key gives the same run, whoever used it first', async () => {
    const { db } = await served()
    const request = {
      workflowId: 'echo',
      input: { b: [1, { d: 1, c: 2 }], a: 'é' },
      sessionId: 's',
      idempotencyKey: 'k',
    }
    const first = await startedByLibrary(db, request)
    expect(await startedInSql(db, { ...request, input: { a: 'é', b: [1, { c: 2, d: 1 }] } })).toBe(first)
    expect(await refusal(startedInSql(db, { ...request, input: 'another' }))).toBe(
      `KN409 idempotency_key "k" was used before, for run ${first}, with another workflow, input or session`,
    )
    // Of another owner it is another key.
    expect(await startedInSql(db, { ...request, sessionId: 'other', userId: 'ann' })).not.toBe(first)
  })

  test('the newest definition that was entered is the one of the run, with its priority', async () => {
    const { db } = await served()
    await db.execute(sql`insert into kern.workflows (workflow_id, version, name, data, initial_state, priority, registered_at)
      values ('echo', 'newer', 'Newer', '{}', '{}', 7, now() + interval '1 second'), ('echo', 'older', 'Older', '{}', '{}', 3, now() - interval '1 day')`)
    await startedInSql(db, { workflowId: 'echo', sessionId: 's' })
    await db.execute(sql`select kern.run_workflow('echo', session_id => 's', priority => -5)`)
    const found = await rows(db, sql`select workflow_version, workflow_name, priority from kern.runs order by number`)
    expect(found).toEqual([
      { workflow_version: 'newer', workflow_name: 'Newer', priority: 7 },
      { workflow_version: 'newer', workflow_name: 'Newer', priority: -5 },
    ])
  })

  test('what cannot be started is refused with a state and words that help, and leaves nothing', async () => {
    const { db } = await served()
    await enterWorkflows(db, [new Workflow({ name: 'other', steps: [step('x', () => 1)] }).definition])
    await startedInSql(db, { workflowId: 'other', sessionId: "other's" })
    await startedInSql(db, { workflowId: 'echo', sessionId: "ann's", userId: 'ann' })
    const call = (text: string) => refusal(db.execute(sql.raw(`select kern.run_workflow(${text})`)))
    const before = await rows(db, sql`select count(*)::int as n from kern.sessions`)
    expect(await call(`'ecko'`)).toBe(
      `KN404 no workflow "ecko" was ever served from this database: there are ["echo", "other"]`,
    )
    expect(await call(`'echo', session_id => 'other''s'`)).toBe(
      `KN409 session "other's" belongs to workflow "other": give another session_id`,
    )
    expect(await call(`'echo', session_id => 'ann''s', user_id => 'bob'`)).toBe(
      `KN409 session "ann's" belongs to user "ann": give another session_id`,
    )
    const text = 'allowed is text of 1 to'
    expect(await call(`'echo', session_id => ''`)).toBe(
      `KN400 session_id is "": ${text} 200 characters without control characters`,
    )
    expect(await call(`'echo', session_id => E'a\\u0085'`)).toContain('KN400 session_id')
    expect(await call(`'echo', idempotency_key => repeat('x', 201)`)).toContain('KN400 idempotency_key')
    expect(await call(`'echo', user_id => E'\\t'`)).toContain('KN400 user_id')
    expect(await call(`'echo', tags => array['']`)).toContain('KN400 tags')
    expect(await call(`'echo', tags => array[null]`)).toContain('KN400 tags')
    expect(await call(`'echo', tags => (select array_agg(n::text) from generate_series(1, 51) n)`)).toContain(
      'KN400 tags has 51',
    )
    expect(await call(`'echo', state => '[1]'`)).toBe('KN400 state is [1]: allowed is a JSON object')
    expect(await call(`'echo', priority => 101`)).toBe(
      'KN400 priority is 101: allowed is a whole number from -100 to 100',
    )
    expect(await rows(db, sql`select count(*)::int as n from kern.sessions`)).toEqual(before)
  })

  test('a transaction that is rolled back leaves neither the run nor its session', async () => {
    const { db } = await served()
    const left = db.transaction(async (tx) => {
      await startedInSql(tx, { workflowId: 'echo', sessionId: 's', input: 1 })
      expect(await rowsOf(tx, 's')).toHaveLength(4)
      throw new Error('no')
    })
    await expect(left).rejects.toThrow('no')
    expect(await rowsOf(db, 's')).toEqual([])
    expect(await rows(db, sql`select run_id from kern.run_events`)).toEqual([])
  })

  test.runIf(name === 'Postgres')('a key that two transactions use at once starts one run', async () => {
    const { db } = await served()
    const request = { workflowId: 'echo', input: 1, idempotencyKey: 'k' }
    const accepted = Promise.withResolvers<string>()
    const go = Promise.withResolvers<void>()
    const first = db.transaction(async (tx) => {
      accepted.resolve(await startedInSql(tx, request))
      await go.promise
    })
    const runId = await accepted.promise
    const second = startedInSql(db, request)
    await expect
      .poll(() =>
        rows(db, sql`select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`),
      )
      .toHaveLength(1)
    go.resolve()
    await first
    expect(await second).toBe(runId)
    // The session that the second one had made for its run is not left behind.
    expect(await rows(db, sql`select count(*)::int as n from kern.sessions`)).toEqual([{ n: 1 }])
  })

  test.runIf(name === 'Postgres')(
    'runs that transactions start in one session at once have numbers without gaps',
    async () => {
      const { db } = await served()
      const starts = Array.from({ length: 20 }, () => startedInSql(db, { workflowId: 'echo', sessionId: 's' }))
      const ids = await Promise.all(starts)
      const found = await rows<{ run_id: string; number: number }>(
        db,
        sql`select run_id, number from kern.runs order by number`,
      )
      expect(found.map(({ number }) => number)).toEqual(Array.from({ length: 20 }, (_item, index) => index + 1))
      expect(found.map(({ run_id }) => run_id).sort()).toEqual([...ids].sort())
      const active = await rows(db, sql`select active_run_id, run_count from kern.sessions`)
      expect(active).toEqual([{ active_run_id: found[0]?.run_id, run_count: 20 }])
    },
  )
})
