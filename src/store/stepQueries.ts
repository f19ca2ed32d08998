import { and, asc, eq, getTableColumns, type SQL, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import type { Db } from '../db/client.ts'
import { runs, stepResults } from '../db/tables.ts'
import type { Reader, StepKey } from '../engine/reader.ts'
import type { StepRecord, StepValues } from '../engine/records.ts'
import { isUuid } from '../ids.ts'
import type { Viewer } from '../viewer.ts'
import { anyOf } from './anyOf.ts'
import { decode, stepSummaryOf } from './rows.ts'
import { visibleRuns } from './visible.ts'

type StepQueries = Pick<Reader, 'steps' | 'stepSummaries' | 'stepsByPath' | 'stepValues'>

const { input: _input, output, partialOutput, decision, ...plainColumns } = getTableColumns(stepResults)

const summaryColumns = {
  ...plainColumns,
  // Only where it is small: see `storedPreview`.
  smallOutput: sql<
    string | null
  >`case when kern.step_results.output_preview is null then kern.step_results.output::text end`.as('small_output'),
}

/** A step's input is stored once: where it is its left neighbour's output, or the run's input, it is fetched from there. */
const valueColumns = {
  output,
  partialOutput,
  input: sql<string | null>`case
    when kern.step_results.input_from = 'run' then (
      select p.input from kern.run_payloads p where p.run_id = kern.step_results.run_id)
    when kern.step_results.input_from like 'step:%' then (
      select n.output from kern.step_results n
      where n.run_id = kern.step_results.run_id and n.path = substr(kern.step_results.input_from, 6))
    else kern.step_results.input end`.as('input_text'),
}

export function createStepQueries(db: Db, viewer: Viewer): StepQueries {
  const visible = visibleRuns(viewer)
  const ofRuns = (runIds: readonly string[]) => and(visible, anyOf(stepResults.runId, runIds.filter(isUuid)))

  const summaries = (condition: SQL | undefined) =>
    db
      .select(summaryColumns)
      .from(stepResults)
      .innerJoin(runs, eq(runs.runId, stepResults.runId))
      .where(condition)
      .orderBy(asc(stepResults.runId), asc(stepResults.position))

  return {
    async steps(runIds) {
      const found = await db
        .select({ summary: summaryColumns, values: valueColumns, decided: decision })
        .from(stepResults)
        .innerJoin(runs, eq(runs.runId, stepResults.runId))
        .where(ofRuns(runIds))
        .orderBy(asc(stepResults.runId), asc(stepResults.position))
      const steps = found.map(
        ({ values, decided, summary }): StepRecord => ({
          ...stepSummaryOf(summary),
          ...valuesOf(values),
          decision: decode(decided),
        }),
      )
      return grouped(runIds, steps)
    },
    async stepSummaries(runIds) {
      return grouped(runIds, (await summaries(ofRuns(runIds))).map(stepSummaryOf))
    },
    async stepsByPath(keys) {
      const found = await summaries(and(visible, isOneOf(keys)))
      return byKey(keys, found.map(stepSummaryOf))
    },
    async stepValues(keys) {
      const found = await db
        .select({ key: { runId: stepResults.runId, path: stepResults.path }, values: valueColumns })
        .from(stepResults)
        .innerJoin(runs, eq(runs.runId, stepResults.runId))
        .where(and(visible, isOneOf(keys)))
      return byKey(
        keys,
        found.map(({ key, values }) => ({ ...key, ...valuesOf(values) })),
      )
    },
  }
}

interface ValueTexts {
  readonly input: string | null
  readonly output: string | null
  readonly partialOutput: string | null
}

function valuesOf({ input, output, partialOutput }: ValueTexts): StepValues {
  return { input: decode(input), output: decode(output), partialOutput: decode(partialOutput) }
}

function isOneOf(keys: readonly StepKey[]): SQL {
  const wanted = keys.filter(({ runId }) => isUuid(runId))
  const runIds = arrayText(wanted.map(({ runId }) => runId))
  const paths = arrayText(wanted.map(({ path }) => path))
  return sql`(${stepResults.runId}, ${stepResults.path}) in (
    select * from unnest(${runIds}::text::uuid[], ${paths}::text::text[]))`
}

function grouped<Step extends StepKey>(runIds: readonly string[], steps: readonly Step[]): Step[][] {
  const byRun = Map.groupBy(steps, ({ runId }) => runId)
  return runIds.map((id) => byRun.get(id) ?? [])
}

function byKey<Step extends StepKey>(keys: readonly StepKey[], steps: readonly Step[]): (Step | null)[] {
  const found = new Map(steps.map((step) => [`${step.runId}:${step.path}`, step]))
  return keys.map(({ runId, path }) => found.get(`${runId}:${path}`) ?? null)
}
