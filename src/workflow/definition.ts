import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { JsonObject } from '../json.ts'
import type { StepContext } from './context.ts'

/** Any schema of the Standard Schema specification: zod, valibot, arktype and others. */
export type Schema<Input = unknown, Output = Input> = StandardSchemaV1<Input, Output>

/** How often a step is tried, and how long to wait between attempts. All times in milliseconds. */
export interface RetryPolicy {
  readonly maxAttempts: number
  readonly backoff: 'fixed' | 'exponential'
  readonly delayMs: number
  readonly maxDelayMs: number
  readonly retryIf: ((error: unknown) => boolean) | null
}

interface NodeBase {
  readonly name: string
  readonly description: string | null
}

/** One function. */
export interface StepNode extends NodeBase {
  readonly kind: 'step'
  readonly input: Schema | null
  readonly output: Schema | null
  readonly state: Schema | null
  readonly retry: RetryPolicy
  /** How long one attempt may take, in milliseconds; null for no limit. */
  readonly timeoutMs: number | null
  /** Whether the step is given history; null to do as the workflow says. */
  readonly addWorkflowHistory: boolean | null
  /** How many runs of history; null to do as the workflow says. */
  readonly numHistoryRuns: number | null
  readonly run: (context: StepContext) => unknown
}

/** Steps in order, as one. */
export interface SequenceNode extends NodeBase {
  readonly kind: 'sequence'
  readonly steps: readonly WorkflowNode[]
}

/** A part of a workflow. Every kind has its own file in `src/engine/kinds` that runs it. */
export type WorkflowNode = StepNode | SequenceNode

/** A node with its place in the tree. */
export interface PlacedNode {
  /** The names from the outside in, joined by `/`. Unique in the workflow, and independent of position. */
  readonly path: string
  readonly parentPath: string | null
  readonly node: WorkflowNode
}

/** A workflow as frozen data: it can be listed, drawn and turned into types without running anything. */
export interface WorkflowDefinition {
  readonly kind: 'workflow'
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly input: Schema | null
  readonly state: Schema | null
  /** The state of a session that no run has changed yet. */
  readonly initialState: JsonObject
  readonly steps: readonly WorkflowNode[]
  readonly addWorkflowHistoryToSteps: boolean
  readonly numHistoryRuns: number
  /** How long the history block may be, in characters (UTF-16 code units); null for no limit. */
  readonly historyBudget: { readonly characters: number } | null
  /** How long a run may take from its start, in milliseconds; null for no limit. */
  readonly timeoutMs: number | null
  /** A hash of the structure: kinds, names, order and settings, not the code of the functions. */
  readonly version: string
  /** All nodes of the tree, parents before their children, in order. */
  readonly nodes: readonly PlacedNode[]
  /** The definition as JSON, as a session keeps it: id, name, description, version and the tree of steps. */
  readonly data: JsonObject
}

/** Whatever carries a definition: a `Workflow`, for example. */
export interface HasDefinition {
  readonly definition: WorkflowDefinition
}
