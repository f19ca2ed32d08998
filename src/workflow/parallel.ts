import { shown } from '../errors.ts'
import type { AnyOpen, CommonInput } from './chain.ts'
import type { ParallelNode, WorkflowNode } from './definition.ts'
import type { Flow, Holds, NameOf, OutputAfter, OutputOf, PassesIf, TypedNode } from './infer.ts'
import { readSteps, sealNode } from './nodes.ts'
import { MAX_CONCURRENCY, readCount, readDescription, readFlag, readNodeName, readOptions } from './validate.ts'

/** How steps run at the same time. */
export interface ParallelOptions {
  readonly description?: string | undefined
  /** How many steps run at the same time, 1 to 1,000; the others wait for a place, in order. @default all */
  readonly concurrency?: number | undefined
  /** Whether the first failure aborts the others; else all go on to their end before it fails. @default true */
  readonly failFast?: boolean | undefined
}

const PARALLEL_KEYS = ['description', 'concurrency', 'failFast'] as const satisfies readonly (keyof ParallelOptions)[]

/** A node of steps at the same time as {@link parallel} makes it. */
export type Parallel<Name extends string, Steps extends readonly WorkflowNode[]> = TypedNode<
  ParallelNode,
  Name,
  CommonInput<Steps>,
  { [Node in Steps[number] as NameOf<Node>]: OutputOf<Node> }
> &
  Holds<Steps> &
  PassesIf<AnyOpen<Steps>, ParallelFlow<Steps>>

interface ParallelFlow<Steps extends readonly WorkflowNode[]> extends Flow {
  readonly out: { [Node in Steps[number] as NameOf<Node>]: OutputAfter<Node, this['in']> }
}

/**
 * Runs steps at the same time, each with the same input. It yields an object with the output of each, by its name.
 *
 * @throws KernError DEFINITION_INVALID with the name of the node, the option, what was given and what is allowed
 */
export function parallel<const Name extends string, const Steps extends readonly WorkflowNode[]>(
  name: Name,
  steps: Steps,
  options?: ParallelOptions,
): Parallel<Name, Steps>
export function parallel(name: unknown, steps: unknown, options: unknown = {}): ParallelNode {
  const place = `parallel ${shown(name)}`
  const { description, concurrency, failFast } = readOptions(place, options, PARALLEL_KEYS)
  return sealNode({
    kind: 'parallel',
    name: readNodeName('the name of a parallel', name),
    description: readDescription(`description of ${place}`, description),
    steps: readSteps(place, steps),
    concurrency: readCount(`concurrency of ${place}`, concurrency, MAX_CONCURRENCY),
    failFast: readFlag(`failFast of ${place}`, failFast) ?? true,
  })
}
