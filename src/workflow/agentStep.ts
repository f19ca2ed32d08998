import { KernError, shown } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { readSettings, SETTING_KEYS } from './agentSettings.ts'
import { needAi } from './aiPackage.ts'
import type { ReadContext } from './context.ts'
import type { AgentMessage, AgentModel, AgentNode, AgentSettings, OnError, Schema } from './definition.ts'
import type { MaybePromise, SchemaOutput } from './infer.ts'
import { checkModelSchema } from './jsonSchema.ts'
import { sealNode } from './nodes.ts'
import { type RawOptions, readComputed, readCount, readOptions, readText, refused } from './validate.ts'
import { readWork, WORK_KEYS, type WorkRules, type WorkTyped } from './work.ts'

/** A value, or the function that gives it for a run. */
export type AgentValue<Value, Parsed, State> = Value | ((context: ReadContext<Parsed, State>) => MaybePromise<Value>)

/**
 * What an agent step is made of. `Input` is what its input schema accepts and `Parsed` what that gives; without a schema
 * both are what its functions say that they take.
 */
export interface AgentOptions<
  Name extends string,
  Input,
  Parsed,
  State,
  Output extends Schema | undefined,
  Fault extends OnError,
> extends WorkRules,
    AgentSettings {
  /** 1 to 100 characters, without `/`, `[` and `]`; unique among its neighbours. It is part of the step's path. */
  readonly name: Name
  /** A model of the `ai` SDK, or the id of one. */
  readonly model: AgentValue<AgentModel, Parsed, State>
  /** What the model is told about its task. @default nothing */
  readonly system?: AgentValue<string, Parsed, State> | undefined
  /** What the model is asked. Exactly one of `prompt` and `messages` is needed. */
  readonly prompt?: AgentValue<string, Parsed, State> | undefined
  /** The conversation that the model goes on with, as messages of the `ai` SDK; `system` is not one of their roles. */
  readonly messages?: AgentValue<readonly AgentMessage[], Parsed, State> | undefined
  /** Tools of the `ai` SDK by name. @default none */
  readonly tools?: AgentValue<Readonly<Record<string, object>>, Parsed, State> | undefined
  /** How many calls of the model an attempt may make, 1 to 100; only with tools. @default 10 with tools, else 1 */
  readonly maxSteps?: number | undefined
  /** Checks the left neighbour's output; the functions get what it gives. @default everything fits */
  readonly input?: Schema<Input, Parsed> | undefined
  /**
   * Asks the model for an object that fits it, which needs its JSON Schema; the right neighbour gets what it gives.
   * @default text
   */
  readonly output?: Output | undefined
  /** Checks the session's state before each attempt; the functions get what it gives. @default any object fits */
  readonly state?: Schema<unknown, State> | undefined
  /** As for a step. @default 'fail' */
  readonly onError?: Fault | undefined
}

const AGENT_KEYS = [
  ...WORK_KEYS,
  ...SETTING_KEYS,
  'model',
  'system',
  'prompt',
  'messages',
  'tools',
  'maxSteps',
] as const satisfies readonly (keyof AgentOptions<string, unknown, unknown, unknown, undefined, OnError>)[]

const MAX_AGENT_STEPS = 100
const DEFAULT_AGENT_STEPS = 10

/** An agent step as {@link agentStep} makes it. */
export type AgentStep<Name extends string, Input, Output, Fault extends OnError = 'fail'> = WorkTyped<
  AgentNode,
  Name,
  Input,
  Output,
  Fault
>

/**
 * Defines a step that calls a language model through the `ai` SDK, which must be installed beside Kern.
 *
 * @throws KernError DEFINITION_INVALID with the name of the step, the option, what was given and what is allowed
 */
export function agentStep<
  const Name extends string,
  Parsed = unknown,
  Input = Parsed,
  State = JsonObject,
  Output extends Schema | undefined = undefined,
  const Fault extends OnError = 'fail',
>(
  options: AgentOptions<Name, Input, Parsed, State, Output, Fault>,
): AgentStep<Name, Input, Output extends Schema ? SchemaOutput<Output> : string, Fault>
export function agentStep(given: unknown): AgentNode {
  const named = typeof given === 'object' && given !== null && 'name' in given
  const place = named ? `agent step ${shown(given.name)}` : 'an agent step'
  const options = readOptions(place, given, AGENT_KEYS)
  needAi(place)
  const { system, prompt, messages } = options
  if ((prompt === undefined) === (messages === undefined)) {
    const fault = prompt === undefined ? 'neither prompt nor messages' : 'both prompt and messages'
    throw new KernError('DEFINITION_INVALID', `${place} has ${fault}: exactly one of them is needed`)
  }
  const tools = options.tools === undefined ? null : readComputed(`tools of ${place}`, options.tools, readTools)
  const work = readWork({ place, kind: 'an agent step' }, options)
  if (work.output !== null) checkModelSchema(`output of ${place}`, work.output)
  return sealNode({
    kind: 'agent',
    ...work,
    model: readComputed(`model of ${place}`, options.model, readModel),
    system: system === undefined ? null : readComputed(`system of ${place}`, system, readText),
    prompt: prompt === undefined ? null : readComputed(`prompt of ${place}`, prompt, readText),
    messages: messages === undefined ? null : readComputed(`messages of ${place}`, messages, readMessages),
    tools,
    maxSteps: readMaxSteps(place, options, tools),
    settings: readSettings(place, options),
  })
}

function readMaxSteps(place: string, options: RawOptions<'maxSteps'>, tools: AgentNode['tools']): number {
  const given = readCount(`maxSteps of ${place}`, options.maxSteps, MAX_AGENT_STEPS)
  if (given !== null && tools === null) throw refused(`maxSteps of ${place}`, given, 'allowed is none without tools')
  return given ?? (tools === null ? 1 : DEFAULT_AGENT_STEPS)
}

function readModel(place: string, value: unknown): AgentModel {
  if (typeof value === 'string' && value !== '') return value
  if (isModel(value)) return value
  throw refused(place, value, 'allowed is a model of the ai SDK, the id of one, or a function that gives one')
}

function isModel(value: unknown): value is Exclude<AgentModel, string> {
  if (typeof value !== 'object' || value === null) return false
  // A model is an object of a class: its properties may be inherited.
  const { specificationVersion, provider, modelId } = value as { readonly [Key in string]?: unknown }
  return [specificationVersion, provider, modelId].every((text) => typeof text === 'string')
}

const ROLES: ReadonlySet<unknown> = new Set<AgentMessage['role']>(['user', 'assistant', 'tool'])

function readMessages(place: string, value: unknown): readonly AgentMessage[] {
  if (Array.isArray(value) && value.some(isOfSystem)) {
    throw refused(place, value, "allowed is none with the role system: give that text as the step's system")
  }
  if (!Array.isArray(value) || value.length === 0 || !value.every(isMessage)) {
    throw refused(place, value, 'allowed is a list of messages, at least one, each { role, content }')
  }
  return Object.freeze([...value])
}

function isOfSystem(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'role' in value && value.role === 'system'
}

function isMessage(value: unknown): value is AgentMessage {
  if (typeof value !== 'object' || value === null || !('role' in value) || !('content' in value)) return false
  return ROLES.has(value.role) && (typeof value.content === 'string' || Array.isArray(value.content))
}

function readTools(place: string, value: unknown): Readonly<Record<string, object>> {
  const allowed = 'allowed is an object with at least one tool of the ai SDK; leave it out for none'
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refused(place, value, allowed)
  const tools: Record<string, object> = {}
  for (const [name, tool] of Object.entries(value)) {
    if (typeof tool !== 'object' || tool === null) throw refused(`${name} in ${place}`, tool, allowed)
    tools[name] = tool
  }
  if (Object.keys(tools).length === 0) throw refused(place, value, allowed)
  return Object.freeze(tools)
}
