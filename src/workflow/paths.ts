import type { Json } from '../json.ts'
import type { WorkflowNode } from './definition.ts'
import type { NameOf, OutputOf } from './infer.ts'

/** A step with its path in a run, as types. */
interface Entry<Path extends string, Output> {
  readonly path: Path
  readonly output: Output
}

/** The steps of a list and all below them. Its cost grows with their number. */
type EntriesOf<Nodes extends readonly WorkflowNode[], Prefix extends string> = Nodes[number] extends infer Node
  ? Node extends WorkflowNode
    ? EntryOf<Node, `${Prefix}${NameOf<Node>}`>
    : never
  : never

type EntryOf<Node extends WorkflowNode, Path extends string> =
  | Entry<Path, Known<OutputOf<Node>>>
  | (Below<Node> extends infer Steps extends readonly WorkflowNode[]
      ? EntriesOf<Steps, `${Path}${NumberIn<Node>}/`>
      : never)

/** A type of which nothing is known is still that of a value that was stored. */
type Known<Output> = unknown extends Output ? Json : Output

/** The steps directly below a node; unknown for one that holds none. */
type Below<Node> = Node extends { readonly '~steps'?: (() => infer Steps) | undefined } ? Steps : unknown

/** The number of the iteration or item that the paths of a node's children carry. */
type NumberIn<Node extends WorkflowNode> = Node['kind'] extends 'loop' | 'map' ? `[${number}]` : ''

/**
 * The outputs of all steps of a workflow by their paths in a run: `gather/web`, and a pattern below a loop or map, such as
 * `refine[${number}]/draft`. Any other path may have any JSON.
 */
export type OutputsByPath<Steps extends readonly WorkflowNode[]> = {
  readonly [Each in EntriesOf<Steps, ''> | Entry<string, Json> as Each['path']]: Each['output']
}
