import type { Duration } from '../clock.ts'
import { KernError, shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import type { StepContext } from './context.ts'
import type { RetryPolicy, Schema, StepNode } from './definition.ts'
import type { SchemaInput, SchemaOutput, Step } from './infer.ts'
import { sealNode } from './nodes.ts'
import {
  MAX_ATTEMPTS,
  MAX_HISTORY_RUNS,
  readCount,
  readDescription,
  readDuration,
  readFlag,
  readNodeName,
  readOptions,
  readSchema,
  readTimeout,
  refused,
} from './validate.ts'

/** A value, or the promise of one. */
export type MaybePromise<Value> = Value | Promise<Value> | PromiseLike<Value>

/** How often a step is tried, and how long to wait between attempts. */
export interface RetryOptions {
  /** How often the step is tried in all, 1 to 1,000. Needed if anything else of the policy is given. @default 1 */
  readonly maxAttempts?: number | undefined
  /** Whether every wait is `delay`, or each is twice the one before, with jitter. @default 'fixed' */
  readonly backoff?: 'fixed' | 'exponential' | undefined
  /** The wait before the second attempt. @default '1s' */
  readonly delay?: Duration | undefined
  /** The longest wait between two attempts. @default '1m' */
  readonly maxDelay?: Duration | undefined
  /** Whether this error is worth another attempt. @default every error is, but NonRetryableError */
  readonly retryIf?: ((error: unknown) => boolean) | undefined
}

const DEFAULT_RETRY: RetryPolicy = Object.freeze({
  maxAttempts: 1,
  backoff: 'fixed',
  delayMs: 1_000,
  maxDelayMs: 60_000,
  retryIf: null,
})

/**
 * The function of a step. With an output schema it returns what that accepts, else anything. A conditional type as a
 * whole, so that the compiler knows the schema's types inside the function: literals in what it returns are kept.
 */
export type StepFunction<Parsed, State, Output extends Schema | undefined, Returned> = Output extends Schema
  ? (context: StepContext<Parsed, State>) => MaybePromise<SchemaInput<Output>>
  : (context: StepContext<Parsed, State>) => Returned

/**
 * What a step is made of. `Input` is what its input schema accepts and `Parsed` what that gives; without a schema both
 * are what the function says that it takes.
 */
export interface StepOptions<Name extends string, Input, Parsed, State, Output extends Schema | undefined, Returned> {
  /** 1 to 100 characters, without `/`, `[` and `]`; unique among its neighbours. It is part of the step's path. */
  readonly name: Name
  readonly description?: string | undefined
  /** Checks the left neighbour's output; the function gets what it gives. @default everything fits */
  readonly input?: Schema<Input, Parsed> | undefined
  /** Checks what the function returns; the right neighbour gets what it gives. @default everything fits */
  readonly output?: Output | undefined
  /** Checks the session's state before each attempt; the function gets what it gives. @default any object fits */
  readonly state?: Schema<unknown, State> | undefined
  readonly retry?: RetryOptions | undefined
  /** How long one attempt may take. @default no limit */
  readonly timeout?: Duration | undefined
  /** Whether the step is given history. @default as the workflow says */
  readonly addWorkflowHistory?: boolean | undefined
  /** How many runs of history the step is given, 1 to 100. @default as the workflow says */
  readonly numHistoryRuns?: number | undefined
  /** Does the work. */
  readonly run: StepFunction<Parsed, State, Output, Returned>
}

const STEP_KEYS = [
  'name',
  'description',
  'input',
  'output',
  'state',
  'retry',
  'timeout',
  'addWorkflowHistory',
  'numHistoryRuns',
  'run',
] as const satisfies readonly (keyof StepOptions<string, unknown, unknown, unknown, undefined, unknown>)[]

const RETRY_KEYS = [
  'maxAttempts',
  'backoff',
  'delay',
  'maxDelay',
  'retryIf',
] as const satisfies readonly (keyof RetryOptions)[]

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
>(
  options: StepOptions<Name, Input, Parsed, State, Output, Returned>,
): Step<Name, Input, Output extends Schema ? SchemaOutput<Output> : Awaited<Returned>>
/** Defines a step that is a function and a name. */
export function step<const Name extends string, Returned, Input = unknown, State = JsonObject>(
  name: Name,
  run: (context: StepContext<Input, State>) => Returned,
): Step<Name, Input, Awaited<Returned>>
export function step(first: unknown, run?: unknown): StepNode {
  if (typeof first === 'string') return createStep({ name: first, run })
  if (run !== undefined)
    throw refused('the second argument of step()', run, 'allowed is none after an object of options')
  return createStep(first)
}

function createStep(given: unknown): StepNode {
  const named = typeof given === 'object' && given !== null && 'name' in given ? `step ${shown(given.name)}` : 'a step'
  const options = readOptions(named, given, STEP_KEYS)
  const node: StepNode = {
    kind: 'step',
    name: readNodeName('the name of a step', options.name),
    description: readDescription(`description of ${named}`, options.description),
    input: readSchema(`input of ${named}`, options.input),
    output: readSchema(`output of ${named}`, options.output),
    state: readSchema(`state of ${named}`, options.state),
    retry: readRetry(named, options.retry),
    timeoutMs: readTimeout(`timeout of ${named}`, options.timeout),
    addWorkflowHistory: readFlag(`addWorkflowHistory of ${named}`, options.addWorkflowHistory),
    numHistoryRuns: readCount(`numHistoryRuns of ${named}`, options.numHistoryRuns, MAX_HISTORY_RUNS),
    run: readRun(named, options.run),
  }
  if (node.addWorkflowHistory === false && node.numHistoryRuns !== null) {
    throw refused(`numHistoryRuns of ${named}`, node.numHistoryRuns, 'allowed is none with addWorkflowHistory: false')
  }
  return sealNode(node)
}

function readRun(named: string, value: unknown): StepNode['run'] {
  if (typeof value !== 'function') throw refused(`run of ${named}`, value, 'allowed is a function')
  // What it takes is for the types of step() to check: at run time functions do not say.
  return value as StepNode['run']
}

function readRetry(named: string, given: unknown): RetryPolicy {
  if (given === undefined) return DEFAULT_RETRY
  const options = readOptions(`retry of ${named}`, given, RETRY_KEYS)
  const idle = RETRY_KEYS.find((key) => options[key] !== undefined)
  if (options.maxAttempts === undefined && idle !== undefined) {
    throw new KernError(
      'DEFINITION_INVALID',
      `retry of ${named} has ${idle} but no maxAttempts, which is 1 by default: nothing would be retried`,
    )
  }
  const policy: RetryPolicy = Object.freeze({
    maxAttempts:
      readCount(`retry.maxAttempts of ${named}`, options.maxAttempts, MAX_ATTEMPTS) ?? DEFAULT_RETRY.maxAttempts,
    backoff: readBackoff(named, options.backoff),
    delayMs: readDuration(`retry.delay of ${named}`, options.delay) ?? DEFAULT_RETRY.delayMs,
    maxDelayMs: readDuration(`retry.maxDelay of ${named}`, options.maxDelay) ?? DEFAULT_RETRY.maxDelayMs,
    retryIf: readRetryIf(named, options.retryIf),
  })
  if (policy.delayMs > policy.maxDelayMs) {
    const allowed = `allowed is at most maxDelay, which is ${policy.maxDelayMs} ms`
    throw refused(`retry.delay of ${named}`, options.delay ?? policy.delayMs, allowed)
  }
  return policy
}

function readBackoff(named: string, value: unknown): RetryPolicy['backoff'] {
  if (value === undefined) return DEFAULT_RETRY.backoff
  if (value !== 'fixed' && value !== 'exponential') {
    throw refused(`retry.backoff of ${named}`, value, "allowed are 'fixed' and 'exponential'")
  }
  return value
}

function readRetryIf(named: string, value: unknown): RetryPolicy['retryIf'] {
  if (value === undefined) return null
  if (typeof value !== 'function') throw refused(`retry.retryIf of ${named}`, value, 'allowed is a function')
  // As with `run`: what it takes is for the types to check.
  return value as RetryPolicy['retryIf']
}
