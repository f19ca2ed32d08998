import { sql } from 'drizzle-orm'
import connect from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import type { Served } from '../../src/dispatch/claims.ts'
import { createOwnership } from '../../src/dispatch/ownership.ts'
import { newId } from '../../src/ids.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate } from '../support/kerns.ts'
import { createParts, newRun, still } from '../support/parts.ts'
import { type Statement, watchStatements } from '../support/statements.ts'

const SMALL = 500
const LARGE = 100_000

/** Makes queued runs of workflows `few` and `many`, each run with its turn in a session of its own. */
const fill = (workflowId: string, count: number) => [
  sql`insert into kern.sessions (session_id, workflow_id, workflow_name, display_name, state, workflow_version, tags, run_count,
      active_run_id, created_at, updated_at)
    select ${workflowId}::text || n, ${workflowId}::text, 'W', 'A session', '{}', 'v', '{}', 1,
      md5(${workflowId}::text || n)::uuid, now(), now() from generate_series(1, ${count}::int) n`,
  sql`insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status, priority,
      input_preview, history_run_ids, tags, created_at)
    select md5(${workflowId}::text || n)::uuid, ${workflowId}::text || n, 1, ${workflowId}::text, 'W', 'v', 'QUEUED', n % 7, '',
      '{}', '{}', now() from generate_series(1, ${count}::int) n`,
]

interface Node {
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
}

describe('with 100,000 runs that wait', () => {
  let database: Database
  let plain: connect.Sql
  beforeAll(async () => {
    database = await openDatabase(await freshPostgres())
    for (const statement of [...fill('few', SMALL), ...fill('many', LARGE), sql`analyze`]) {
      await database.dedicated((db) => db.execute(statement))
    }
    const [current] = await rows<{ name: string }>(database.db, sql`select current_database() as name`)
    const own = new URL(inject('postgres').url)
    own.pathname = `/${current?.name}`
    plain = connect(own.href, { max: 1, onnotice: () => {} })
  }, 120_000)
  afterAll(async () => {
    await plain.end({ timeout: 5 })
    await database.close()
  })

  const ownershipOf = (definitions: readonly Served[] = []) =>
    createOwnership({ db: database.db, workerId: newId(), host: 'test', pid: 1, exclusive: false, definitions })

  /** How many pages Postgres touches for the statements of some work, and how it goes about them. */
  async function costOf(work: () => Promise<unknown>): Promise<{ readonly pages: number; readonly plan: string }> {
    const statements: Statement[] = []
    const unwatch = watchStatements(database, (statement) => statements.push(statement))
    await work().finally(unwatch)
    let [pages, plan] = [0, '']
    for (const { text, values } of statements) {
      // `as`: the values come from Drizzle, in the form in which its own driver hands them to this one.
      const explained = await plain.unsafe<{ 'QUERY PLAN': readonly { readonly Plan: Node }[] }[]>(
        `explain (analyze, buffers, format json) ${text}`,
        values as string[],
      )
      for (const row of explained) {
        const [top] = row['QUERY PLAN']
        pages += (top?.Plan['Shared Hit Blocks'] ?? 0) + (top?.Plan['Shared Read Blocks'] ?? 0)
        plan += JSON.stringify(row['QUERY PLAN'])
      }
    }
    expect(statements).not.toEqual([])
    return { pages, plan }
  }

  test('a look for runs costs no more than with few, and reads them in order from the index', async () => {
    const ownership = ownershipOf()
    const few = await costOf(() => ownership.waiting(['few'], 16))
    const many = await costOf(() => ownership.waiting(['many'], 16))
    expect(many.pages).toBeLessThan(few.pages * 3)
    expect(many.plan).toContain('runs_waiting')
    expect(many.plan).not.toContain('"Node Type":"Seq Scan","Parent Relationship":"Outer","Relation Name":"runs"')
    const found = await ownership.waiting(['many'], 16)
    expect(found).toHaveLength(16)
  })

  test('a look passes over a workflow that is full, and costs no more for all of its runs that wait', async () => {
    const definitions = [
      { id: 'many', version: 'v', concurrency: 1 },
      { id: 'few', version: 'v', concurrency: null },
    ]
    const ownership = ownershipOf(definitions)
    await ownership.register()
    const [first = ''] = await ownership.waiting(['many'], 1)
    expect(await ownership.claim(first, ['many'], new Date())).toBe(true)
    expect(await ownership.waiting(['many', 'few'], 100)).toHaveLength(100)
    expect(await ownership.waiting(['many'], 100, [first])).toEqual([])
    const full = await costOf(() => ownership.waiting(['many', 'few'], 16))
    const alone = await costOf(() => ownershipOf().waiting(['few'], 16))
    expect(full.pages).toBeLessThan(alone.pages * 3)
    const [second = ''] = await ownershipOf().waiting(['many'], 1)
    expect(await ownership.claim(second, ['many'], new Date())).toBe(false)
    await ownership.release(first, 1)
    await ownership.leave()
  })

  test('to claim a run costs no more than with few', async () => {
    const ownership = ownershipOf()
    const [one = ''] = await ownership.waiting(['few'], 1)
    const [other = ''] = await ownership.waiting(['many'], 1)
    const few = await costOf(() => ownership.claim(one, ['few'], new Date()))
    const many = await costOf(() => ownership.claim(other, ['many'], new Date()))
    expect(many.pages).toBeLessThan(few.pages * 3)
    expect(many.plan).not.toContain('"Node Type":"Seq Scan","Parent Relationship":"Outer","Relation Name":"runs"')
  })

  test('runs whose owner is gone are found without looking at those of owners that live', async () => {
    const [living, gone] = [ownershipOf(), ownershipOf()]
    await living.register()
    const taken = await living.waiting(['many'], 256)
    for (const runId of taken.slice(1)) expect(await living.claim(runId, ['many'], new Date())).toBe(true)
    const [lost = ''] = taken
    expect(await gone.claim(lost, ['many'], new Date())).toBe(true)
    const looker = ownershipOf()
    const found = await looker.waiting([], 100)
    expect(found).toEqual([])
    expect(await looker.waiting(['many'], 4_096).then((all) => all.includes(lost))).toBe(true)
    const { plan } = await costOf(() => looker.waiting(['many'], 16))
    expect(plan).toContain('runs_by_owner')
    await living.leave()
    await gone.leave()
  }, 60_000)
})

describe('many workers', () => {
  test('that claim one run at once: one has it', async () => {
    await using database = await openDatabase(await freshPostgres())
    const { store, runOf } = createParts(database)
    const claimants = Array.from({ length: 50 }, () =>
      createOwnership({ db: database.db, workerId: newId(), host: 'test', pid: 1, exclusive: false }),
    )
    for (const claimant of claimants) await claimant.register()
    for (let round = 0; round < 20; round += 1) {
      const { runId } = newRun(still)
      await store.accept({ ...newRun(still), runId })
      const won = await Promise.all(claimants.map((claimant) => claimant.claim(runId, ['still'], new Date())))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(await runOf(runId)).toMatchObject({ epoch: 1, status: 'RUNNING' })
    }
  }, 60_000)

  test('a claim does not wait for the row of a run that somebody holds', async () => {
    await using database = await openDatabase(await freshPostgres())
    const { store, ownership } = createParts(database)
    const { runId } = newRun(still)
    await store.accept({ ...newRun(still), runId })
    const gate = createGate()
    const holding = database.db.transaction(async (tx) => {
      await tx.execute(sql`select 1 from kern.runs where run_id = ${runId}::uuid for update`)
      await gate.pass()
    })
    await gate.reached
    // With a wait for the row, this would fail by its deadline instead, as the row is held until after it.
    expect(await ownership.claim(runId, ['still'], new Date())).toBe(false)
    gate.open()
    await holding
    expect(await ownership.claim(runId, ['still'], new Date())).toBe(true)
  })
})
