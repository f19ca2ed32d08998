import { type SQL, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import type { RunWrite } from '../engine/ports.ts'
import type { EventRecord, StepRecord } from '../engine/records.ts'
import { encode } from './rows.ts'

/** What the statement answers for each write that passed the fence. */
export interface JournalRow {
  readonly run_id: string
  /** The run that still stands as the session's active one; null if none does, or the write did not touch the session. */
  readonly active_run_id: string | null
}

/**
 * One statement that writes what several runs have done: one round trip, one commit.
 *
 * Only a RUNNING run is written, and only it may end: see `engine/transitions.ts`.
 *
 * `fence` is the wall: it locks the row of each run (against a take-over that is under way: a plain check would let both
 * pass) and keeps only the writes whose epoch still owns it. An end also gives way to a cancel that was accepted before.
 * Everything else joins `fence`, so a write that did not pass changes nothing. A write that is repeated, because the answer
 * to it was lost, changes nothing either: results that are final, and events that are there, stay as they are.
 *
 * A run that ends leaves its session idle only if it was the newest one: `run_count` is read under the row's lock, so
 * a run that is accepted at the same moment is either seen here, or finds the session idle. Where a later run may wait,
 * the session keeps its active run, and `advance` gives the turn on.
 */
export function journalStatement(writes: readonly RunWrite[]): SQL {
  return sql`with input as (${inputRows(writes)}), fence as (
    select i.*, r.session_id, r.number from input i join kern.runs r on r.run_id = i.run_id
    where r.epoch = i.epoch and r.status = 'RUNNING'
      and (i.end_status is null or i.end_status = 'CANCELLED' or r.cancel_requested_at is null)
    order by r.run_id for share of r
  ), steps as (
    insert into kern.step_results (run_id, path, position, parent_path, name, kind, status, input_from, input, output,
      output_preview, error, state_patch, history_used, stops_run, max_attempts, attempts, started_at, completed_at)
    select s.* from fence join (${stepRows(writes.flatMap(({ steps }) => steps))}) s using (run_id)
    on conflict (run_id, path) do update set status = excluded.status, output = excluded.output,
      output_preview = excluded.output_preview, error = excluded.error, state_patch = excluded.state_patch,
      stops_run = excluded.stops_run, attempts = excluded.attempts, completed_at = excluded.completed_at
    where step_results.completed_at is null
  ), events as (
    insert into kern.run_events (run_id, seq, type, at, step_path, name, data)
    select e.* from fence join (${eventRows(writes.flatMap(({ events }) => events))}) e using (run_id)
    on conflict (run_id, seq) do nothing
    returning run_id
  ), payloads as (
    update kern.run_payloads p set state_before = coalesce(f.state_before, p.state_before),
      output = f.output, state_after = f.state_after
    from fence f where p.run_id = f.run_id and (f.state_before is not null or f.end_status is not null)
  ), runs as (
    update kern.runs r set history_run_ids = coalesce(f.history_run_ids, r.history_run_ids),
      status = coalesce(f.end_status, r.status), completed_at = f.end_at,
      duration_ms = extract(epoch from f.end_at - r.started_at)::float8 * 1000,
      output_preview = f.output_preview, error = f.error, stopped_by = f.stopped_by,
      step_count = f.step_count, attempt_count = f.attempt_count
    from fence f where r.run_id = f.run_id and (f.history_run_ids is not null or f.end_status is not null)
  ), sessions as (
    update kern.sessions s set state = coalesce(f.state, s.state),
      state_version = s.state_version + (f.state is not null and f.run_id in (select run_id from events))::int, updated_at = f.at,
      active_run_id = case when f.end_status is not null and s.run_count = f.number then null else s.active_run_id end
    from fence f where s.session_id = f.session_id and (f.state is not null or f.end_status is not null)
    returning s.session_id, s.active_run_id
  ) select f.run_id, s.active_run_id from fence f left join sessions s using (session_id)`
}

function inputRows(writes: readonly RunWrite[]): SQL {
  const column = columnsOf(writes)
  return sql`select t.run_id, t.epoch, t.at, t.state::json, t.state_before::json, t.history_run_ids::uuid[], t.step_count,
    t.attempt_count, t.end_status, t.end_at, t.output_preview, t.error::json, t.stopped_by, t.output::json, t.state_after::json
    from unnest(
    ${column((write) => write.runId)}::uuid[],
    ${column((write) => write.epoch)}::int[],
    ${column((write) => (write.end?.at ?? write.events.at(-1)?.at)?.toISOString())}::timestamptz[],
    ${column((write) => encode(write.state))}::text[],
    ${column((write) => encode(write.start?.stateBefore))}::text[],
    ${column((write) => historyIds(write))}::text[],
    ${column((write) => write.end && write.stepCount)}::int[],
    ${column((write) => write.end && write.attemptCount)}::int[],
    ${column((write) => write.end?.status)}::text[],
    ${column((write) => write.end?.at.toISOString())}::timestamptz[],
    ${column((write) => write.end?.outputPreview)}::text[],
    ${column((write) => write.end?.error && encode({ ...write.end.error }))}::text[],
    ${column((write) => write.end?.stoppedBy)}::text[],
    ${column((write) => encode(write.end?.output))}::text[],
    ${column((write) => encode(write.end?.stateAfter))}::text[]
  ) as t(run_id, epoch, at, state, state_before, history_run_ids, step_count, attempt_count, end_status, end_at,
    output_preview, error, stopped_by, output, state_after)`
}

/** Most runs have no history: theirs stays the empty list that it was accepted with. */
function historyIds({ start }: RunWrite): string | null {
  return start && start.historyRunIds.length > 0 ? `{${start.historyRunIds.join(',')}}` : null
}

function stepRows(steps: readonly StepRecord[]): SQL {
  const column = columnsOf(steps)
  return sql`select t.run_id, t.path, t.position, t.parent_path, t.name, t.kind, t.status, t.input_from, t.input::json,
    t.output::json, t.output_preview, t.error::json, t.state_patch::json, t.history_used, t.stops_run, t.max_attempts,
    t.attempts::json, t.started_at, t.completed_at
    from unnest(
    ${column((step) => step.runId)}::uuid[],
    ${column((step) => step.path)}::text[],
    ${column((step) => step.position)}::int[],
    ${column((step) => step.parentPath)}::text[],
    ${column((step) => step.name)}::text[],
    ${column((step) => step.kind)}::text[],
    ${column((step) => step.status)}::text[],
    ${column((step) => step.inputFrom)}::text[],
    ${column((step) => encode(step.input))}::text[],
    ${column((step) => encode(step.output))}::text[],
    ${column((step) => step.outputPreview)}::text[],
    ${column((step) => step.error && encode({ ...step.error }))}::text[],
    ${column((step) => encode(step.statePatch))}::text[],
    ${column((step) => step.historyUsed)}::bool[],
    ${column((step) => step.stopsRun)}::bool[],
    ${column((step) => step.maxAttempts)}::int[],
    ${column((step) => JSON.stringify(step.attempts))}::text[],
    ${column((step) => step.startedAt.toISOString())}::timestamptz[],
    ${column((step) => step.completedAt?.toISOString())}::timestamptz[]
  ) as t(run_id, path, position, parent_path, name, kind, status, input_from, input, output, output_preview, error,
    state_patch, history_used, stops_run, max_attempts, attempts, started_at, completed_at)`
}

function eventRows(events: readonly EventRecord[]): SQL {
  const column = columnsOf(events)
  return sql`select t.run_id, t.seq, t.type, t.at, t.step_path, t.name, t.data::json from unnest(
    ${column((event) => event.runId)}::uuid[],
    ${column((event) => event.seq)}::int[],
    ${column((event) => event.type)}::text[],
    ${column((event) => event.at.toISOString())}::timestamptz[],
    ${column((event) => event.stepPath)}::text[],
    ${column((event) => event.name)}::text[],
    ${column((event) => encode(event.data))}::text[]
  ) as t(run_id, seq, type, at, step_path, name, data)`
}

/** A column of the rows as the text of an array: one parameter, however many rows there are. */
function columnsOf<Row>(rows: readonly Row[]): (cell: (row: Row) => unknown) => SQL {
  return (cell) => sql`${arrayText(rows.map(cell))}::text`
}
