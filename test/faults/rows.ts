import { sql } from 'drizzle-orm'
import { type Database, rows } from '../../src/db/client.ts'
import type { Json, JsonObject } from '../../src/json.ts'

export interface RunRow {
  readonly runId: string
  readonly sessionId: string
  readonly number: number
  readonly status: string
  readonly key: string | null
  readonly startedAt: number | null
  readonly completedAt: number | null
  readonly stateBefore: JsonObject | null
  readonly stateAfter: JsonObject | null
}

export interface StepRow {
  readonly runId: string
  readonly path: string
  readonly kind: string
  readonly status: string
  readonly position: number
  readonly inputFrom: string
  /** JSON text. */
  readonly output: string | null
  readonly patch: JsonObject | null
  /** How many of its attempts ended by themselves, and were not cut off. */
  readonly tried: number
  readonly completed: boolean
}

export interface EventRow {
  readonly runId: string
  readonly seq: number
  readonly type: string
  readonly stepPath: string | null
}

export interface SessionRow {
  readonly sessionId: string
  readonly state: JsonObject
  readonly activeRunId: string | null
  readonly runCount: number
}

/** What a database holds of runs, as plain data: a test can break it. */
export interface Rows {
  readonly runs: readonly RunRow[]
  readonly steps: readonly StepRow[]
  readonly events: readonly EventRow[]
  readonly sessions: readonly SessionRow[]
}

interface Texts {
  readonly [column: string]: string | null
}

/** Reads all rows, as one answer of one moment would be too large for; nothing may write meanwhile. */
export async function readRows({ db }: Pick<Database, 'db'>): Promise<Rows> {
  const [runs, steps, events, sessions] = [
    await rows<Texts>(
      db,
      sql`select r.run_id::text, r.session_id, r.number::text, r.status, r.idempotency_key,
        (extract(epoch from r.started_at) * 1000)::text as started_at,
        (extract(epoch from r.completed_at) * 1000)::text as completed_at,
        p.state_before::text, p.state_after::text
        from kern.runs r join kern.run_payloads p using (run_id) order by r.session_id, r.number`,
    ),
    await rows<Texts>(
      db,
      sql`select s.run_id::text, s.path, kind, status, s.position::text, input_from, output::text, state_patch::text,
        attempts::text, completed_at::text from kern.step_results s order by s.run_id, s.position`,
    ),
    await rows<Texts>(
      db,
      sql`select e.run_id::text, e.seq::text, e.type, e.step_path from kern.events e order by e.run_id, e.seq`,
    ),
    await rows<Texts>(
      db,
      sql`select session_id, state::text, active_run_id::text, run_count::text from kern.sessions order by session_id`,
    ),
  ]
  return {
    runs: runs.map((row) => ({
      runId: text(row['run_id']),
      sessionId: text(row['session_id']),
      number: Number(row['number']),
      status: text(row['status']),
      key: row['idempotency_key'] ?? null,
      startedAt: time(row['started_at']),
      completedAt: time(row['completed_at']),
      stateBefore: object(row['state_before']),
      stateAfter: object(row['state_after']),
    })),
    steps: steps.map((row) => ({
      runId: text(row['run_id']),
      path: text(row['path']),
      kind: text(row['kind']),
      status: text(row['status']),
      position: Number(row['position']),
      inputFrom: text(row['input_from']),
      output: row['output'] ?? null,
      patch: object(row['state_patch']),
      tried: tried(row['attempts'] ?? null),
      completed: row['completed_at'] !== null,
    })),
    events: events.map((row) => ({
      runId: text(row['run_id']),
      seq: Number(row['seq']),
      type: text(row['type']),
      stepPath: row['step_path'] ?? null,
    })),
    sessions: sessions.map((row) => ({
      sessionId: text(row['session_id']),
      state: object(row['state']) ?? {},
      activeRunId: row['active_run_id'] ?? null,
      runCount: Number(row['run_count']),
    })),
  }
}

function text(value: string | null | undefined): string {
  if (typeof value !== 'string') throw new Error(`a column that always has a value has ${value}`)
  return value
}

function time(value: string | null | undefined): number | null {
  return value === null || value === undefined ? null : Number(value)
}

function object(value: string | null | undefined): JsonObject | null {
  // The column is written by Kern, as an object.
  return value === null || value === undefined ? null : (JSON.parse(value) as JsonObject)
}

/** No list stands for one attempt that went well. */
function tried(attempts: string | null): number {
  if (attempts === null) return 1
  const list: Json = JSON.parse(attempts)
  if (!Array.isArray(list)) throw new Error(`attempts are no list: ${attempts}`)
  return list.filter((attempt) => isOver(attempt)).length
}

function isOver(attempt: Json): boolean {
  if (typeof attempt !== 'object' || attempt === null || !('completedAt' in attempt)) return false
  const { completedAt, error } = attempt
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null
  return completedAt !== null && code !== 'INTERRUPTED'
}
