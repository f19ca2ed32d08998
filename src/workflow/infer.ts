import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { JsonObject } from '../json.ts'
import type { OutputSource } from './context.ts'
import type { Schema, WorkflowDefinition, WorkflowNode } from './definition.ts'

/** A value, or the promise of one. */
export type MaybePromise<Value> = Value | Promise<Value> | PromiseLike<Value>

/** What a schema accepts, before its defaults and transforms. */
export type SchemaInput<Given extends Schema> = StandardSchemaV1.InferInput<Given>

/** What a schema gives, after its defaults and transforms. */
export type SchemaOutput<Given extends Schema> = StandardSchemaV1.InferOutput<Given>

/** What a node accepts and yields. Nothing of it exists at run time. */
export interface NodeTypes<Input, Output> extends OutputSource<Output> {
  readonly '~accepts'?: ((input: Input) => void) | undefined
}

/**
 * A node of a kind with its name and types: `Input` is what it accepts from its left neighbour (before its schema's
 * defaults), `Output` is what its right neighbour gets.
 */
export type TypedNode<Node extends WorkflowNode, Name extends string, Input, Output> = Node & {
  readonly name: Name
} & NodeTypes<Input, Output>

/** A node that holds others, directly below it. Nothing of it exists at run time. */
export interface Holds<Steps extends readonly WorkflowNode[]> {
  readonly '~steps'?: (() => Steps) | undefined
}

/**
 * A type that is computed from another one: what a node yields that passes something of its input on. An interface
 * that extends it says by `this['in']` what its `out` is.
 */
export interface Flow {
  readonly in: unknown
  readonly out: unknown
}

/** What a flow makes of a type. */
export type Through<Given extends Flow, In> = (Given & { readonly in: In })['out']

/**
 * A node whose output depends on its input. Its plain output type is what it yields if nothing more is known of its
 * input than that it accepts it. Nothing of it exists at run time.
 */
export interface Passes<Given extends Flow> {
  readonly '~flow'?: (() => Given) | undefined
}

/** The part of a node's type that says how its output depends on its input, where it does. */
export type PassesIf<Open extends boolean, Given extends Flow> = Open extends true ? Passes<Given> : unknown

/** The flow of a node, distributed over unions; unknown for one that has none. */
export type FlowOf<Node> = Node extends { readonly '~flow'?: (() => infer Given) | undefined } ? Given : unknown

/** What a node accepts; unknown for one without types. */
export type AcceptedBy<Node> = Node extends { readonly '~accepts'?: ((input: infer Input) => void) | undefined }
  ? Input
  : unknown

/** What a node yields; unknown for one without types. */
export type OutputOf<Node> = Node extends OutputSource<infer Output> ? Output : unknown

/** What a node yields that is given `In`. */
export type OutputAfter<Node, In> = Node extends unknown
  ? FlowOf<Node> extends infer Given extends Flow
    ? Through<Given, In>
    : OutputOf<Node>
  : never

export type NameOf<Node> = Node extends { readonly name: infer Name extends string } ? Name : string

/** The state of a workflow's sessions: what the state schema gives, or else any object. */
export type StateOf<State extends Schema | undefined> = State extends Schema ? SchemaOutput<State> : JsonObject

/** The state that a workflow's sessions begin with: what the state schema accepts, or else any object. */
export type InitialState<State extends Schema | undefined> = State extends Schema ? SchemaInput<State> : JsonObject

/**
 * A definition with its types: what `run` accepts, what a run yields, the state and the steps. None of them exist at run
 * time.
 */
export interface TypedDefinition<Input, Output, State, Steps extends readonly WorkflowNode[]>
  extends WorkflowDefinition,
    NodeTypes<Input, Output>,
    Holds<Steps> {
  readonly '~state'?: (() => State) | undefined
}
