import { eq, sql } from 'drizzle-orm'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { postgres } from '../../src/config.ts'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { runEvents, runs, sessions } from '../../src/db/tables.ts'
import { newId } from '../../src/ids.ts'
import { onEachDatabase } from '../support/databases.ts'

function session(sessionId: string): typeof sessions.$inferInsert {
  const at = new Date('2026-01-02T03:04:05.678Z')
  const texts = { state: '{}', workflowVersion: 'v', displayName: 'one' }
  return { sessionId, workflowId: 'w', workflowName: 'W', ...texts, tags: [], createdAt: at, updatedAt: at }
}

function run(runId: string, sessionId: string, number: number): typeof runs.$inferInsert {
  const names = { workflowId: 'w', workflowName: 'W', workflowVersion: 'v' }
  const lists = { tags: [], historyRunIds: [] }
  const at = new Date('2026-01-02T03:04:05.678Z')
  return { runId, sessionId, number, ...names, ...lists, status: 'QUEUED', inputPreview: '', createdAt: at }
}

/** Text that Postgres can store: well-formed, without NUL. */
const storable = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed() && !text.includes('\0'))

/** JSON text in all the ways that it can be written, not only those of JSON.stringify. */
const jsonText = fc.oneof(
  fc.constantFrom(
    '"10.5"',
    '10.5',
    'null',
    '"null"',
    '-0',
    '-0.0',
    '12345678901234567890',
    '1e400',
    '1.10',
    '{"b":1,"a":2,"b":3}',
    ' [ 1 , 2 ]\n',
    '"\\u0000\\ud800"',
    '"\\/"',
    '""',
    '"{\\"a\\":1}"',
    '"{1,2}"',
    'true',
  ),
  fc.json(),
  fc.jsonValue().map((value) => JSON.stringify(value, null, 2)),
  storable.map((text) => JSON.stringify(text)),
)

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  test('gives JSON text back as it was written, from a column and in a raw statement', async () => {
    const { db } = database
    await db.insert(sessions).values(session('json'))
    await fc.assert(
      fc.asyncProperty(jsonText, async (text) => {
        const change = { state: text, metadata: text }
        const [updated] = await db.update(sessions).set(change).where(eq(sessions.sessionId, 'json')).returning()
        const [read] = await db.select().from(sessions).where(eq(sessions.sessionId, 'json'))
        const [raw] = await rows(
          db,
          sql`select ${text}::json as given, state from kern.sessions where session_id = 'json'`,
        )
        expect([updated?.state, read?.metadata, raw]).toEqual([text, text, { given: text, state: text }])
      }),
      { numRuns: 150 },
    )
  })

  test('gives times back to the millisecond', async () => {
    const { db } = database
    await db.insert(sessions).values(session('times'))
    const time = fc.date({
      min: new Date('1000-01-01T00:00:00Z'),
      max: new Date('9999-12-31T23:59:59.999Z'),
      noInvalidDate: true,
    })
    await fc.assert(
      fc.asyncProperty(time, async (createdAt) => {
        await db.update(sessions).set({ createdAt }).where(eq(sessions.sessionId, 'times'))
        const [read] = await db.select().from(sessions).where(eq(sessions.createdAt, createdAt))
        expect(read?.createdAt).toEqual(createdAt)
      }),
      { numRuns: 50 },
    )
  })

  test('takes a time as a parameter of a raw statement', async () => {
    const at = new Date('2026-01-02T03:04:05.678Z')
    const [row] = await rows<{ at: string }>(database.db, sql`select ${at}::timestamptz as at`)
    expect(new Date(row?.at ?? '')).toEqual(at)
  })

  test('gives lists of text and of ids back as they were', async () => {
    const { db } = database
    await db.insert(sessions).values(session('lists'))
    const runId = newId()
    await db.insert(runs).values(run(runId, 'lists', 1))
    const awkward = fc.constantFrom(
      '',
      'NULL',
      'null',
      '{}',
      '{a,b}',
      '"',
      '\\',
      '\\"',
      ',',
      ' ',
      "'",
      'ä\n\t',
      '[0:1]={}',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(awkward, storable), { maxLength: 5 }),
        fc.array(fc.uuid(), { maxLength: 5 }),
        async (tags, historyRunIds) => {
          await db.update(runs).set({ tags, historyRunIds }).where(eq(runs.runId, runId))
          const [read] = await db.select().from(runs).where(eq(runs.runId, runId))
          expect([read?.tags, read?.historyRunIds]).toEqual([tags, historyRunIds])
          const parameter = sql`select ${sql.param(tags)}::text[] as tags, ${sql.param(historyRunIds)}::uuid[] as ids`
          expect(await rows(db, parameter)).toEqual([{ tags, ids: historyRunIds }])
        },
      ),
      { numRuns: 100 },
    )
  })

  test('gives lists of numbers, truth values and nulls back as they were', async () => {
    const lists = {
      numbers: [1, -2, null, 3],
      halves: [0.5, 1e300],
      truths: [true, false, null],
      texts: ['NULL', null, ''],
    }
    const { numbers, halves, truths, texts } = lists
    const query = sql`select ${sql.param(numbers)}::int[] as numbers, ${sql.param(halves)}::float8[] as halves,
      ${sql.param(truths)}::bool[] as truths, ${sql.param(texts)}::text[] as texts, '{}'::text[] as none`
    expect(await rows(database.db, query)).toEqual([{ ...lists, none: [] }])
  })

  test('reads a session with its runs and their events in one query, also in a transaction', async () => {
    const { db } = database
    const ids = [newId(), newId()] as const
    await db.insert(sessions).values({ ...session('nested'), state: '{"b":-0,"a":12345678901234567890}' })
    await db
      .insert(runs)
      .values([run(ids[0], 'nested', 1), { ...run(ids[1], 'nested', 2), metadata: '"10.5"', tags: ['a,"b"'] }])
    await db.insert(runEvents).values({ runId: ids[1], seq: 1, events: '[["RUN_QUEUED", 1,null,null,{"z":1,"a":-0}]]' })

    const query = {
      where: { sessionId: 'nested' },
      with: { runs: { orderBy: { number: 'desc' }, with: { events: true } } },
    } as const
    const found = await db.query.sessions.findFirst(query)
    expect(found?.state).toBe('{"b":-0,"a":12345678901234567890}')
    expect(found?.runs.map(({ number }) => number)).toEqual([2, 1])
    const [second] = found?.runs ?? []
    expect(second).toMatchObject({ runId: ids[1], metadata: '"10.5"', tags: ['a,"b"'] })
    expect(second?.events).toEqual([{ runId: ids[1], seq: 1, events: '[["RUN_QUEUED", 1,null,null,{"z":1,"a":-0}]]' }])
    expect(await db.transaction((tx) => tx.query.sessions.findFirst(query))).toEqual(found)

    const upwards = await db.query.runs.findFirst({
      where: { runId: ids[0] },
      with: { session: true, payload: true, steps: true },
    })
    expect(upwards).toMatchObject({ session: { sessionId: 'nested' }, payload: null, steps: [] })
  })

  test('says where it is', () => {
    expect(database.describe()).toMatch(
      database.kind === 'pglite' ? /in memory/ : /^Postgres at .*, database kern_test_/,
    )
  })

  test('can be closed twice, and refuses statements afterwards', async () => {
    const closed = await open()
    await closed.close()
    await closed.close()
    await expect(rows(closed.db, sql`select 1`)).rejects.toThrow()
  })
})

describe('a Postgres URL with a password', () => {
  test('is described without it', async () => {
    await using database = await openDatabase(postgres('postgres://anna:secret@db.example:6543/kern'))
    expect(database.describe()).toBe('Postgres at db.example:6543, database kern, user anna')
  })
})
