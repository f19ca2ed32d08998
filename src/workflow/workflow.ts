import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type Duration, MAX_DURABLE_MS } from '../clock.ts'
import { isKernError, KernError, shown } from '../errors.ts'
import { DEFAULT_LIMITS, deepFreeze, isJsonObject, type Json, type JsonObject, storable } from '../json.ts'
import type { Chain, DefinitionOf, StartOf } from './chain.ts'
import type { Schema, VersionPolicy, WorkflowDefinition, WorkflowNode } from './definition.ts'
import { checkHistory } from './historyCheck.ts'
import type { InitialState } from './infer.ts'
import { placeNodes, readSteps, sealDefinition } from './nodes.ts'
import { readSchedule, type ScheduleOptions } from './schedule.ts'
import {
  MAX_CONCURRENCY,
  MAX_HISTORY_RUNS,
  readChoice,
  readCount,
  readDescription,
  readFlag,
  readId,
  readJson,
  readName,
  readOptions,
  readPriority,
  readSchema,
  readTimeout,
  refused,
} from './validate.ts'
import { dataOf, type Unversioned, versionOf } from './version.ts'

/**
 * What a workflow is made of. `Input` and `State` are the types of its schemas, undefined where it has none. Each step
 * must accept what its left neighbour yields, and the first one what the input schema gives.
 */
export interface WorkflowOptions<
  Input extends Schema | undefined,
  State extends Schema | undefined,
  Steps extends readonly WorkflowNode[],
> {
  /** What people call it: 1 to 100 characters. */
  readonly name: string
  /** What programs call it: 1 to 100 of the characters a-z 0-9 . _ -. @default the slug of the name */
  readonly id?: string | undefined
  readonly description?: string | undefined
  /** Checks the input of a run; the first step gets what it gives. @default everything fits */
  readonly input?: Input | undefined
  /** Checks the state of a session. @default any object fits */
  readonly state?: State | undefined
  /** The state of a session that no run has changed yet. @default {} */
  readonly initialState?: InitialState<State> | undefined
  /** In the order in which they run; at least one. */
  readonly steps: Steps & Chain<StartOf<Input, Steps>, Steps>
  /** Whether steps are given history, where they do not say. @default false */
  readonly addWorkflowHistoryToSteps?: boolean | undefined
  /** How many runs of history steps are given, where they do not say, 1 to 100. @default 3 */
  readonly numHistoryRuns?: number | undefined
  /** How long the block of history may be; the oldest runs are left out until it fits. @default no limit */
  readonly historyBudget?: HistoryBudget | undefined
  /** How long a run may take from its start. @default no limit */
  readonly timeout?: Duration | undefined
  /**
   * Of runs that are given none, −100 to 100: among runs that wait for a worker, those with a higher one are taken first.
   *
   * @default 0
   */
  readonly priority?: number | undefined
  /**
   * How many of its runs may be executed at once, by all processes together, 1 to 1,000; others wait. A run that waits for
   * a person or a time does not count.
   *
   * @default no limit
   */
  readonly concurrency?: number | undefined
  /**
   * What becomes of a run that has recorded something, when no process serves its version any more: `finish` goes on with
   * another version, if that has all steps which were recorded, with the same paths and kinds; `fail` ends it as FAILED
   * with DEFINITION_CHANGED.
   *
   * @default 'finish'
   */
  readonly onVersionChange?: VersionPolicy | undefined
  /**
   * How long its runs are kept after their end: older ones are deleted, and their sessions with them where nothing else is
   * left of these.
   *
   * @default what the process keeps to (`retentionMs` of `createKern`), which is for ever if it has no setting
   */
  readonly retention?: Duration | undefined
  /** Starts runs by itself at certain times. @default never */
  readonly schedule?: ScheduleOptions<Input extends Schema ? StandardSchemaV1.InferInput<Input> : Json> | undefined
}

/** How long the block of history may be. */
export interface HistoryBudget {
  /** UTF-16 code units, at least 1. */
  readonly characters: number
}

const WORKFLOW_KEYS = [
  'name',
  'id',
  'description',
  'input',
  'state',
  'initialState',
  'steps',
  'addWorkflowHistoryToSteps',
  'numHistoryRuns',
  'historyBudget',
  'timeout',
  'priority',
  'concurrency',
  'onVersionChange',
  'retention',
  'schedule',
] as const satisfies readonly (keyof WorkflowOptions<undefined, undefined, readonly WorkflowNode[]>)[]

const DEFAULT_HISTORY_RUNS = 3

/** Twice the depth of nodes, and the objects around them: deeper than what users may store, which data is not. */
const DATA_LIMITS = Object.freeze({ ...DEFAULT_LIMITS, maxDepth: 128 })

/**
 * Defines a workflow: frozen data, which does nothing by itself.
 *
 * @throws KernError DEFINITION_INVALID with the name of the offender, what was given and what is allowed
 */
export function defineWorkflow<
  Input extends Schema | undefined = undefined,
  State extends Schema | undefined = undefined,
  const Steps extends readonly WorkflowNode[] = readonly WorkflowNode[],
>(options: WorkflowOptions<Input, State, Steps>): DefinitionOf<Input, State, Steps>
export function defineWorkflow(given: unknown): WorkflowDefinition {
  const named =
    typeof given === 'object' && given !== null && 'name' in given ? `workflow ${shown(given.name)}` : 'a workflow'
  const options = readOptions(named, given, WORKFLOW_KEYS)
  const name = readName('the name of a workflow', options.name)
  const steps = readSteps(named, options.steps)
  const nodes = placeNodes(named, steps)
  const unversioned: Unversioned = {
    id: readId(`id of ${named}`, options.id, name),
    name,
    description: readDescription(`description of ${named}`, options.description),
    input: readSchema(`input of ${named}`, options.input),
    state: readSchema(`state of ${named}`, options.state),
    initialState: readInitialState(named, options.initialState),
    steps,
    addWorkflowHistoryToSteps:
      readFlag(`addWorkflowHistoryToSteps of ${named}`, options.addWorkflowHistoryToSteps) ?? false,
    numHistoryRuns:
      readCount(`numHistoryRuns of ${named}`, options.numHistoryRuns, MAX_HISTORY_RUNS) ?? DEFAULT_HISTORY_RUNS,
    historyBudget: readBudget(named, options.historyBudget),
    timeoutMs: readTimeout(`timeout of ${named}`, options.timeout),
    priority: readPriority(`priority of ${named}`, options.priority) ?? 0,
    concurrency: readCount(`concurrency of ${named}`, options.concurrency, MAX_CONCURRENCY),
    onVersionChange:
      readChoice(`onVersionChange of ${named}`, options.onVersionChange, ['finish', 'fail'] as const) ?? 'finish',
    retentionMs: readTimeout(`retention of ${named}`, options.retention, MAX_DURABLE_MS),
    schedule: readSchedule(named, options.schedule),
  }
  checkHistory(named, options, { nodes, byDefault: unversioned.addWorkflowHistoryToSteps })
  const version = versionOf(unversioned)
  const data = checkedData(named, dataOf(unversioned, version))
  return sealDefinition({ kind: 'workflow', ...unversioned, version, nodes, data })
}

function readInitialState(named: string, given: unknown): JsonObject {
  const value = readJson(`initialState of ${named}`, given === undefined ? {} : given)
  if (!isJsonObject(value)) throw refused(`initialState of ${named}`, given, 'allowed is an object')
  return deepFreeze(value)
}

function readBudget(named: string, given: unknown): WorkflowDefinition['historyBudget'] {
  if (given === undefined) return null
  const place = `historyBudget of ${named}`
  const { characters: value } = readOptions(place, given, ['characters'])
  const characters = readCount(`historyBudget.characters of ${named}`, value, Number.MAX_SAFE_INTEGER)
  if (characters === null) throw refused(place, given, 'allowed is { characters: a whole number of at least 1 }')
  return Object.freeze({ characters })
}

/** A session keeps the data: it must fit like any other value. */
function checkedData(named: string, data: JsonObject): JsonObject {
  try {
    storable(data, DATA_LIMITS)
  } catch (error) {
    if (!isKernError(error)) throw error
    const message = `${named} is too large for a session to keep its description: ${error.message}`
    throw new KernError('DEFINITION_INVALID', message, { cause: error })
  }
  return data
}
