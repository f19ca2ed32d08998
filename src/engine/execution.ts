import type { Clock } from '../clock.ts'
import { KernError } from '../errors.ts'
import { type Json, type JsonObject, storable, type ValueLimits } from '../json.ts'
import { renderHistory, withinBudget } from '../session/history.ts'
import type { History, HistoryRun } from '../workflow/context.ts'
import type { WorkflowDefinition, WorkflowNode } from '../workflow/definition.ts'
import { Interrupted } from './failure.ts'
import type { InputSource, RunRecord, StepRecord } from './records.ts'
import type { Recorder } from './recorder.ts'

/** A value on its way from one step to the next, with the place where it is stored. */
export interface Flow {
  readonly value: Json | undefined
  readonly source: InputSource
}

/** How a node ended, if it did not fail: with its output, or by ending the whole run. */
export type NodeOutcome =
  | { readonly type: 'done'; readonly flow: Flow }
  | { readonly type: 'stopped'; readonly output: Json; readonly by: string }

/** Where a node stands in the tree. */
export interface Place {
  readonly path: string
  readonly parentPath: string | null
}

/** Runs nodes one after another, each with its left neighbour's output. Handed to the kinds that hold others. */
export type RunNodes = (
  execution: Execution,
  nodes: readonly WorkflowNode[],
  parentPath: string | null,
  input: Flow,
) => Promise<NodeOutcome>

/** What the nodes of one run share while it is executed. */
export interface Execution {
  readonly run: RunRecord
  readonly definition: WorkflowDefinition
  readonly recorder: Recorder
  readonly clock: Clock
  readonly random: () => number
  readonly limits: ValueLimits
  /** How long a body may go on after `signal` aborted, in milliseconds. */
  readonly graceMs: number
  /** Aborts with the KernError that says why the run is to stop. */
  readonly signal: AbortSignal
  /** Aborts when no further step may start, while running ones may still end. */
  readonly draining: AbortSignal
  readonly runInput: Json | undefined
  /** The completed runs that steps of this run may be given, oldest first. */
  readonly historyRuns: readonly HistoryRun[]
  readonly readHistory: (count: number) => Promise<readonly HistoryRun[]>
  readonly steps: Map<string, StepRecord>
  /** The session's state, as recorded. */
  state: JsonObject
  /** The next free position in the order of steps. */
  position: number
  /** Events that authors added so far. */
  authorEvents: number
}

/** Throws if the run is to stop here. Called before each step. */
export function checkpoint(execution: Execution): void {
  const { signal, draining } = execution
  const stopping = signal.aborted ? signal : draining
  if (!stopping.aborted) return
  const { reason } = stopping
  throw new Interrupted(
    reason instanceof KernError ? reason : new KernError('INTERNAL', 'the run was aborted', { cause: reason }),
  )
}

/** Whether a node is given history, and how many runs. */
export function historySettings(
  definition: WorkflowDefinition,
  node: { readonly addWorkflowHistory: boolean | null; readonly numHistoryRuns: number | null },
): { readonly added: boolean; readonly count: number } {
  return {
    added: node.addWorkflowHistory ?? definition.addWorkflowHistoryToSteps,
    count: node.numHistoryRuns ?? definition.numHistoryRuns,
  }
}

/** The largest number of earlier runs that any step of the workflow is given. */
export function historyNeeded(definition: WorkflowDefinition): number {
  let most = 0
  for (const { node } of definition.nodes) {
    if (node.kind !== 'step') continue
    const { added, count } = historySettings(definition, node)
    if (added) most = Math.max(most, count)
  }
  return most
}

/** The history that one step gets. */
export function historyFor(
  execution: Execution,
  settings: { readonly added: boolean; readonly count: number },
): History {
  const { definition, historyRuns, readHistory } = execution
  const runs = settings.added ? withinBudget(historyRuns.slice(-settings.count), definition.historyBudget) : []
  return { runs, text: renderHistory(runs), get: (count) => readHistory(count) }
}

/** A copy of a value that can be stored; what its author does to the original later has no effect. @throws KernError */
export function checkedJson(execution: Pick<Execution, 'limits'>, value: unknown): Json {
  return storable(value, execution.limits).value
}

/** The recorded output of a step that an author names by its definition: the newest, where it stands in several places. */
export function recordedOutput(execution: Execution, source: unknown): Json | undefined {
  let newest: StepRecord | undefined
  for (const { path, node } of execution.definition.nodes) {
    const record = node === source ? execution.steps.get(path) : undefined
    if (record?.status === 'COMPLETED' && (!newest || record.position > newest.position)) newest = record
  }
  return newest?.output
}
