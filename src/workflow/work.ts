import type { Duration } from '../clock.ts'
import type { OnError, WorkNode, WorkNodeBase } from './definition.ts'
import type { Flow, Passes, TypedNode } from './infer.ts'
import { type RetryOptions, readRetry } from './retry.ts'
import {
  MAX_HISTORY_RUNS,
  type RawOptions,
  readCount,
  readDescription,
  readFlag,
  readNodeName,
  readSchema,
  readTimeout,
  refused,
} from './validate.ts'

/** The rules under which a step or agent step does its work. */
export interface WorkRules {
  readonly description?: string | undefined
  readonly retry?: RetryOptions | undefined
  /** How long one attempt may take. @default no limit */
  readonly timeout?: Duration | undefined
  /** Whether the step is given history. @default as the workflow says */
  readonly addWorkflowHistory?: boolean | undefined
  /** How many runs of history the step is given, 1 to 100. @default as the workflow says */
  readonly numHistoryRuns?: number | undefined
}

/** The right neighbour of a step that was skipped gets what the step itself was given. */
export interface SkipFlow<Output> extends Flow {
  readonly out: Output | this['in']
}

/** A node with work of its own as its `onError` makes it: only one that fails the run always yields its output. */
export type WorkTyped<Node extends WorkNode, Name extends string, Input, Output, Fault extends OnError> = [
  Fault,
] extends ['fail']
  ? TypedNode<Node, Name, Input, Output>
  : TypedNode<Node, Name, Input, Output | Input> & Passes<SkipFlow<Output>>

/** The options that the nodes with work of their own have in common. */
export const WORK_KEYS = [
  'name',
  'description',
  'input',
  'output',
  'state',
  'retry',
  'timeout',
  'onError',
  'addWorkflowHistory',
  'numHistoryRuns',
] as const

/**
 * Reads the options that the nodes with work of their own have in common.
 *
 * @param place what the node is and its name, for errors: `step "load"`
 * @throws KernError DEFINITION_INVALID
 */
export function readWork(
  { place, kind }: { readonly place: string; readonly kind: string },
  options: RawOptions<(typeof WORK_KEYS)[number]>,
): WorkNodeBase {
  const work: WorkNodeBase = {
    name: readNodeName(`the name of ${kind}`, options.name),
    description: readDescription(`description of ${place}`, options.description),
    input: readSchema(`input of ${place}`, options.input),
    output: readSchema(`output of ${place}`, options.output),
    state: readSchema(`state of ${place}`, options.state),
    retry: readRetry(place, options.retry),
    timeoutMs: readTimeout(`timeout of ${place}`, options.timeout),
    onError: readOnError(place, options.onError),
    addWorkflowHistory: readFlag(`addWorkflowHistory of ${place}`, options.addWorkflowHistory),
    numHistoryRuns: readCount(`numHistoryRuns of ${place}`, options.numHistoryRuns, MAX_HISTORY_RUNS),
  }
  if (work.addWorkflowHistory === false && work.numHistoryRuns !== null) {
    throw refused(`numHistoryRuns of ${place}`, work.numHistoryRuns, 'allowed is none with addWorkflowHistory: false')
  }
  return work
}

function readOnError(place: string, value: unknown): OnError {
  if (value === undefined) return 'fail'
  if (value !== 'fail' && value !== 'skip' && value !== 'pause') {
    throw refused(`onError of ${place}`, value, "allowed are 'fail', 'skip' and 'pause'")
  }
  return value
}
