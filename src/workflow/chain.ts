import type { OutputSource } from './context.ts'
import type { Schema, WorkflowNode } from './definition.ts'
import type {
  AcceptedBy,
  Flow,
  FlowOf,
  NameOf,
  OutputOf,
  SchemaInput,
  SchemaOutput,
  StateOf,
  Through,
  TypedDefinition,
} from './infer.ts'

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

type Complaint<Previous, Node, First extends string> =
  Previous extends Start<unknown>
    ? `step "${NameOf<Node>}" does not accept ${First}`
    : `step "${NameOf<Node>}" does not accept the output of step "${NameOf<Previous>}"`

/** An element of a list; unknown if the list has no such element. */
type At<List extends readonly unknown[], Index> = Index extends keyof List ? List[Index] : unknown

/**
 * What stands before the element at `Index` yields. A node that passes its input on needs what stands before that: as
 * many starts are put before the steps as elements are looked back. Recursive over such nodes alone.
 */
type Before<
  First,
  Steps extends readonly WorkflowNode[],
  Index,
  Starts extends readonly unknown[] = [Start<First>],
> = number extends Index
  ? OutputOf<At<[...Starts, ...Steps], Index>>
  : FlowOf<At<[...Starts, ...Steps], Index>> extends infer Given extends Flow
    ? Through<Given, Before<First, Steps, Index, [Start<First>, ...Starts]>>
    : OutputOf<At<[...Starts, ...Steps], Index>>

type Accepted<Previous, Yielded, Node, First extends string> = [Yielded] extends [AcceptedBy<Node>]
  ? Node
  : Mismatch<Complaint<Previous, Node, First>, AcceptedBy<Node>, Yielded>

/**
 * The steps if each accepts what the element before it yields, the first one `First`; a {@link Mismatch} in the place
 * of each that does not. A mapped tuple and not a recursive type: its cost grows with the number of steps only.
 */
export type Chain<First, Steps extends readonly WorkflowNode[], Called extends string = 'the input of the run'> = {
  readonly [Index in keyof Steps]: Accepted<
    At<[Start<First>, ...Steps], Index>,
    Before<First, Steps, Index>,
    Steps[Index],
    Called
  >
}

/** What a list of steps yields that is given `First`: what its last one does; `First` itself for an empty list. */
export type EndOf<Steps extends readonly WorkflowNode[], First> = Steps extends readonly [
  ...infer Others extends readonly WorkflowNode[],
  infer Last,
]
  ? FlowOf<Last> extends infer Given extends Flow
    ? Through<Given, EndOf<Others, First>>
    : OutputOf<Last>
  : Steps extends readonly []
    ? First
    : OutputOf<Steps[number]>

/** Whether what a list of steps yields depends on what it is given. */
export type IsOpen<Steps extends readonly WorkflowNode[]> = Steps extends readonly [
  ...infer Others extends readonly WorkflowNode[],
  infer Last,
]
  ? FlowOf<Last> extends Flow
    ? IsOpen<Others>
    : false
  : Steps extends readonly []
    ? true
    : false

/** Whether what one of these nodes yields depends on what it is given. */
export type AnyOpen<Nodes extends readonly WorkflowNode[]> = true extends (
  Nodes[number] extends infer Node
    ? Node extends unknown
      ? FlowOf<Node> extends Flow
        ? true
        : false
      : never
    : never
)
  ? true
  : false

/** Stands for a value of which nothing is known, to see whether a flow passes it on as it is. */
interface Anything {
  readonly '~anything': true
}

/**
 * What a list of steps accepts: what its first one does, and where that passes its input on as it is, also what the next
 * one does.
 */
export type FirstInput<Steps extends readonly WorkflowNode[]> = Steps extends readonly [
  infer Head,
  ...infer Others extends readonly WorkflowNode[],
]
  ? FlowOf<Head> extends infer Given extends Flow
    ? Anything extends Through<Given, Anything>
      ? AcceptedBy<Head> & FirstInput<Others>
      : AcceptedBy<Head>
    : AcceptedBy<Head>
  : Steps extends readonly []
    ? unknown
    : AcceptedBy<Steps[number]>

/** What each of these nodes accepts: the intersection of all. */
export type CommonInput<Nodes extends readonly WorkflowNode[]> = (
  Nodes[number] extends infer Node
    ? Node extends unknown
      ? (input: AcceptedBy<Node>) => void
      : never
    : never
) extends (input: infer Input) => void
  ? Input
  : never

/** What `run` accepts: what the workflow's input schema does, or else its first step. */
export type RunInput<Input extends Schema | undefined, Steps extends readonly WorkflowNode[]> = Input extends Schema
  ? SchemaInput<Input>
  : FirstInput<Steps>

/** What the first step of a workflow is given: what the input schema gives, or else what `run` was given. */
export type StartOf<Input extends Schema | undefined, Steps extends readonly WorkflowNode[]> = Input extends Schema
  ? SchemaOutput<Input>
  : FirstInput<Steps>

/** What a run of a workflow yields. */
export type RunOutput<Input extends Schema | undefined, Steps extends readonly WorkflowNode[]> = EndOf<
  Steps,
  StartOf<Input, Steps>
>

/** The definition that options with these types lead to. */
export type DefinitionOf<
  Input extends Schema | undefined,
  State extends Schema | undefined,
  Steps extends readonly WorkflowNode[],
> = TypedDefinition<RunInput<Input, Steps>, RunOutput<Input, Steps>, StateOf<State>, Steps>
