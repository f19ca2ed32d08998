import { isDeepStrictEqual } from 'node:util'
import type postgres from 'postgres'
import type { Row } from './evidence.ts'
import type { Seen } from './follower.ts'

/** A step as a row has it, or an answer of a server. */
interface Step {
  readonly path: string
  readonly status: string
  readonly output: unknown
}

/** An event, and what a connection of its own found in the rows once it had come. */
export interface Witness {
  readonly event: Seen
  /** How many events the run had, which is the `seq` of the newest. */
  readonly events: number
  readonly status: string | null
  readonly steps: readonly Step[]
}

interface Columns {
  readonly events: number
  readonly status: string | null
  readonly steps: readonly Step[] | null
}

/** Reads the rows of the run that an event is of. */
export async function witness(sql: postgres.Sql, event: Seen): Promise<Witness> {
  const [runId = ''] = event.key.split(':')
  const [row] = await sql<Columns[]>`select
    (select max(seq) from kern.events where run_id = ${runId})::int as events,
    (select status from kern.runs where run_id = ${runId}) as status,
    (select json_agg(json_build_object('path', path, 'status', status, 'output', output))
      from kern.step_results where run_id = ${runId}) as steps`
  return { event, events: row?.events ?? 0, status: row?.status ?? null, steps: row?.steps ?? [] }
}

/** The steps of all runs by `<runId>:<path>`. */
export async function readSteps(sql: postgres.Sql): Promise<ReadonlyMap<string, Step>> {
  const rows = await sql<(Step & { readonly key: string })[]>`
    select run_id || ':' || path as key, path, status, output from kern.step_results`
  return new Map(rows.map((row) => [row.key, row]))
}

/** What makes a run come into a status, or a step end. */
const STATUS: Readonly<Record<string, string>> = {
  RUN_QUEUED: 'QUEUED',
  RUN_STARTED: 'RUNNING',
  RUN_PAUSED: 'PAUSED',
  RUN_RESUMED: 'RUNNING',
  RUN_COMPLETED: 'COMPLETED',
  STEP_COMPLETED: 'COMPLETED',
}

/** Where an event told of something that was not there yet: in the rows, or in what came with it. */
export function untruths(
  witnesses: readonly Witness[],
  rows: readonly Row[],
  steps: ReadonlyMap<string, Step>,
): string[] {
  const byRun = Map.groupBy(rows, ({ runId }) => runId)
  return witnesses.flatMap((one) => {
    const [runId = '', digits] = one.event.key.split(':')
    const own = byRun.get(runId) ?? []
    const row = own[Number(digits) - 1]
    if (!row) return [`${one.event.key} is of no row`]
    const told = toldOf(one.event)
    const statuses = statusesFrom(own, row)
    const found = one.steps.find(({ path }) => path === row.stepPath)
    return [
      ...(one.events >= row.seq ? [] : [`when event ${row.seq} came there were ${one.events}`]),
      ...(statuses.has(one.status ?? '') ? [] : [`after ${row.key} ${row.type} the run was ${one.status}`]),
      ...(statuses.has(told.status) ? [] : [`with ${row.key} ${row.type} came a run that was ${told.status}`]),
      ...stepFaults('there was', { row, step: found, steps }),
      ...stepFaults('there came', { row, step: told.step, steps }),
    ]
  })
}

/** The statuses that the run has as of an event, and later. */
function statusesFrom(own: readonly Row[], { seq }: Row): ReadonlySet<string> {
  const changes = own.filter(({ type }) => type.startsWith('RUN_'))
  const current = changes.findLast((row) => row.seq <= seq)
  const later = changes.filter((row) => row.seq > seq)
  return new Set([current, ...later].map((row) => STATUS[row?.type ?? ''] ?? ''))
}

interface OfStep {
  readonly row: Row
  readonly step: Step | undefined
  readonly steps: ReadonlyMap<string, Step>
}

function stepFaults(how: string, { row, step, steps }: OfStep): string[] {
  if (row.stepPath === null) return []
  const what = `with ${row.key} ${row.type} ${row.stepPath} ${how}`
  if (step?.path !== row.stepPath) return [`${what} ${step ? step.path : 'no step'}`]
  if (row.type !== 'STEP_COMPLETED') return []
  const last = steps.get(`${row.runId}:${row.stepPath}`)
  if (step.status === 'COMPLETED' && isDeepStrictEqual(step.output, last?.output)) return []
  return [`${what} ${JSON.stringify(step)}, not ${JSON.stringify(last)}`]
}

function toldOf({ rest }: Seen): { readonly status: string; readonly step: Step | undefined } {
  // As the subscription asked for.
  const { run, step } = rest as { readonly run: { readonly status: string }; readonly step: Step | null }
  return { status: run.status, step: step ?? undefined }
}
