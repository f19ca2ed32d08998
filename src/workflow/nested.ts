import { shown } from '../errors.ts'
import type { HasDefinition, NestedNode, WorkflowDefinition, WorkflowNode } from './definition.ts'
import type { AcceptedBy, Holds, OutputOf, TypedNode } from './infer.ts'
import { isDefinition, sealNode } from './nodes.ts'
import { readDescription, readFlag, readNodeName, readOptions, refused } from './validate.ts'

/** How another workflow runs as a step. */
export interface NestedOptions {
  readonly description?: string | undefined
  /** False to give history to none of its steps, whatever its own settings are. @default its own settings hold */
  readonly history?: boolean | undefined
}

const NESTED_KEYS = ['description', 'history'] as const satisfies readonly (keyof NestedOptions)[]

/** A nested workflow as {@link nested} makes it. */
export type Nested<Name extends string, Definition extends WorkflowDefinition> = TypedNode<
  NestedNode,
  Name,
  AcceptedBy<Definition>,
  OutputOf<Definition>
> &
  Holds<StepsOf<Definition>>

type StepsOf<Definition> =
  Definition extends Holds<infer Steps extends readonly WorkflowNode[]> ? Steps : readonly WorkflowNode[]

/**
 * Runs another workflow as a step, in the same run and session. It accepts what a run of that workflow does and yields
 * what that does. The paths of its steps begin with the name of the node.
 *
 * @throws KernError DEFINITION_INVALID with the name of the node, the option, what was given and what is allowed
 */
export function nested<const Name extends string, Given extends HasDefinition>(
  name: Name,
  workflow: Given,
  options?: NestedOptions,
): Nested<Name, Given['definition']>
export function nested(name: unknown, workflow: unknown, options: unknown = {}): NestedNode {
  const place = `nested workflow ${shown(name)}`
  const { description, history } = readOptions(place, options, NESTED_KEYS)
  return sealNode({
    kind: 'workflow',
    name: readNodeName('the name of a nested workflow', name),
    description: readDescription(`description of ${place}`, description),
    workflow: readDefinition(place, workflow),
    history: readFlag(`history of ${place}`, history) ?? true,
  })
}

function readDefinition(place: string, value: unknown): WorkflowDefinition {
  const definition = typeof value === 'object' && value !== null && 'definition' in value ? value.definition : undefined
  if (!isDefinition(definition)) throw refused(`the workflow of ${place}`, value, 'allowed is a Workflow')
  return definition
}
