import postgres from 'postgres'
import { newId } from '../src/ids.ts'
import { type Contender, RESULT, STEPS } from './contender.ts'

/*
 * The least that any engine does which records each step before the next one starts: the rows of a run, in the tables of
 * Kern, written by bare postgres.js. No queue, no reading, no events between processes, no checks.
 */

type Sql = postgres.ISql
type Write = (sql: Sql) => Promise<unknown>

const OUTPUT = JSON.stringify(RESULT)

/** Each write in a transaction of its own: the floor for a single run. */
export function oneCommitEach(url: string): Contender {
  const sql = postgres(url, { max: 10, onnotice: () => undefined })
  return {
    name: 'floor, one commit each',
    async run() {
      const runId = newId()
      await sql.begin((tx) => startRows(runId, newId()).map((write) => write(tx)))
      for (let position = 0; position < STEPS; position += 1) {
        await sql.begin((tx) => stepWrites([{ runId, position }]).map((write) => write(tx)))
      }
      await sql.begin((tx) => endWrites([runId]).map((write) => write(tx)))
    },
    [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }),
  }
}

/** The same rows, but what runs hand over while a commit is on its way goes into the next one together. */
export function groupedCommits(url: string): Contender {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  let waiting: { readonly item: Item; readonly done: () => void; readonly failed: (error: unknown) => void }[] = []
  let flushing = false

  async function flushAll(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await sql.begin((tx) => writesOf(batch.map(({ item }) => item)).map((write) => write(tx)))
        for (const { done } of batch) done()
      } catch (error) {
        for (const { failed } of batch) failed(error)
      }
    }
    flushing = false
  }

  const handOver = (item: Item) =>
    new Promise<void>((done, failed) => {
      waiting.push({ item, done, failed })
      if (flushing) return
      flushing = true
      void flushAll()
    })

  return {
    name: 'floor, grouped commits',
    async run() {
      const runId = newId()
      await handOver({ type: 'start', runId, sessionId: newId() })
      for (let position = 0; position < STEPS; position += 1) await handOver({ type: 'step', runId, position })
      await handOver({ type: 'end', runId })
    },
    [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }),
  }
}

type Item =
  | { readonly type: 'start'; readonly runId: string; readonly sessionId: string }
  | { readonly type: 'step'; readonly runId: string; readonly position: number }
  | { readonly type: 'end'; readonly runId: string }

function writesOf(items: readonly Item[]): Write[] {
  const starts = items.filter((item) => item.type === 'start')
  const steps = items.filter((item) => item.type === 'step')
  const ends = items.filter((item) => item.type === 'end')
  return [
    ...(starts.length > 0 ? manyStartRows(starts) : []),
    ...(steps.length > 0 ? stepWrites(steps) : []),
    ...(ends.length > 0 ? endWrites(ends.map(({ runId }) => runId)) : []),
  ]
}

function startRows(runId: string, sessionId: string): Write[] {
  return manyStartRows([{ runId, sessionId }])
}

function manyStartRows(runs: readonly { readonly runId: string; readonly sessionId: string }[]): Write[] {
  const runIds = runs.map(({ runId }) => runId)
  const sessionIds = runs.map(({ sessionId }) => sessionId)
  return [
    (
      sql,
    ) => sql`insert into kern.sessions (session_id, workflow_id, workflow_name, display_name, state, workflow_data, tags,
        run_count, created_at, updated_at)
      select s, 'floor', 'Floor', 'Floor', '{}', '{}', '{}', 1, now(), now() from unnest(${sessionIds}::text[]) s`,
    (
      sql,
    ) => sql`insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status,
        input_preview, history_run_ids, tags, created_at, started_at)
      select r, s, 1, 'floor', 'Floor', '1', 'RUNNING', '{}', '{}', '{}', now(), now()
      from unnest(${runIds}::uuid[], ${sessionIds}::text[]) t(r, s)`,
    (sql) => sql`insert into kern.run_payloads (run_id, input, state_before)
      select r, '{}', '{}' from unnest(${runIds}::uuid[]) r`,
    (sql) => sql`insert into kern.run_events (run_id, seq, type, at)
      select r, n, t, now() from unnest(${runIds}::uuid[]) r, (values (1, 'RUN_QUEUED'), (2, 'RUN_STARTED')) e(n, t)`,
  ]
}

function stepWrites(steps: readonly { readonly runId: string; readonly position: number }[]): Write[] {
  const runIds = steps.map(({ runId }) => runId)
  const positions = steps.map(({ position }) => position)
  return [
    (
      sql,
    ) => sql`insert into kern.step_results (run_id, path, position, name, kind, status, input_from, output, output_preview,
        history_used, stops_run, max_attempts, attempts, started_at, completed_at)
      select r, 'step-' || p, p, 'step-' || p, 'step', 'COMPLETED', 'run', ${OUTPUT}::text::json, ${OUTPUT}, false, false, 1,
        ('[{"number":1,"startedAt":"' || now() || '","completedAt":"' || now() || '","error":null}]')::json, now(), now()
      from unnest(${runIds}::uuid[], ${positions}::int[]) t(r, p)`,
    (sql) => sql`insert into kern.run_events (run_id, seq, type, at, step_path)
      select r, 3 + p * 2 + n, e, now(), 'step-' || p
      from unnest(${runIds}::uuid[], ${positions}::int[]) t(r, p), (values (0, 'STEP_STARTED'), (1, 'STEP_COMPLETED')) v(n, e)`,
  ]
}

function endWrites(runIds: readonly string[]): Write[] {
  return [
    (
      sql,
    ) => sql`update kern.runs set status = 'COMPLETED', completed_at = now(), output_preview = ${OUTPUT}, step_count = ${STEPS}
      where run_id = any(${[...runIds]}::uuid[])`,
    (sql) => sql`update kern.run_payloads set output = ${OUTPUT}::text::json, state_after = '{}'
      where run_id = any(${[...runIds]}::uuid[])`,
    (sql) => sql`insert into kern.run_events (run_id, seq, type, at)
      select r, ${3 + STEPS * 2}, 'RUN_COMPLETED', now() from unnest(${[...runIds]}::uuid[]) r`,
  ]
}
