import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { Json, JsonObject } from '../json.ts'
import type { ReadContext, StepContext } from './context.ts'

/**
 * Any schema of the Standard Schema specification: zod, valibot, arktype and others. It is shown as JSON Schema where it
 * has the Standard JSON Schema interface: those of valibot by `toStandardJsonSchema` of `@valibot/to-json-schema`.
 */
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

/** What to do with a step that has no attempt left. */
export type OnError = 'fail' | 'skip' | 'pause'

/** What the nodes have in common that do work of their own: they are tried, checked, and may fail. */
export interface WorkNodeBase extends NodeBase {
  readonly input: Schema | null
  readonly output: Schema | null
  readonly state: Schema | null
  readonly retry: RetryPolicy
  /** How long one attempt may take, in milliseconds; null for no limit. */
  readonly timeoutMs: number | null
  readonly onError: OnError
  /** Whether the step is given history; null to do as the workflow says. */
  readonly addWorkflowHistory: boolean | null
  /** How many runs of history; null to do as the workflow says. */
  readonly numHistoryRuns: number | null
}

/** One function. */
export interface StepNode extends WorkNodeBase {
  readonly kind: 'step'
  readonly run: (context: StepContext) => unknown
}

/** A function of a container, or a value in its place. */
export type Computed<Value> = Value | ((context: ReadContext) => Value | PromiseLike<Value>)

/** A model of the `ai` SDK: an object of a provider, or the id of one in the SDK's global provider. */
export type AgentModel =
  | string
  | { readonly specificationVersion: string; readonly provider: string; readonly modelId: string }

/**
 * A message of the `ai` SDK (its `ModelMessage`), but none of the system: messages may come from outside, and must not
 * speak to the model in the author's name.
 */
export interface AgentMessage {
  readonly role: 'user' | 'assistant' | 'tool'
  readonly content: string | readonly object[]
}

/** Settings of a model call, as the `ai` SDK has them. */
export interface AgentSettings {
  readonly temperature?: number | undefined
  readonly maxOutputTokens?: number | undefined
  readonly topP?: number | undefined
  readonly topK?: number | undefined
  readonly presencePenalty?: number | undefined
  readonly frequencyPenalty?: number | undefined
  readonly stopSequences?: readonly string[] | undefined
  readonly seed?: number | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly providerOptions?: Readonly<Record<string, JsonObject>> | undefined
}

/** One call of a language model, with its tools. Its output schema, where it has one, asks for an object. */
export interface AgentNode extends WorkNodeBase {
  readonly kind: 'agent'
  readonly model: Computed<AgentModel>
  readonly system: Computed<string> | null
  /** Exactly one of `prompt` and `messages` is there. */
  readonly prompt: Computed<string> | null
  readonly messages: Computed<readonly AgentMessage[]> | null
  /** Tools of the `ai` SDK by name; null for none. */
  readonly tools: Computed<Readonly<Record<string, object>>> | null
  /** How many calls of the model one attempt may make: each answer with tool calls leads to another. */
  readonly maxSteps: number
  readonly settings: AgentSettings
}

/** Steps in order, as one. */
export interface SequenceNode extends NodeBase {
  readonly kind: 'sequence'
  readonly steps: readonly WorkflowNode[]
}

/** Steps at the same time. Its output is an object by step name. */
export interface ParallelNode extends NodeBase {
  readonly kind: 'parallel'
  readonly steps: readonly WorkflowNode[]
  /** How many steps run at the same time; null for all. */
  readonly concurrency: number | null
  /** Whether the first failure aborts the others. */
  readonly failFast: boolean
}

/** One of two lists of steps. An empty list passes the input through. */
export interface ConditionNode extends NodeBase {
  readonly kind: 'condition'
  readonly if: (context: ReadContext) => unknown
  readonly then: readonly WorkflowNode[]
  readonly else: readonly WorkflowNode[]
}

/** The steps that a function names, in order. */
export interface RouterNode extends NodeBase {
  readonly kind: 'router'
  readonly select: (context: ReadContext) => unknown
  readonly choices: readonly WorkflowNode[]
}

/** What `until` of a loop is given. */
export interface LoopContext<Input = unknown, Output = unknown, State = JsonObject> extends ReadContext<Input, State> {
  /** What the iteration has yielded. */
  readonly output: Output
  /** 1 for the first iteration. */
  readonly iteration: number
}

/** Steps again and again. */
export interface LoopNode extends NodeBase {
  readonly kind: 'loop'
  readonly steps: readonly WorkflowNode[]
  /** Whether the iteration that has ended was the last; null to go on until `maxIterations`. */
  readonly until: ((context: LoopContext) => unknown) | null
  readonly maxIterations: number
  /** Whether an iteration is given the output of the one before it, instead of the input of the loop. */
  readonly carry: boolean
}

/** The same steps for each item of an array. Its output is the array of outputs, in the order of the items. */
export interface MapNode extends NodeBase {
  readonly kind: 'map'
  /** Gives the items; null for the input itself. */
  readonly items: ((context: ReadContext) => unknown) | null
  readonly steps: readonly WorkflowNode[]
  /** How many items are under way at the same time. */
  readonly concurrency: number
}

/** Another workflow as a step, in the same run and session. */
export interface NestedNode extends NodeBase {
  readonly kind: 'workflow'
  readonly workflow: WorkflowDefinition
  /** False where none of its steps is given history. */
  readonly history: boolean
}

interface WaitNodeBase extends NodeBase {
  readonly prompt: Computed<string>
  /** How long to wait for the answer, in milliseconds; null for as long as it takes. */
  readonly timeoutMs: number | null
}

/** Waits until a person says yes or no. */
export interface ApprovalNode extends WaitNodeBase {
  readonly kind: 'approval'
  /** The answer where nobody gave one in time; null to fail. */
  readonly onTimeout: boolean | null
}

/** Waits until a person gives data. */
export interface InputNode extends WaitNodeBase {
  readonly kind: 'input'
  readonly schema: Schema
  /** The answer where nobody gave one in time, as the schema accepts it; null to fail. */
  readonly onTimeout: { readonly data: Json } | null
}

/** Waits for a time. Its output is its input. */
export interface SleepNode extends NodeBase {
  readonly kind: 'sleep'
  readonly durationMs: number
}

/** The nodes that do work of their own. */
export type WorkNode = StepNode | AgentNode

/** The nodes that wait for a person. */
export type WaitNode = ApprovalNode | InputNode

/** The nodes that hold others. */
export type ContainerNode = SequenceNode | ParallelNode | ConditionNode | RouterNode | LoopNode | MapNode | NestedNode

/** A part of a workflow. Every kind has its own file in `src/engine/kinds` that runs it. */
export type WorkflowNode = WorkNode | ContainerNode | WaitNode | SleepNode

/** A node with its place in the tree. */
export interface PlacedNode {
  /**
   * The names from the outside in, joined by `/`. Unique in the workflow, and independent of position. In a run, the path
   * of a step in a loop or map also tells the iteration (from 1) or item (from 0): `refine[2]/draft` for `refine/draft`.
   */
  readonly path: string
  readonly parentPath: string | null
  readonly node: WorkflowNode
}

/** What becomes of a run that was begun under a version which no living process serves. */
export type VersionPolicy = 'finish' | 'fail'

/** When runs of a workflow are started by themselves, and with what. */
export interface WorkflowSchedule {
  readonly cron: string
  /** IANA name. */
  readonly timeZone: string
  readonly input?: Json
  /** Null for a new session for each run. */
  readonly sessionId: string | null
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
  /** Of runs that are given none: among runs that wait for a worker, those with a higher one are taken first. */
  readonly priority: number
  /** How many of its runs may be executed at once, by all processes together; null for no limit. */
  readonly concurrency: number | null
  readonly onVersionChange: VersionPolicy
  /** How long its runs are kept after their end, in milliseconds; null to do as the process does. No part of the version. */
  readonly retentionMs: number | null
  /** When runs are started by themselves; null for never. It is no part of the version. */
  readonly schedule: WorkflowSchedule | null
  /** A hash of the structure: kinds, names, order and settings of steps, not the code of the functions. */
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
