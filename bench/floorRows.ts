import { arrayText } from '../src/db/array.ts'
import { RESULT, STEPS } from './contender.ts'

/*
 * The rows of a run as Kern writes them: its acceptance, each step with its events, and with the last step the end of the
 * run. Each statement takes any number of runs, as arrays.
 */

export interface FloorRun {
  readonly runId: string
  readonly sessionId: string
}

export interface FloorStep extends FloorRun {
  /** 0, 1, 2 … */
  readonly position: number
}

const OUTPUT = JSON.stringify(RESULT)
const OWNER = '019aac00-0000-7000-8000-000000000000'

const ACCEPT_PARTS = `
  new_sessions as (
    insert into kern.sessions (session_id, workflow_id, workflow_name, display_name, state, workflow_version, tags, run_count,
      active_run_id, last_run_id, created_at, updated_at)
    select s, 'bench', 'Bench', '{}', '{}', '0123456789ab', '{}', 1, r, r, t, t
    from unnest($1::uuid[], $2::text[], $3::timestamptz[]) n(r, s, t)),
  new_runs as (
    insert into kern.runs (run_id, session_id, number, workflow_id, workflow_name, workflow_version, status, input_preview,
      history_run_ids, tags, owner, epoch, created_at, started_at)
    select r, s, 1, 'bench', 'Bench', '0123456789ab', 'RUNNING', '{}', '{}', '{}', '${OWNER}', 1, t, t
    from unnest($1::uuid[], $2::text[], $3::timestamptz[]) n(r, s, t)),
  new_payloads as (
    insert into kern.run_payloads (run_id, input, state_before)
    select r, '{}', '{}' from unnest($1::uuid[]) n(r)),
  accept_events as (
    insert into kern.run_events (run_id, seq, events)
    select r, 1, e::json from unnest($1::uuid[], $4::text[]) n(r, e))`

const STEP_PARTS = `
  new_steps as (
    insert into kern.step_results (run_id, path, position, name, kind, status, input_from, output, history_used, stops_run,
      max_attempts, started_at, completed_at)
    select r, 'step-' || p + 1, p, 'step-' || p + 1, 'step', 'COMPLETED', case p when 0 then 'run' else 'step:step-' || p end,
      o::json, false, false, 1, t, t
    from unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[]) n(r, p, o, t)),
  step_events as (
    insert into kern.run_events (run_id, seq, events)
    select r, case p when 0 then 2 else 3 + p * 2 end, e::json from unnest($1::uuid[], $2::int[], $5::text[]) n(r, p, e))`

const END_PARTS = `
  ended_runs as (
    update kern.runs set status = 'COMPLETED', completed_at = t, duration_ms = 1, output_preview = o, step_count = ${STEPS},
      attempt_count = ${STEPS}
    from unnest($1::uuid[], $3::timestamptz[], $4::text[]) n(r, t, o) where run_id = r),
  ended_payloads as (
    update kern.run_payloads set output = o::json, state_after = '{}'
    from unnest($1::uuid[], $4::text[]) n(r, o) where run_id = r),
  ended_sessions as (
    update kern.sessions set active_run_id = null from unnest($2::text[]) n(s) where session_id = s)`

const STEP_PARAMETERS = 5

/** Accepts and starts runs. */
export const ACCEPT = `with ${ACCEPT_PARTS} select 1`
/** Records steps. */
export const STEP = `with ${STEP_PARTS} select 1`
/** Ends runs. */
export const END = `with ${END_PARTS} select 1`
/** Records a last step and ends its run: the parameters of both, one behind the other. */
export const LAST = `with ${STEP_PARTS}, ${END_PARTS.replaceAll(/\$(\d)/g, (_, n: string) => `$${Number(n) + STEP_PARAMETERS}`)} select 1`

export function acceptColumns(runs: readonly FloorRun[]): string[] {
  const at = new Date()
  const events = JSON.stringify([['RUN_QUEUED', at.getTime(), null, null]])
  return [
    arrayText(runs.map(({ runId }) => runId)),
    arrayText(runs.map(({ sessionId }) => sessionId)),
    arrayText(runs.map(() => at)),
    arrayText(runs.map(() => events)),
  ]
}

export function stepColumns(steps: readonly FloorStep[]): string[] {
  const at = new Date()
  return [
    arrayText(steps.map(({ runId }) => runId)),
    arrayText(steps.map(({ position }) => position)),
    arrayText(steps.map(() => OUTPUT)),
    arrayText(steps.map(() => at)),
    arrayText(steps.map(({ position }) => stepEvents(position, at.getTime()))),
  ]
}

function stepEvents(position: number, at: number): string {
  const path = `step-${position + 1}`
  const events: unknown[] = [
    ['STEP_STARTED', at, path, null, { attempt: 1 }],
    ['STEP_COMPLETED', at, path, null],
  ]
  if (position === 0) events.unshift(['RUN_STARTED', at, null, null])
  if (position === STEPS - 1) events.push(['RUN_COMPLETED', at, null, null])
  return JSON.stringify(events)
}

export function endColumns(runs: readonly FloorRun[]): string[] {
  const at = new Date()
  return [
    arrayText(runs.map(({ runId }) => runId)),
    arrayText(runs.map(({ sessionId }) => sessionId)),
    arrayText(runs.map(() => at)),
    arrayText(runs.map(() => OUTPUT)),
  ]
}
