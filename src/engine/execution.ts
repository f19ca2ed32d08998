import type { Clock } from '../clock.ts'
import { KernError } from '../errors.ts'
import { type Json, type JsonObject, storable, type ValueLimits } from '../json.ts'
import type { HistoryRun } from '../workflow/context.ts'
import type { StepNode, WorkflowDefinition, WorkflowNode } from '../workflow/definition.ts'
import type { Answers } from './answers.ts'
import { Interrupted } from './failure.ts'
import type { Partials } from './partials.ts'
import type { Recorder } from './recorder.ts'
import type { InputSource, RunRecord, StepRecord } from './records.ts'
import type { StateView } from './stateView.ts'

/** A value on its way from one step to the next, with the place where it is stored. */
export interface Flow {
  readonly value: Json | undefined
  readonly source: InputSource
}

/** Something in the node waits, and nothing in it can go on before that. */
export interface Waiting {
  readonly type: 'waiting'
  /** When it goes on by itself; null if it does not. */
  readonly until: Date | null
  /** Whether a person is waited for. */
  readonly person: boolean
}

/** How a node ended, if it did not fail: with its output, by ending the whole run, or not yet. */
export type NodeOutcome =
  | { readonly type: 'done'; readonly flow: Flow }
  | { readonly type: 'stopped'; readonly output: Json; readonly by: string }
  | Waiting

/** Where a node stands in the run. */
export interface Place {
  readonly path: string
  readonly parentPath: string | null
}

/** Which nodes to run one after another, each with its left neighbour's output. */
export interface NodeList {
  readonly nodes: readonly WorkflowNode[]
  /** The path of the node around them; null at the top. */
  readonly parentPath: string | null
  /** What their paths begin with, if that is another: that of the iteration or item. */
  readonly prefix?: string
  readonly input: Flow
}

/** Runs a list of nodes. Handed to the kinds that hold others. */
export type RunNodes = (scope: Scope, list: NodeList) => Promise<NodeOutcome>

/** Functions that take the place of those of steps, by the definition's path. */
export type Overrides = ReadonlyMap<string, StepNode['run']>

/** A recorded change of the state. */
export interface RecordedPatch {
  readonly path: string
  readonly patch: JsonObject
  /** Whether the run has it from the one that it is a retry of: then the state it began with has it too. */
  readonly reused: boolean
}

/** What the nodes of one run share while it is executed. */
export interface Execution {
  readonly run: RunRecord
  readonly definition: WorkflowDefinition
  readonly recorder: Recorder
  /** Whether a process has died with the run: then it is written down what begins before it does. */
  readonly cautious: boolean
  readonly clock: Clock
  readonly random: () => number
  readonly limits: ValueLimits
  /** How long a body may go on after its signal aborted, in milliseconds. */
  readonly graceMs: number
  /** A wait for a time that is longer than this puts the run aside, in milliseconds. */
  readonly parkMs: number
  /** Aborts when no further step may start, while running ones may still end. */
  readonly draining: AbortSignal
  /** The completed runs that steps of this run may be given, oldest first. */
  readonly historyRuns: readonly HistoryRun[]
  readonly readHistory: (count: number) => Promise<readonly HistoryRun[]>
  readonly overrides: Overrides
  readonly steps: Map<string, StepRecord>
  /** The recorded changes of the state, in an order in which they were made. */
  readonly patches: RecordedPatch[]
  readonly answers: Answers
  readonly partials: Partials
  /** The session's state, as recorded: with what all branches changed so far. */
  state: JsonObject
  /** The next free position in the order of steps. */
  position: number
  /** Events that authors added so far. */
  authorEvents: number
}

/** One branch of a run, in which nodes run one after another. */
export interface Scope {
  readonly execution: Execution
  /** The workflow, or the nested one, that the nodes are part of. */
  readonly definition: WorkflowDefinition
  /** The input of that workflow. */
  readonly runInput: Json | undefined
  /** False where a workflow was nested without history. */
  readonly history: boolean
  /** Aborts with the KernError that says why the branch is to stop. */
  readonly signal: AbortSignal
  readonly state: StateView
}

/** Throws if the branch is to stop here. Called before each step. */
export function checkpoint({ signal, execution: { draining } }: Scope): void {
  const stopping = signal.aborted ? signal : draining
  if (!stopping.aborted) return
  const { reason } = stopping
  throw new Interrupted(
    reason instanceof KernError ? reason : new KernError('INTERNAL', 'the run was aborted', { cause: reason }),
  )
}

/** Waits for a time, unless the branch is to stop before. */
export async function pause(scope: Scope, ms: number): Promise<void> {
  const { clock, draining } = scope.execution
  const either = AbortSignal.any([scope.signal, draining])
  try {
    await clock.sleep(ms, either)
  } catch (error) {
    checkpoint(scope)
    throw error
  }
}

/** A copy of a value that can be stored; what its author does to the original later has no effect. @throws KernError */
export function checkedJson({ limits }: Pick<Execution, 'limits'>, value: unknown): Json {
  return storable(value, limits).value
}

/** What is left until a time, in milliseconds; nothing if it has come. */
export function timeUntil({ clock }: Pick<Execution, 'clock'>, time: Date): number {
  return Math.max(0, time.getTime() - clock.now().getTime())
}

/** The earlier of two times, where null is never. */
export function earlier(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other
  return one < other ? one : other
}
