import { canonicalText, type Json, type JsonObject } from '../../../src/json.ts'
import type { OnError } from '../../../src/workflow/definition.ts'

/**
 * A workflow as plain data: what its functions do and what people answer is part of it, so that a model can tell what
 * must come of a run, and a failing one can be printed and made smaller.
 */
export interface Tree {
  readonly steps: readonly TreeSpec[]
  readonly input: Json
  /** The state of the session when the run starts. */
  readonly state: JsonObject
  /** Whether answers are given as soon as a step waits, or only once the run is paused. */
  readonly eager: boolean
}

export type TreeSpec =
  | StepSpec
  | SequenceSpec
  | ParallelSpec
  | ConditionSpec
  | RouterSpec
  | LoopSpec
  | MapSpec
  | NestedSpec
  | ApprovalSpec
  | InputSpec
  | SleepSpec

export interface StepSpec {
  readonly kind: 'step'
  readonly name: string
  /** What an attempt that succeeds does: it returns a text, or a list of as many texts, or stops the run. */
  readonly gives: 'text' | 'stop' | number
  /** How many attempts fail before one succeeds. */
  readonly failures: number
  /** `final` is an error that no retry policy retries; who hangs is ended by the timeout. */
  readonly how: 'throws' | 'final' | 'hangs'
  readonly maxAttempts: number
  readonly delayMs: number
  readonly onError: OnError
  /** What people say where it pauses, in order; then FAIL. */
  readonly said: readonly ('RETRY' | 'SKIP')[]
  readonly patch: Patch | null
  /** Whether it reads the output of the first step of its list. */
  readonly reads: boolean
  /** How many turns of the event loop an attempt takes. */
  readonly turns: number
}

/** What a step changes in the state. Steps beside each other may agree by these, or not. */
export type Patch =
  | { readonly does: 'own' }
  | { readonly does: 'count' }
  | { readonly does: 'set'; readonly key: 'a' | 'b'; readonly value: number }
  | { readonly does: 'set deep'; readonly key: 'x' | 'y'; readonly value: number }
  | { readonly does: 'remove'; readonly key: 'a' | 'deep' }

export interface SequenceSpec {
  readonly kind: 'sequence'
  readonly name: string
  readonly steps: readonly TreeSpec[]
}

export interface ParallelSpec {
  readonly kind: 'parallel'
  readonly name: string
  readonly steps: readonly TreeSpec[]
  readonly concurrency: number | null
  readonly failFast: boolean
}

/** Functions that waver answer otherwise when they are asked again: what they said first must hold. */
interface Wavering {
  readonly wavers: boolean
}

export interface ConditionSpec extends Wavering {
  readonly kind: 'condition'
  readonly name: string
  /** `odd`: as a hash of what it is given says. */
  readonly says: boolean | 'odd' | 'throws'
  readonly then: readonly TreeSpec[]
  readonly else: readonly TreeSpec[]
}

export interface RouterSpec extends Wavering {
  readonly kind: 'router'
  readonly name: string
  /** Indexes of choices; one that is not there stands for an unknown name. */
  readonly selects: readonly number[]
  readonly choices: readonly TreeSpec[]
}

export interface LoopSpec extends Wavering {
  readonly kind: 'loop'
  readonly name: string
  /** The iteration at which `until` says that it is the last; `odd`: as a hash says; null: there is no `until`. */
  readonly rounds: number | 'odd' | null
  readonly maxIterations: number
  readonly carry: boolean
  readonly steps: readonly TreeSpec[]
}

export interface MapSpec extends Wavering {
  readonly kind: 'map'
  readonly name: string
  /** How many items its function gives; null for a map without one, whose items are its input. */
  readonly items: number | null
  readonly concurrency: number
  readonly steps: readonly TreeSpec[]
}

export interface NestedSpec {
  readonly kind: 'workflow'
  readonly name: string
  readonly steps: readonly TreeSpec[]
}

/** How a wait for a person ends. Where it is by time, `byDefault` tells whether there is an answer for that. */
export type WaitEnd = 'answered' | 'answered badly first' | 'cancelled' | 'late'

export interface ApprovalSpec {
  readonly kind: 'approval'
  readonly name: string
  readonly end: WaitEnd
  readonly approved: boolean
  readonly comment: boolean
  readonly byDefault: boolean
}

export interface InputSpec {
  readonly kind: 'input'
  readonly name: string
  readonly end: WaitEnd
  readonly value: number
  readonly byDefault: boolean
}

export interface SleepSpec {
  readonly kind: 'sleep'
  readonly name: string
  readonly ms: number
}

/** The unit that the schema of every wait for data adds to the answer. */
export const UNIT = 'cm'
/** The code of the errors that steps throw. */
export const PLANNED = 'PLANNED'
/** A name that no choice has. */
export const UNKNOWN_NAME = 'nobody'

/** What a function of a tree is given, as far as its answer depends on it. */
export interface Given {
  readonly path: string
  readonly input: Json
  readonly runInput: Json
  readonly state: JsonObject
  /** The output that a step reads. */
  readonly read?: Json | undefined
}

/** A number that tells two values apart: FNV-1a over their canonical text. */
export function hashOf(value: Json): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(canonicalText(value))) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** A text that depends on everything that a function was given. */
export function textOf({ path, input, runInput, state, read = null }: Given): string {
  return `${path}#${hashOf([path, input, runInput, state, read]).toString(36)}`
}

/** What a step returns or stops with. */
export function outputOf({ gives }: StepSpec, given: Given): Json {
  const text = textOf(given)
  return typeof gives === 'number' ? Array.from({ length: gives }, (_, index) => `${text}.${index}`) : text
}

/** The patch that a step gives to the state as it sees it. */
export function patchOf(patch: Patch, { path, state }: Given): JsonObject {
  switch (patch.does) {
    case 'own':
      return { own: { [path]: hashOf(state) } }
    case 'count':
      return { count: (typeof state['count'] === 'number' ? state['count'] : 0) + 1 }
    case 'set':
      return { [patch.key]: patch.value }
    case 'set deep':
      return { deep: { [patch.key]: patch.value } }
    case 'remove':
      return { [patch.key]: null }
  }
}

/** What `if` of a condition says when it is asked first. */
export function conditionSays({ says }: ConditionSpec, given: Given): boolean {
  return says === 'odd' ? hashOf(textOf(given)) % 2 === 1 : says === true
}

/** What `select` of a router says when it is asked first. */
export function routerSays({ selects, choices }: RouterSpec): string[] {
  return selects.map((index) => choices[index]?.name ?? UNKNOWN_NAME)
}

/** What `until` of a loop says when it is asked first after an iteration that gave this output. */
export function loopSays({ rounds }: LoopSpec, iteration: number, output: Json): boolean {
  return rounds === 'odd' ? hashOf(output) % 2 === 1 : rounds !== null && iteration >= rounds
}

/** What `items` of a map says when it is asked first. */
export function mapSays({ items }: MapSpec, given: Given): string[] {
  return Array.from({ length: items ?? 0 }, (_, index) => `${textOf(given)}.${index}`)
}

/** The answer to an approval that the model expects to be taken. */
export function approvalAnswer({ approved, comment }: ApprovalSpec): { approved: boolean; comment?: string } {
  return { approved, ...(comment ? { comment: 'seen' } : {}) }
}

/** The children of a spec, in order. */
export function childrenOf(spec: TreeSpec): readonly TreeSpec[] {
  switch (spec.kind) {
    case 'step':
    case 'approval':
    case 'input':
    case 'sleep':
      return []
    case 'condition':
      return [...spec.then, ...spec.else]
    case 'router':
      return spec.choices
    case 'sequence':
    case 'parallel':
    case 'loop':
    case 'map':
    case 'workflow':
      return spec.steps
  }
}
