import type { RunWrite } from '../engine/ports.ts'
import type { StepRecord } from '../engine/records.ts'
import { encode, encodeEvents } from './rows.ts'
import { type Column, type EncodedRow, rowSetOf } from './rowSet.ts'
import { STEP_COLUMNS, stepRows } from './stepRows.ts'

const WRITE_COLUMNS: readonly Column<RunWrite>[] = [
  ['run_id', 'uuid', (write) => write.runId],
  ['epoch', 'int', (write) => write.epoch],
  ['at', 'timestamptz', (write) => write.end?.at ?? write.events.at(-1)?.at],
  ['seq', 'int', (write) => write.events[0]?.seq],
  ['events', 'json', (write) => (write.events.length === 0 ? null : encodeEvents(write.events))],
  ['state', 'json', (write) => encode(write.state)],
  ['state_before', 'json', (write) => encode(write.start?.stateBefore)],
  ['history_run_ids', 'uuid[]', historyIds],
  ['step_count', 'int', (write) => write.end && write.stepCount],
  ['attempt_count', 'int', (write) => write.end && write.attemptCount],
  ['usage', 'json', (write) => write.end && write.usage && encode({ ...write.usage })],
  ['end_status', 'text', (write) => write.end?.status],
  ['end_at', 'timestamptz', (write) => write.end?.at],
  ['output_preview', 'text', (write) => write.end?.outputPreview],
  ['error', 'json', (write) => write.end?.error && encode({ ...write.end.error })],
  ['stopped_by', 'text', (write) => write.end?.stoppedBy],
  ['output', 'json', (write) => encode(write.end?.output)],
  ['state_after', 'json', (write) => encode(write.end?.stateAfter)],
  ['park_status', 'text', (write) => write.park?.status],
  ['park_answers', 'int', (write) => write.park?.answers],
  ['wake_at', 'timestamptz', (write) => write.park?.wakeAt],
]

const writeRows = rowSetOf(WRITE_COLUMNS)

/** Most runs have no history: theirs stays the empty list that it was accepted with. */
function historyIds({ start }: RunWrite): string | null {
  return start && start.historyRunIds.length > 0 ? `{${start.historyRunIds.join(',')}}` : null
}

/** A write as it is sent. */
export interface EncodedWrite {
  readonly run: EncodedRow
  readonly steps: readonly EncodedRow[]
}

export function encodeWrite(write: RunWrite): EncodedWrite {
  return { run: writeRows.encode(write), steps: write.steps.map((step: StepRecord) => stepRows.encode(step)) }
}

/** Which tables, besides those of steps and events, some of the writes change. */
export interface Touched {
  readonly payloads: boolean
  readonly runs: boolean
  readonly sessions: boolean
}

export function touchedBy(writes: readonly RunWrite[]): Touched {
  return {
    payloads: writes.some(({ start, end }) => start || end),
    runs: writes.some(({ start, end, park }) => end || park || (start && start.historyRunIds.length > 0)),
    sessions: writes.some(({ state, end }) => state || end),
  }
}

/** How many parameters {@link writeQueries} have. */
export const WRITE_PARAMETERS = writeRows.size + stepRows.size

export function writeValues(writes: readonly EncodedWrite[]): string[] {
  return [...writeRows.values(writes.map(({ run }) => run)), ...stepRows.values(writes.flatMap(({ steps }) => steps))]
}

/**
 * Queries that write what several runs have done, for one statement: one round trip, one commit.
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
 * the session keeps its active run, is marked, and `advance` gives the turn on.
 *
 * What no write needs is left out: to prepare the change of a table costs as much as to change a row of it.
 */
export function writeQueries(touched: Touched, parametersBefore: number): string {
  const steps = stepRows.text(parametersBefore + writeRows.size)
  return [
    `input as (${writeRows.text(parametersBefore)})`,
    FENCE,
    `steps as (
      insert into kern.step_results (${STEP_COLUMNS}) select s.* from fence join (${steps}) s using (run_id)
      on conflict (run_id, path) do update set status = excluded.status, output = excluded.output,
        output_preview = excluded.output_preview, partial_output = excluded.partial_output, error = excluded.error,
        state_patch = excluded.state_patch, decision = excluded.decision, pending = excluded.pending,
        usage = excluded.usage, stops_run = excluded.stops_run, attempts = excluded.attempts,
        completed_at = excluded.completed_at
      where step_results.completed_at is null
    )`,
    EVENTS,
    ...(touched.payloads ? [PAYLOADS] : []),
    ...(touched.runs ? [RUNS] : []),
    ...(touched.sessions ? [SESSIONS] : []),
    touched.sessions
      ? 'written as (select f.run_id, s.active_run_id from fence f left join sessions s using (session_id))'
      : 'written as (select run_id, null::uuid as active_run_id from fence)',
  ].join(', ')
}

const FENCE = `fence as (
  select i.*, r.session_id, r.number from input i cross join lateral (
    select r.session_id, r.number from kern.runs r
    where r.run_id = i.run_id and r.epoch = i.epoch and r.status = 'RUNNING' and r.owner is not null
      and (i.end_status is null or i.end_status = 'CANCELLED' or r.cancel_requested_at is null)
      and (i.park_status is null or (r.cancel_requested_at is null and r.answers = i.park_answers))
    for share of r) r
)`

const EVENTS = `events as (
  insert into kern.run_events (run_id, seq, events)
  select run_id, seq, events from fence where events is not null
  on conflict (run_id, seq) do nothing
  returning run_id
)`

const PAYLOADS = `payloads as (
  update kern.run_payloads p set state_before = coalesce(f.state_before, p.state_before),
    output = f.output, state_after = f.state_after
  from fence f where p.run_id = f.run_id and (f.state_before is not null or f.end_status is not null)
)`

const RUNS = `runs as (
  update kern.runs r set history_run_ids = coalesce(f.history_run_ids, r.history_run_ids),
    status = coalesce(f.end_status, f.park_status, r.status), completed_at = f.end_at,
    owner = case when f.park_status is null then r.owner end, wake_at = f.wake_at,
    duration_ms = extract(epoch from f.end_at - r.started_at)::float8 * 1000,
    output_preview = f.output_preview, error = f.error, stopped_by = f.stopped_by,
    step_count = f.step_count, attempt_count = f.attempt_count, usage = f.usage
  from fence f where r.run_id = f.run_id
    and (f.history_run_ids is not null or f.end_status is not null or f.park_status is not null)
)`

const SESSIONS = `sessions as (
  update kern.sessions s set state = coalesce(f.state, s.state),
    state_version = s.state_version + (f.state is not null and f.run_id in (select run_id from events))::int,
    updated_at = case when f.state is null then s.updated_at else f.at end,
    active_run_id = case when f.end_status is not null and s.run_count = f.number then null else s.active_run_id end,
    turn_due = f.end_status is not null and s.run_count <> f.number
  from fence f where s.session_id = f.session_id and (f.state is not null or f.end_status is not null)
  returning s.session_id, s.active_run_id
)`
