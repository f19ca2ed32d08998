import { shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { StepContext } from './context.ts'
import type { OnError, Schema, StepNode } from './definition.ts'
import type { MaybePromise, SchemaInput, SchemaOutput } from './infer.ts'
import { sealNode } from './nodes.ts'
import { readFunction, readOptions, refused } from './validate.ts'
import { readWork, WORK_KEYS, type WorkRules, type WorkTyped } from './work.ts'

/** A generator whose output is what it yields last, or else what it returns. */
type Generated<Value> = AsyncGenerator<Value, void, undefined> | AsyncGenerator<Anything, Value, undefined>

/** Not `unknown`: in a union with that the compiler would no longer know literals of `Value`. */
type Anything = object | string | number | boolean | null | undefined

/**
 * The function of a step. With an output schema it returns what that accepts, else anything. A conditional type as a
 * whole, so that the compiler knows the schema's types inside the function: literals in what it returns are kept.
 */
export type StepFunction<Parsed, State, Output extends Schema | undefined, Returned> = Output extends Schema
  ? (context: StepContext<Parsed, State>) => MaybePromise<SchemaInput<Output>> | Generated<SchemaInput<Output>>
  : (context: StepContext<Parsed, State>) => Returned

/**
 * What a step is made of. `Input` is what its input schema accepts and `Parsed` what that gives; without a schema both
 * are what the function says that it takes.
 */
export interface StepOptions<
  Name extends string,
  Input,
  Parsed,
  State,
  Output extends Schema | undefined,
  Returned,
  Fault extends OnError,
> extends WorkRules {
  /** 1 to 100 characters, without `/`, `[` and `]`; unique among its neighbours. It is part of the step's path. */
  readonly name: Name
  /** Checks the left neighbour's output; the function gets what it gives. @default everything fits */
  readonly input?: Schema<Input, Parsed> | undefined
  /** Checks what the function returns; the right neighbour gets what it gives. @default everything fits */
  readonly output?: Output | undefined
  /** Checks the session's state before each attempt; the function gets what it gives. @default any object fits */
  readonly state?: Schema<unknown, State> | undefined
  /**
   * What happens when no attempt is left: the run fails; or the step is skipped, and the next one gets its input; or the
   * run pauses until a person says to retry, skip or fail. @default 'fail'
   */
  readonly onError?: Fault | undefined
  /**
   * Does the work. An async generator yields partial output, which is shown and not kept; its output is what it returns,
   * or else what it yielded last.
   */
  readonly run: StepFunction<Parsed, State, Output, Returned>
}

const STEP_KEYS = [...WORK_KEYS, 'run'] as const satisfies readonly (keyof StepOptions<
  string,
  unknown,
  unknown,
  unknown,
  undefined,
  unknown,
  OnError
>)[]

/** What a step's function yields: what it returns, or else what it has yielded last. */
type Yielded<Returned> =
  Awaited<Returned> extends AsyncGenerator<infer Partial, infer Last>
    ? [Last] extends [void]
      ? Partial
      : Last
    : Awaited<Returned>

/** A step as {@link step} makes it. */
export type Step<Name extends string, Input, Output, Fault extends OnError = 'fail'> = WorkTyped<
  StepNode,
  Name,
  Input,
  Output,
  Fault
>

/**
 * Defines a step: one function, with the rules under which it runs.
 *
 * @throws KernError DEFINITION_INVALID with the name of the step, the option, what was given and what is allowed
 */
export function step<
  const Name extends string,
  Parsed = unknown,
  Input = Parsed,
  State = JsonObject,
  Output extends Schema | undefined = undefined,
  Returned = unknown,
  const Fault extends OnError = 'fail',
>(
  options: StepOptions<Name, Input, Parsed, State, Output, Returned, Fault>,
): Step<Name, Input, Output extends Schema ? SchemaOutput<Output> : Yielded<Returned>, Fault>
/** Defines a step that is a function and a name. */
export function step<const Name extends string, Returned, Input = unknown, State = JsonObject>(
  name: Name,
  run: (context: StepContext<Input, State>) => Returned,
): Step<Name, Input, Yielded<Returned>>
export function step(first: unknown, run?: unknown): StepNode {
  if (typeof first === 'string') return createStep({ name: first, run })
  if (run !== undefined)
    throw refused('the second argument of step()', run, 'allowed is none after an object of options')
  return createStep(first)
}

function createStep(given: unknown): StepNode {
  const place = typeof given === 'object' && given !== null && 'name' in given ? `step ${shown(given.name)}` : 'a step'
  const options = readOptions(place, given, STEP_KEYS)
  return sealNode({
    kind: 'step',
    ...readWork({ place, kind: 'a step' }, options),
    run: readFunction<StepNode['run']>(`run of ${place}`, options.run),
  })
}
