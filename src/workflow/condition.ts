import { KernError, shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Chain, EndOf, FirstInput, IsOpen } from './chain.ts'
import type { ReadContext } from './context.ts'
import type { ConditionNode, WorkflowNode } from './definition.ts'
import type { Flow, Holds, MaybePromise, PassesIf, TypedNode } from './infer.ts'
import { readNodes, sealNode } from './nodes.ts'
import { readDescription, readFunction, readNodeName, readOptions } from './validate.ts'

/** What a condition decides, and what then runs. */
export interface ConditionOptions<
  Input,
  State,
  Then extends readonly WorkflowNode[],
  Else extends readonly WorkflowNode[],
> {
  readonly description?: string | undefined
  /** Says which steps run. Its answer is recorded before they do. */
  readonly if: (context: ReadContext<Input, State>) => MaybePromise<boolean>
  /** Run in order where `if` says true. @default none: the input is passed on */
  readonly then?: (Then & Chain<ConditionInput<Input, Then, Else>, Then>) | undefined
  /** Run in order where `if` says false. @default none: the input is passed on */
  readonly else?: (Else & Chain<ConditionInput<Input, Then, Else>, Else>) | undefined
}

const CONDITION_KEYS = ['description', 'if', 'then', 'else'] as const satisfies readonly (keyof ConditionOptions<
  unknown,
  unknown,
  [],
  []
>)[]

/** A condition as {@link condition} makes it. */
export type Condition<
  Name extends string,
  Input,
  Then extends readonly WorkflowNode[],
  Else extends readonly WorkflowNode[],
> = TypedNode<
  ConditionNode,
  Name,
  ConditionInput<Input, Then, Else>,
  EndOf<Then, ConditionInput<Input, Then, Else>> | EndOf<Else, ConditionInput<Input, Then, Else>>
> &
  Holds<readonly [...Then, ...Else]> &
  PassesIf<true extends IsOpen<Then> | IsOpen<Else> ? true : false, ConditionFlow<Then, Else>>

/** What a condition accepts: what its function and both its lists do. */
type ConditionInput<Input, Then extends readonly WorkflowNode[], Else extends readonly WorkflowNode[]> = Input &
  FirstInput<Then> &
  FirstInput<Else>

interface ConditionFlow<Then extends readonly WorkflowNode[], Else extends readonly WorkflowNode[]> extends Flow {
  readonly out: EndOf<Then, this['in']> | EndOf<Else, this['in']>
}

/**
 * Runs one of two lists of steps. It yields what the list that ran does; an empty one passes the input on.
 *
 * @throws KernError DEFINITION_INVALID with the name of the condition, the option, what was given and what is allowed
 */
export function condition<
  const Name extends string,
  const Then extends readonly WorkflowNode[] = [],
  const Else extends readonly WorkflowNode[] = [],
  Input = FirstInput<Then> & FirstInput<Else>,
  State = JsonObject,
>(name: Name, options: ConditionOptions<Input, State, Then, Else>): Condition<Name, Input, Then, Else>
export function condition(name: unknown, given: unknown): ConditionNode {
  const place = `condition ${shown(name)}`
  const options = readOptions(place, given, CONDITION_KEYS)
  const node: ConditionNode = {
    kind: 'condition',
    name: readNodeName('the name of a condition', name),
    description: readDescription(`description of ${place}`, options.description),
    if: readFunction(`if of ${place}`, options.if),
    then: options.then === undefined ? Object.freeze([]) : readNodes(place, options.then, 'then'),
    else: options.else === undefined ? Object.freeze([]) : readNodes(place, options.else, 'else'),
  }
  if (node.then.length + node.else.length === 0) {
    throw new KernError('DEFINITION_INVALID', `${place} has no steps: at least one is needed in then or else`)
  }
  return sealNode(node)
}
