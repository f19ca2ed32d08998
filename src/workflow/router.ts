import { shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { AnyOpen, CommonInput, Mismatch } from './chain.ts'
import type { ReadContext } from './context.ts'
import type { RouterNode, WorkflowNode } from './definition.ts'
import type { AcceptedBy, Flow, Holds, NameOf, OutputAfter, OutputOf, PassesIf, TypedNode } from './infer.ts'
import { readSteps, sealNode } from './nodes.ts'
import { readDescription, readFunction, readNodeName, readOptions } from './validate.ts'

/** What a router chooses from. */
export interface RouterOptions<Input, State, Choices extends readonly WorkflowNode[], Selected> {
  readonly description?: string | undefined
  /** Gives the name of the choice to run, or names to run in order. Its answer is recorded before they do. */
  readonly select: (context: ReadContext<Input, State>) => Selected | PromiseLike<Selected>
  /** At least one; `select` knows them by their names. */
  readonly choices: Choices & (Several<Selected, Choices> extends true ? InAnyOrder<Choices> : unknown)
}

const ROUTER_KEYS = ['description', 'select', 'choices'] as const satisfies readonly (keyof RouterOptions<
  unknown,
  unknown,
  [],
  never
>)[]

/**
 * Whether `select` may give a list. Where it gives what is no choice, the compiler reports that and takes `Selected` for
 * all that is selectable: a second complaint would only hide the first.
 */
type Several<Selected, Choices extends readonly WorkflowNode[]> = [readonly Choices[number]['name'][]] extends [
  Selected,
]
  ? false
  : [Extract<Selected, readonly unknown[]>] extends [never]
    ? false
    : true

/** The choices if each accepts what every other one yields; a {@link Mismatch} in the place of each that does not. */
type InAnyOrder<Choices extends readonly WorkflowNode[]> = {
  readonly [Index in keyof Choices]: [OthersThan<Choices[Index], Choices[number]>] extends [AcceptedBy<Choices[Index]>]
    ? Choices[Index]
    : Mismatch<
        `step "${NameOf<Choices[Index]>}" does not accept the output of every other choice, after which it may run`,
        AcceptedBy<Choices[Index]>,
        OthersThan<Choices[Index], Choices[number]>
      >
}

/** What the other choices yield. */
type OthersThan<Choice, Choices> = Choices extends unknown
  ? NameOf<Choices> extends NameOf<Choice>
    ? never
    : OutputOf<Choices>
  : never

/** A router as {@link router} makes it. */
export type Router<Name extends string, Input, Choices extends readonly WorkflowNode[], Selected> = TypedNode<
  RouterNode,
  Name,
  Input & CommonInput<Choices>,
  OutputOf<Choices[number]>
> &
  Holds<Choices> &
  PassesIf<Several<Selected, Choices> extends true ? false : AnyOpen<Choices>, RouterFlow<Choices>>

interface RouterFlow<Choices extends readonly WorkflowNode[]> extends Flow {
  readonly out: OutputAfter<Choices[number], this['in']>
}

/**
 * Runs the choices that a function names, in order. It yields what the last of them does.
 *
 * @throws KernError DEFINITION_INVALID with the name of the router, the option, what was given and what is allowed
 */
export function router<
  const Name extends string,
  const Choices extends readonly WorkflowNode[],
  const Selected extends Choices[number]['name'] | readonly Choices[number]['name'][],
  Input = CommonInput<Choices>,
  State = JsonObject,
>(name: Name, options: RouterOptions<Input, State, Choices, Selected>): Router<Name, Input, Choices, Selected>
export function router(name: unknown, given: unknown): RouterNode {
  const place = `router ${shown(name)}`
  const options = readOptions(place, given, ROUTER_KEYS)
  return sealNode({
    kind: 'router',
    name: readNodeName('the name of a router', name),
    description: readDescription(`description of ${place}`, options.description),
    select: readFunction<RouterNode['select']>(`select of ${place}`, options.select),
    choices: readSteps(place, options.choices, 'choices'),
  })
}
