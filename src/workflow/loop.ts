import { KernError, shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { Chain, EndOf, FirstInput, IsOpen, Mismatch } from './chain.ts'
import type { LoopContext, LoopNode, WorkflowNode } from './definition.ts'
import type { Flow, Holds, MaybePromise, NameOf, PassesIf, TypedNode } from './infer.ts'
import { readSteps, sealNode } from './nodes.ts'
import { readCount, readDescription, readFlag, readFunction, readNodeName, readOptions } from './validate.ts'

/** How many iterations a loop may have at most. */
const MAX_ITERATIONS = 10_000

/** What a loop repeats, and how often. */
export interface LoopOptions<Input, State, Steps extends readonly WorkflowNode[], Carry extends boolean> {
  readonly description?: string | undefined
  /** Run in order, again and again. */
  readonly steps: Steps &
    Chain<LoopInput<Input, Steps>, Steps> &
    ([Carry] extends [false] ? unknown : Carried<Input, Steps>)
  /** Whether the iteration that has ended was the last one. Its answer is recorded. @default after `maxIterations` */
  readonly until?: ((context: LoopContext<Input, LoopOutput<Input, Steps>, State>) => MaybePromise<boolean>) | undefined
  /** How many iterations there are at most, 1 to 10,000. */
  readonly maxIterations: number
  /** Whether an iteration gets the output of the one before it, instead of the loop's input. @default false */
  readonly carry?: Carry | undefined
}

const LOOP_KEYS = [
  'description',
  'steps',
  'until',
  'maxIterations',
  'carry',
] as const satisfies readonly (keyof LoopOptions<unknown, unknown, [], boolean>)[]

/** A loop as {@link loop} makes it. */
export type Loop<Name extends string, Input, Steps extends readonly WorkflowNode[], Carry extends boolean> = TypedNode<
  LoopNode,
  Name,
  LoopInput<Input, Steps>,
  LoopOutput<Input, Steps>
> &
  Holds<Steps> &
  PassesIf<[Carry] extends [false] ? IsOpen<Steps> : false, LoopFlow<Steps>>

/** What a loop accepts: what its function and its steps do. */
type LoopInput<Input, Steps extends readonly WorkflowNode[]> = Input & FirstInput<Steps>

type LoopOutput<Input, Steps extends readonly WorkflowNode[]> = EndOf<Steps, LoopInput<Input, Steps>>

/** With `carry` nothing more is known of what an iteration is given than that the loop accepts it. */
interface LoopFlow<Steps extends readonly WorkflowNode[]> extends Flow {
  readonly out: EndOf<Steps, this['in']>
}

/** A {@link Mismatch} if the loop does not accept what an iteration yields. */
type Carried<Input, Steps extends readonly WorkflowNode[]> = [LoopOutput<Input, Steps>] extends [
  LoopInput<Input, Steps>,
]
  ? unknown
  : Mismatch<
      `step "${NameOf<Steps[0]>}" does not accept the output of the iteration before it (carry)`,
      LoopInput<Input, Steps>,
      LoopOutput<Input, Steps>
    >

/**
 * Repeats steps. It yields what the last iteration does. In the paths of a run its steps carry the iteration, from 1:
 * `refine[2]/draft`.
 *
 * @throws KernError DEFINITION_INVALID with the name of the loop, the option, what was given and what is allowed
 */
export function loop<
  const Name extends string,
  const Steps extends readonly WorkflowNode[],
  Input = FirstInput<Steps>,
  State = JsonObject,
  const Carry extends boolean = false,
>(name: Name, options: LoopOptions<Input, State, Steps, Carry>): Loop<Name, Input, Steps, Carry>
export function loop(name: unknown, given: unknown): LoopNode {
  const place = `loop ${shown(name)}`
  const options = readOptions(place, given, LOOP_KEYS)
  const maxIterations = readCount(`maxIterations of ${place}`, options.maxIterations, MAX_ITERATIONS)
  if (maxIterations === null) {
    const allowed = `maxIterations is needed, a whole number from 1 to ${MAX_ITERATIONS}`
    throw new KernError('DEFINITION_INVALID', `${place} is a loop without a bound: ${allowed}`)
  }
  return sealNode({
    kind: 'loop',
    name: readNodeName('the name of a loop', name),
    description: readDescription(`description of ${place}`, options.description),
    steps: readSteps(place, options.steps),
    until:
      options.until === undefined
        ? null
        : readFunction<NonNullable<LoopNode['until']>>(`until of ${place}`, options.until),
    maxIterations,
    carry: readFlag(`carry of ${place}`, options.carry) ?? false,
  })
}
