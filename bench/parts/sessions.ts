import connect from 'postgres'
import { postgres } from '../../src/config.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { Server } from '../database.ts'
import type { Options } from '../options.ts'
import { figure, printTable, type Target } from '../report.ts'
import { median } from '../statistics.ts'

const PAGE = { limit: 20, fromEnd: false, after: null, before: null } as const
const NEWEST = { field: 'CREATED_AT', direction: 'DESC' } as const
const SESSION = 'bench'

/** The newest 20 runs of a session that has many, against one that has a tenth of them. */
export async function measureSessions(server: Server, { smoke }: Options): Promise<Target[]> {
  const few = smoke ? 100 : 10_000
  const many = few * 10
  const reads = smoke ? 5 : 500
  const [fewUrl, manyUrl] = [await filled(server, few), await filled(server, many)]
  const [scansOfFew, scansOfMany] = [await sequentialScans(fewUrl), await sequentialScans(manyUrl)]
  const ratios: number[] = []
  const times: { readonly few: number[]; readonly many: number[] } = { few: [], many: [] }
  {
    await using small = await openDatabase(postgres(fewUrl))
    await using large = await openDatabase(postgres(manyUrl))
    await Promise.all([readFor(small), readFor(large)])
    for (let read = 0; read < reads; read += 1) {
      const [a, b] = [await readFor(small), await readFor(large)]
      times.few.push(a)
      times.many.push(b)
      ratios.push(b / a)
    }
  }
  // The counts of a connection are there at the latest when it has ended.
  const scans = (await sequentialScans(fewUrl)) - scansOfFew + (await sequentialScans(manyUrl)) - scansOfMany
  printTable(`The newest 20 runs of a session, ${reads} reads`, [
    ['', 'median ms'],
    [`with ${few} runs stored`, figure(median(times.few), 3)],
    [`with ${many} runs stored`, figure(median(times.many), 3)],
    ['sequential scans of runs', figure(scans)],
  ])
  return [
    { what: `newest 20 of ${many} runs against ${few}`, value: median(ratios), atMost: 1.5, unit: '×' },
    { what: 'sequential scans of runs for it', value: scans, atMost: 0, unit: '', digits: 0 },
  ]
}

/** How long one page takes, in milliseconds. */
async function readFor(database: Database): Promise<number> {
  const start = performance.now()
  const { items } = await createReaderFor(database.db)(SYSTEM_VIEWER).runPage({ sessionId: SESSION }, NEWEST, PAGE)
  const took = performance.now() - start
  if (items.length !== PAGE.limit) throw new Error(`a page of ${PAGE.limit} runs has ${items.length}`)
  return took
}

/** A database with a session of so many finished runs. */
async function filled(server: Server, runs: number): Promise<string> {
  const { url } = await server.database(`sessions_${runs}`)
  const sql = connect(url, { max: 1, onnotice: () => {} })
  await sql`
    insert into kern.sessions (session_id, workflow_id, workflow_name, display_name, state, workflow_version, tags,
      run_count, created_at, updated_at)
    values (${SESSION}, 'bench', 'Bench', 'Bench', '{}', 'v', '{}', ${runs}, now(), now())`
  await sql`
    insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status,
      input_preview, output_preview, history_run_ids, tags, step_count, attempt_count, epoch, created_at, started_at,
      completed_at, duration_ms)
    select ('019aac00-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, ${SESSION}, n, 'bench', 'Bench', 'v', 'COMPLETED',
      '{}', repeat('x', 200), '{}', '{}', 5, 5, 1, at, at, at, 1
    from (select n, now() - make_interval(secs => ${runs} - n) as at from generate_series(1, ${runs}::int) n) all_runs`
  await sql`analyze`
  await sql.end({ timeout: 5 })
  return url
}

async function sequentialScans(url: string): Promise<number> {
  const sql = connect(url, { max: 1, onnotice: () => {} })
  const [row] = await sql<{ scans: number }[]>`
    select seq_scan::int as scans from pg_stat_user_tables where schemaname = 'kern' and relname = 'runs'`
  await sql.end({ timeout: 5 })
  return row?.scans ?? Number.NaN
}
