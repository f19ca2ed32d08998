import { shown } from '../errors.ts'
import type { Chain, EndOf, FirstInput, IsOpen } from './chain.ts'
import type { SequenceNode, WorkflowNode } from './definition.ts'
import type { Flow, Holds, PassesIf, TypedNode } from './infer.ts'
import { readSteps, sealNode } from './nodes.ts'
import { readDescription, readNodeName, readOptions } from './validate.ts'

/** What else a sequence may have. */
export interface SequenceOptions {
  readonly description?: string | undefined
}

const SEQUENCE_KEYS = ['description'] as const satisfies readonly (keyof SequenceOptions)[]

/** A sequence as {@link sequence} makes it. */
export type Sequence<Name extends string, Steps extends readonly WorkflowNode[]> = TypedNode<
  SequenceNode,
  Name,
  FirstInput<Steps>,
  EndOf<Steps, FirstInput<Steps>>
> &
  Holds<Steps> &
  PassesIf<IsOpen<Steps>, SequenceFlow<Steps>>

interface SequenceFlow<Steps extends readonly WorkflowNode[]> extends Flow {
  readonly out: EndOf<Steps, this['in']>
}

/**
 * Puts steps in order, as one: it accepts what its first step does and yields what its last one does. The paths of its
 * steps begin with its name: `prepare/load`.
 *
 * @throws KernError DEFINITION_INVALID with the name of the sequence, the option, what was given and what is allowed
 */
export function sequence<const Name extends string, const Steps extends readonly WorkflowNode[]>(
  name: Name,
  steps: Steps & Chain<FirstInput<Steps>, Steps>,
  options?: SequenceOptions,
): Sequence<Name, Steps>
export function sequence(name: unknown, steps: unknown, options: unknown = {}): SequenceNode {
  const named = `sequence ${shown(name)}`
  const { description } = readOptions(named, options, SEQUENCE_KEYS)
  return sealNode({
    kind: 'sequence',
    name: readNodeName('the name of a sequence', name),
    description: readDescription(`description of ${named}`, description),
    steps: readSteps(named, steps),
  })
}
