import { type SQL, sql } from 'drizzle-orm'
import type { RunWrite } from '../engine/ports.ts'
import type { EventRecord } from '../engine/records.ts'
import { columnsOf } from './columnsOf.ts'
import { encode } from './rows.ts'
import { STEP_COLUMNS, stepRows } from './stepRows.ts'

/** What the statement answers for each write that passed the fence. */
export interface JournalRow {
  readonly run_id: string
  /** The run that still stands as the session's active one; null if none does, or the write did not touch the session. */
  readonly active_run_id: string | null
}

/**
 * One statement that writes what several runs have done: one round trip, one commit.
 *
 * Only a RUNNING run is written, and only it may end or be parked: see `engine/transitions.ts`.
 *
 * `fence` is the wall: it locks the row of each run (against a take-over that is under way: a plain check would let both
 * pass) and keeps only the writes whose epoch still owns it. An end also gives way to a cancel that was accepted before,
 * and a park to that and to answers that its writer has not seen. Where another transaction holds the row, the lock waits
 * for it, and the conditions are then asked of the row as that left it, not as it was when the statement began: a cancel
 * or an answer is either seen here, or finds the run parked.
 *
 * Everything else joins `fence`, so a write that did not pass changes nothing. A write that is repeated, because the
 * answer to it was lost, changes nothing either: results that are final, and events that are there, stay as they are, and
 * a run without an owner was parked before.
 *
 * A run that ends leaves its session idle only if it was the newest one: `run_count` is read under the row's lock, so
 * a run that is accepted at the same moment is either seen here, or finds the session idle. Where a later run may wait,
 * the session keeps its active run, and `advance` gives the turn on.
 */
export function journalStatement(writes: readonly RunWrite[]): SQL {
  return sql`with input as (${inputRows(writes)}), fence as (
    select i.*, r.session_id, r.number from input i join kern.runs r on r.run_id = i.run_id
    where r.epoch = i.epoch and r.status = 'RUNNING' and r.owner is not null
      and (i.end_status is null or i.end_status = 'CANCELLED' or r.cancel_requested_at is null)
      and (i.park_status is null or (r.cancel_requested_at is null and r.answers = i.park_answers))
    order by r.run_id for share of r
  ), steps as (
    insert into kern.step_results (${STEP_COLUMNS})
    select s.* from fence join (${stepRows(writes.flatMap(({ steps }) => steps))}) s using (run_id)
    on conflict (run_id, path) do update set status = excluded.status, output = excluded.output,
      output_preview = excluded.output_preview, partial_output = excluded.partial_output, error = excluded.error,
      state_patch = excluded.state_patch, decision = excluded.decision, pending = excluded.pending,
      usage = excluded.usage, stops_run = excluded.stops_run, attempts = excluded.attempts,
      completed_at = excluded.completed_at
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
      status = coalesce(f.end_status, f.park_status, r.status), completed_at = f.end_at,
      owner = case when f.park_status is null then r.owner end, wake_at = f.wake_at,
      duration_ms = extract(epoch from f.end_at - r.started_at)::float8 * 1000,
      output_preview = f.output_preview, error = f.error, stopped_by = f.stopped_by,
      step_count = f.step_count, attempt_count = f.attempt_count, usage = f.usage
    from fence f where r.run_id = f.run_id
      and (f.history_run_ids is not null or f.end_status is not null or f.park_status is not null)
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
    t.attempt_count, t.usage::json, t.end_status, t.end_at, t.output_preview, t.error::json, t.stopped_by, t.output::json,
    t.state_after::json, t.park_status, t.park_answers, t.wake_at
    from unnest(
    ${column((write) => write.runId)}::uuid[],
    ${column((write) => write.epoch)}::int[],
    ${column((write) => (write.end?.at ?? write.events.at(-1)?.at)?.toISOString())}::timestamptz[],
    ${column((write) => encode(write.state))}::text[],
    ${column((write) => encode(write.start?.stateBefore))}::text[],
    ${column((write) => historyIds(write))}::text[],
    ${column((write) => write.end && write.stepCount)}::int[],
    ${column((write) => write.end && write.attemptCount)}::int[],
    ${column((write) => write.end && write.usage && encode({ ...write.usage }))}::text[],
    ${column((write) => write.end?.status)}::text[],
    ${column((write) => write.end?.at.toISOString())}::timestamptz[],
    ${column((write) => write.end?.outputPreview)}::text[],
    ${column((write) => write.end?.error && encode({ ...write.end.error }))}::text[],
    ${column((write) => write.end?.stoppedBy)}::text[],
    ${column((write) => encode(write.end?.output))}::text[],
    ${column((write) => encode(write.end?.stateAfter))}::text[],
    ${column((write) => write.park?.status)}::text[],
    ${column((write) => write.park?.answers)}::int[],
    ${column((write) => write.park?.wakeAt?.toISOString())}::timestamptz[]
  ) as t(run_id, epoch, at, state, state_before, history_run_ids, step_count, attempt_count, usage, end_status, end_at,
    output_preview, error, stopped_by, output, state_after, park_status, park_answers, wake_at)`
}

/** Most runs have no history: theirs stays the empty list that it was accepted with. */
function historyIds({ start }: RunWrite): string | null {
  return start && start.historyRunIds.length > 0 ? `{${start.historyRunIds.join(',')}}` : null
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
