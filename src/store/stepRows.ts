import { type SQL, sql } from 'drizzle-orm'
import type { StepRecord } from '../engine/records.ts'
import { columnsOf } from './columnsOf.ts'
import { encode } from './rows.ts'

/** The columns of `kern.step_results` that {@link stepRows} gives, in its order: all but `answer`, which commands write. */
export const STEP_COLUMNS = sql.raw(`run_id, path, position, parent_path, name, kind, status, input_from, input, output,
  output_preview, partial_output, error, state_patch, decision, pending, usage, history_used, stops_run, max_attempts,
  attempts, started_at, completed_at`)

/** Steps as the rows of a query. An input that is stored elsewhere is not stored again. */
export function stepRows(steps: readonly StepRecord[]): SQL {
  const column = columnsOf(steps)
  return sql`select t.run_id, t.path, t.position, t.parent_path, t.name, t.kind, t.status, t.input_from, t.input::json,
    t.output::json, t.output_preview, t.partial_output::json, t.error::json, t.state_patch::json, t.decision::json,
    t.pending::json, t.usage::json, t.history_used, t.stops_run, t.max_attempts, t.attempts::json, t.started_at,
    t.completed_at
    from unnest(
    ${column((step) => step.runId)}::uuid[],
    ${column((step) => step.path)}::text[],
    ${column((step) => step.position)}::int[],
    ${column((step) => step.parentPath)}::text[],
    ${column((step) => step.name)}::text[],
    ${column((step) => step.kind)}::text[],
    ${column((step) => step.status)}::text[],
    ${column((step) => step.inputFrom)}::text[],
    ${column((step) => (step.inputFrom === 'own' ? encode(step.input) : null))}::text[],
    ${column((step) => encode(step.output))}::text[],
    ${column((step) => step.outputPreview)}::text[],
    ${column((step) => encode(step.partialOutput))}::text[],
    ${column((step) => step.error && encode({ ...step.error }))}::text[],
    ${column((step) => encode(step.statePatch))}::text[],
    ${column((step) => encode(step.decision))}::text[],
    ${column((step) => step.pending && encode({ ...step.pending }))}::text[],
    ${column((step) => step.usage && encode({ ...step.usage }))}::text[],
    ${column((step) => step.historyUsed)}::bool[],
    ${column((step) => step.stopsRun)}::bool[],
    ${column((step) => step.maxAttempts)}::int[],
    ${column((step) => JSON.stringify(step.attempts))}::text[],
    ${column((step) => step.startedAt.toISOString())}::timestamptz[],
    ${column((step) => step.completedAt?.toISOString())}::timestamptz[]
  ) as t(${STEP_COLUMNS})`
}
