import { KernError } from '../errors.ts'
import {
  copyJson,
  deepFreeze,
  isJsonObject,
  type Json,
  type JsonObject,
  jsonEquals,
  storable,
  type ValueLimits,
} from '../json.ts'
import { deepMerge, diffPatch } from '../session/mergePatch.ts'
import { withinBudget } from '../session/history.ts'
import type { HistoryRun } from '../workflow/context.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import { definitionPathOf } from '../workflow/nodes.ts'
import { faultsText, validate } from '../workflow/schemaCheck.ts'
import { historyNeeded } from './nodeHistory.ts'
import type { TakenRun } from './ports.ts'
import type { Reader } from './reader.ts'
import type { Change, NewEvent } from './recorder.ts'
import { isReused } from './records.ts'

/** What a run begins with, whether it starts or goes on. */
export interface Beginning {
  /** The input as the workflow's schema gives it; all steps share it, so it cannot be changed. */
  readonly runInput: Json | undefined
  /** The session's state where the first step begins. */
  readonly stateBefore: JsonObject
  /** The session's state now. */
  readonly state: JsonObject
  readonly historyRuns: readonly HistoryRun[]
  /** What is to be recorded of it; null where that was done before. */
  readonly change: Change | null
}

export interface BeginOptions {
  readonly taken: TakenRun
  readonly definition: WorkflowDefinition
  readonly reader: Reader
  readonly limits: ValueLimits
}

/** Gathers what the steps of a run share. @throws KernError DEFINITION_CHANGED, INPUT_INVALID, STATE_INVALID */
export async function beginRun({ taken, definition, reader, limits }: BeginOptions): Promise<Beginning> {
  const { run, payload, fresh } = taken
  assertGoesOn(taken, definition)
  const runInput = await parsedInput(taken, definition, limits)
  const needed = historyNeeded(definition)
  const historyRuns = needed === 0 ? [] : await reader.completedRuns(run.sessionId, run.number, needed)
  for (const past of historyRuns) freezeRun(past)
  if (!fresh) {
    const stateBefore = deepFreeze(copyJson(payload.stateBefore ?? taken.state))
    return { runInput, stateBefore, state: deepFreeze(copyJson(taken.state)), historyRuns, change: null }
  }

  const merged = deepMerge(deepMerge(definition.initialState, taken.state), payload.stateGiven ?? {})
  const state = await stateWithDefaults(definition, merged, limits)
  const historyRunIds = withinBudget(historyRuns, definition.historyBudget).map(({ runId }) => runId)
  const changed = !jsonEquals(state, taken.state)
  return {
    runInput,
    stateBefore: deepFreeze(state),
    state,
    historyRuns,
    change: {
      ...startOf(
        { stateBefore: state, historyRunIds },
        {
          ...(run.retryOf === null
            ? {}
            : { data: { retryOf: run.retryOf, reusedSteps: taken.steps.filter(isReused).length } }),
          ...(changed ? { statePatch: diffPatch(taken.state, state) } : {}),
        },
      ),
      ...(changed ? { state } : {}),
    },
  }
}

/** That a run starts, and with what: one change, so that a run has either not started, or with all of it. */
export function startOf(
  start: NonNullable<Change['start']>,
  { data, statePatch }: { readonly data?: JsonObject; readonly statePatch?: JsonObject } = {},
): Change {
  const events: NewEvent[] = [{ type: 'RUN_STARTED', data }]
  if (statePatch) events.push({ type: 'STATE_CHANGED', data: statePatch })
  return { start, events }
}

/**
 * The state as the workflow's schema completes it. Only what the schema adds is taken over: a key that it does not know
 * stays, since a schema that strips unknown keys must not delete what is stored.
 *
 * @throws KernError STATE_INVALID, VALUE_NOT_STORABLE, VALUE_TOO_LARGE
 */
export async function stateWithDefaults(
  definition: WorkflowDefinition,
  state: JsonObject,
  limits: ValueLimits,
): Promise<JsonObject> {
  const result = await validate(definition.state, copyJson(state))
  if ('issues' in result) {
    throw new KernError(
      'STATE_INVALID',
      `the state does not fit the state schema of workflow "${definition.id}": ${faultsText(result.issues)}`,
      {
        issues: result.issues,
      },
    )
  }
  const parsed = storable(result.value, limits).value
  if (!isJsonObject(parsed)) {
    throw new KernError(
      'STATE_INVALID',
      `the state schema of workflow "${definition.id}" gives something that is not an object`,
    )
  }
  const completed = storable(deepMerge(state, parsed), limits).value
  return isJsonObject(completed) ? completed : state
}

/** The steps of a run share its history: one that could change it would change what the next ones are given. */
function freezeRun(run: HistoryRun): void {
  deepFreeze(run.input ?? null)
  deepFreeze(run.output ?? null)
  Object.freeze(run)
}

async function parsedInput(
  taken: TakenRun,
  definition: WorkflowDefinition,
  limits: ValueLimits,
): Promise<Json | undefined> {
  const { input } = taken.payload
  const result = await validate(definition.input, input === undefined ? undefined : copyJson(input))
  if ('issues' in result) {
    throw new KernError(
      'INPUT_INVALID',
      `the input of run ${taken.run.runId} does not fit the input schema of workflow "${definition.id}": ${faultsText(result.issues)}`,
    )
  }
  return result.value === undefined ? undefined : deepFreeze(storable(result.value, limits).value)
}

/**
 * Checks that a run may go on under a definition. Results are matched by path, so each step that was recorded has to be in
 * it, as the same kind of step; and one that wants its runs to end with their version has to be that version.
 *
 * @throws KernError DEFINITION_CHANGED
 */
export function assertGoesOn({ run, steps, fresh }: TakenRun, definition: WorkflowDefinition): void {
  const begun = !fresh || steps.length > 0
  if (begun && definition.onVersionChange === 'fail' && run.workflowVersion !== definition.version) {
    throw new KernError(
      'DEFINITION_CHANGED',
      `run ${run.runId} was begun with version ${run.workflowVersion} of workflow "${definition.id}", which no process serves any more: this is version ${definition.version}, and onVersionChange is "fail"`,
    )
  }
  const kinds = new Map(definition.nodes.map(({ path, node }) => [path, node.kind]))
  const lost = steps.find(({ path, kind }) => kinds.get(definitionPathOf(path)) !== kind)
  if (!lost) return
  throw new KernError(
    'DEFINITION_CHANGED',
    `run ${run.runId} was started with version ${run.workflowVersion} of workflow "${definition.id}" and has recorded step "${lost.path}" (${lost.kind}), which version ${definition.version} does not have`,
  )
}
