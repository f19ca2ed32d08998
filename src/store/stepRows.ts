import { sql } from 'drizzle-orm'
import type { StepRecord } from '../engine/records.ts'
import { encode, storedAttempts, storedPreview } from './rows.ts'
import { type Column, rowSetOf } from './rowSet.ts'

/** An input that is stored elsewhere is not stored again. `answer` is left out: commands write it. */
const COLUMNS: readonly Column<StepRecord>[] = [
  ['run_id', 'uuid', (step) => step.runId],
  ['path', 'text', (step) => step.path],
  ['position', 'int', (step) => step.position],
  ['parent_path', 'text', (step) => step.parentPath],
  ['name', 'text', (step) => step.name],
  ['kind', 'text', (step) => step.kind],
  ['status', 'text', (step) => step.status],
  ['input_from', 'text', (step) => step.inputFrom],
  ['input', 'json', (step) => (step.inputFrom === 'own' ? encode(step.input) : null)],
  ['output', 'json', (step) => encode(step.output)],
  ['output_preview', 'text', storedPreview],
  ['partial_output', 'json', (step) => encode(step.partialOutput)],
  ['error', 'json', (step) => step.error && encode({ ...step.error })],
  ['state_patch', 'json', (step) => encode(step.statePatch)],
  ['decision', 'json', (step) => encode(step.decision)],
  ['pending', 'json', (step) => step.pending && encode({ ...step.pending })],
  ['usage', 'json', (step) => step.usage && encode({ ...step.usage })],
  ['history_used', 'bool', (step) => step.historyUsed],
  ['stops_run', 'bool', (step) => step.stopsRun],
  ['max_attempts', 'int', (step) => step.maxAttempts],
  ['attempts', 'json', storedAttempts],
  ['started_at', 'timestamptz', (step) => step.startedAt],
  ['completed_at', 'timestamptz', (step) => step.completedAt],
]

/** Steps as the rows of a query. */
export const stepRows = rowSetOf(COLUMNS)

/** The columns of `kern.step_results` that {@link stepRows} gives, in its order. */
export const STEP_COLUMNS = COLUMNS.map(([name]) => name).join(', ')

/** The statement that inserts steps which nothing has recorded yet. */
export const insertSteps = (steps: readonly StepRecord[]) =>
  sql`insert into kern.step_results (${sql.raw(STEP_COLUMNS)}) ${stepRows.sql(steps)}`
