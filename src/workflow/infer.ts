import type { StandardSchemaV1 } from '@standard-schema/spec'
import type { JsonObject } from '../json.ts'
import type { OutputSource } from './context.ts'
import type { Schema, WorkflowDefinition, WorkflowNode } from './definition.ts'

/** What a schema accepts, before its defaults and transforms. */
export type SchemaInput<Given extends Schema> = StandardSchemaV1.InferInput<Given>

/** What a schema gives, after its defaults and transforms. */
export type SchemaOutput<Given extends Schema> = StandardSchemaV1.InferOutput<Given>

/** The names of the node kinds. */
export type NodeKind = WorkflowNode['kind']

/** What a node accepts and yields. Nothing of it exists at run time. */
export interface NodeTypes<Input, Output> extends OutputSource<Output> {
  readonly '~accepts'?: ((input: Input) => void) | undefined
}

/**
 * A node of a kind with its name and types: `Input` is what it accepts from its left neighbour (before its schema's
 * defaults), `Output` is what its right neighbour gets.
 */
export type TypedNode<Kind extends NodeKind, Name extends string, Input, Output> = Extract<
  WorkflowNode,
  { readonly kind: Kind }
> & { readonly name: Name } & NodeTypes<Input, Output>

/** A step as `step()` makes it. */
export type Step<Name extends string, Input, Output> = TypedNode<'step', Name, Input, Output>

/** What a node accepts; unknown for one without types. */
export type AcceptedBy<Node> = Node extends { readonly '~accepts'?: ((input: infer Input) => void) | undefined }
  ? Input
  : unknown

/** What a node yields; unknown for one without types. */
export type OutputOf<Node> = Node extends OutputSource<infer Output> ? Output : unknown

/** What a list of steps accepts: what its first one does. */
export type FirstInput<Steps extends readonly WorkflowNode[]> = AcceptedBy<Steps[0]>

/** What a list of steps yields: what its last one does. */
export type LastOutput<Steps extends readonly WorkflowNode[]> = Steps extends readonly [...infer _Others, infer Last]
  ? OutputOf<Last>
  : OutputOf<Steps[number]>

/** Stands before the first step: its output is what the first step gets. */
interface Start<Input> extends OutputSource<Input> {
  readonly '~start': true
}

/**
 * The compile error of two neighbours that do not fit. Its one key is the sentence that says so, which is what the
 * compiler prints as the missing property.
 */
export type Mismatch<Sentence extends string, Accepts, Previous> = {
  readonly [Key in `kern: ${Sentence}`]: { readonly accepts: Accepts; readonly previousOutput: Previous }
}

type NameOf<Node> = Node extends { readonly name: infer Name extends string } ? Name : string

type Complaint<Previous, Node> =
  Previous extends Start<unknown>
    ? `step "${NameOf<Node>}" does not accept the input of the run`
    : `step "${NameOf<Node>}" does not accept the output of step "${NameOf<Previous>}"`

type Accepted<Previous, Node> = [OutputOf<Previous>] extends [AcceptedBy<Node>]
  ? Node
  : Mismatch<Complaint<Previous, Node>, AcceptedBy<Node>, OutputOf<Previous>>

/** An element of a list with the start before it: the left neighbour of the element at `Index` of the list. */
type At<List extends readonly unknown[], Index> = Index extends keyof List ? List[Index] : unknown

/**
 * The steps if each accepts what the element before it yields, the first one `First`; a {@link Mismatch} in the place
 * of each that does not. A mapped tuple and not a recursive type: its cost grows with the number of steps only.
 */
export type Chain<First, Steps extends readonly WorkflowNode[]> = {
  readonly [Index in keyof Steps]: Accepted<At<[Start<First>, ...Steps], Index>, Steps[Index]>
}

/** What `run` accepts: what the workflow's input schema does, or else its first step. */
export type RunInput<Input extends Schema | undefined, Steps extends readonly WorkflowNode[]> = Input extends Schema
  ? SchemaInput<Input>
  : FirstInput<Steps>

/** What the first step of a workflow is given: what the input schema gives, or else what `run` was given. */
export type StartOf<Input extends Schema | undefined, Steps extends readonly WorkflowNode[]> = Input extends Schema
  ? SchemaOutput<Input>
  : FirstInput<Steps>

/** The state of a workflow's sessions: what the state schema gives, or else any object. */
export type StateOf<State extends Schema | undefined> = State extends Schema ? SchemaOutput<State> : JsonObject

/** The state that a workflow's sessions begin with: what the state schema accepts, or else any object. */
export type InitialState<State extends Schema | undefined> = State extends Schema ? SchemaInput<State> : JsonObject

/** A definition with its types: what `run` accepts, what a run yields, and the state. None of them exist at run time. */
export interface TypedDefinition<Input, Output, State> extends WorkflowDefinition, NodeTypes<Input, Output> {
  readonly '~state'?: (() => State) | undefined
}

/** The definition that options with these types lead to. */
export type DefinitionOf<
  Input extends Schema | undefined,
  State extends Schema | undefined,
  Steps extends readonly WorkflowNode[],
> = TypedDefinition<RunInput<Input, Steps>, LastOutput<Steps>, StateOf<State>>
