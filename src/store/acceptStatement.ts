import { arrayText } from '../db/array.ts'
import type { NewRun } from '../engine/commands/commandStore.ts'
import { encode, encodeEvents } from './rows.ts'
import { type Column, rowSetOf } from './rowSet.ts'

/** A run to accept, and the worker that has a place for it. */
export interface OwnedRun {
  readonly run: NewRun
  readonly owner: string
}

const COLUMNS: readonly Column<OwnedRun>[] = [
  ['run_id', 'uuid', ({ run }) => run.runId],
  ['session_id', 'text', ({ run }) => run.session.sessionId],
  ['workflow_id', 'text', ({ run }) => run.session.workflowId],
  ['workflow_name', 'text', ({ run }) => run.session.workflowName],
  ['session_version', 'text', ({ run }) => run.session.workflowVersion],
  ['session_owner', 'text', ({ run }) => run.session.userId],
  ['session_name', 'text', ({ run }) => run.session.name],
  ['display_name', 'text', ({ run }) => run.session.displayName],
  ['state', 'json', ({ run }) => encode(run.session.state)],
  ['session_metadata', 'json', ({ run }) => encode(run.session.metadata)],
  ['session_tags', 'text[]', ({ run }) => arrayText(run.session.tags)],
  ['workflow_version', 'text', ({ run }) => run.workflowVersion],
  ['user_id', 'text', ({ run }) => run.userId],
  ['input', 'json', ({ run }) => encode(run.input)],
  ['input_preview', 'text', ({ run }) => run.inputPreview],
  ['state_given', 'json', ({ run }) => encode(run.stateGiven)],
  ['metadata', 'json', ({ run }) => encode(run.metadata)],
  ['tags', 'text[]', ({ run }) => arrayText(run.tags)],
  ['idempotency_key', 'text', ({ run }) => run.idempotencyKey],
  ['request_hash', 'text', ({ run }) => run.requestHash],
  ['priority', 'int', ({ run }) => run.priority],
  ['owner', 'uuid', ({ owner }) => owner],
  ['at', 'timestamptz', ({ run }) => run.at],
  ['events', 'json', ({ run: { at } }) => queuedEvent(at)],
]

/** The first event of every run. */
export function queuedEvent(at: Date): string {
  return encodeEvents([{ type: 'RUN_QUEUED', at, stepPath: null, name: null, data: undefined }])
}

/** Runs that are accepted together, no two with one key; those of one session are of one user, and have ids in their order. */
export const acceptRows = rowSetOf(COLUMNS)

/**
 * Queries that accept several runs at once, for one statement. A run that has its turn belongs to its owner from the
 * beginning; one whose session is busy waits like any other.
 *
 * What cannot be accepted like this is left out, and answered by `accept.ts`: a key that is there already, and a session
 * of another workflow or user. A key that another transaction enters at this moment fails the whole statement.
 *
 * Sessions are locked in the order of their ids. After the parameters of {@link acceptRows} there is one more: the time at which
 * runs start that have their turn.
 */
export function acceptQueries(parametersBefore: number): string {
  // Of the flush, and not of the request: until now the run before it in its session may not have ended.
  const startedAt = `$${parametersBefore + acceptRows.size + 1}::text::timestamptz`
  return `asked as (${acceptRows.text(parametersBefore)}), fresh as (
    select a.*, row_number() over same as place, count(*) over same as together,
      first_value(a.run_id) over same as first_run_id, last_value(a.run_id) over same as newest_run_id
    from asked a where a.idempotency_key is null or not exists (
      select 1 from kern.runs k where coalesce(k.user_id, '') = coalesce(a.user_id, '')
        and k.idempotency_key = a.idempotency_key and k.idempotency_key is not null)
    window same as (partition by a.session_id order by a.run_id rows between unbounded preceding and unbounded following)
  ), opened as (
    insert into kern.sessions as s (session_id, workflow_id, workflow_name, workflow_version, user_id, name, name_source,
      display_name, state, metadata, tags, run_count, active_run_id, last_run_id, created_at, updated_at)
    select session_id, workflow_id, workflow_name, session_version, session_owner, session_name,
      case when session_name is not null then 'MANUAL' end, display_name, state, session_metadata, session_tags,
      together, first_run_id, newest_run_id, at, at
    from fresh where place = 1 order by session_id collate "C"
    on conflict (session_id) do update set run_count = s.run_count + excluded.run_count, last_run_id = excluded.last_run_id,
      active_run_id = coalesce(s.active_run_id, excluded.active_run_id), workflow_name = excluded.workflow_name,
      workflow_version = excluded.workflow_version, updated_at = excluded.updated_at,
      name = coalesce(excluded.name, s.name), name_source = coalesce(excluded.name_source, s.name_source),
      display_name = case when excluded.name is not null or (s.name is null and s.run_count = 0)
        then excluded.display_name else s.display_name end
    where s.workflow_id = excluded.workflow_id
      and (s.user_id is null or excluded.user_id is null or s.user_id = excluded.user_id)
    returning s.session_id, s.run_count, s.active_run_id, s.state
  ), started as (
    select f.*, o.run_count - f.together + f.place as number, o.state as session_state, o.active_run_id = f.run_id as active
    from fresh f join opened o using (session_id)
  ), new_runs as (
    insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, user_id, status,
      input_preview, history_run_ids, metadata, tags, idempotency_key, request_hash, priority, owner, epoch, created_at,
      started_at)
    select run_id, session_id, number, workflow_id, workflow_name, workflow_version, user_id,
      case when active then 'RUNNING' else 'QUEUED' end, input_preview, '{}', metadata, tags, idempotency_key,
      request_hash, priority, case when active then owner end, active::int, at, case when active then ${startedAt} end
    from started
  ), new_payloads as (
    insert into kern.run_payloads (run_id, input, state_given) select run_id, input, state_given from started
  ), new_events as (
    insert into kern.run_events (run_id, seq, events) select run_id, 1, events from started
  )`
}
