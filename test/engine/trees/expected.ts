import type { Json, JsonObject } from '../../../src/json.ts'
import type { Write } from './conflicts.ts'
import type { Given, TreeSpec } from './spec.ts'

/** What a run must come to, written from the specification alone. */
export interface Expected {
  /** Every way in which the run may end: more than one only where steps beside each other race to end it. */
  readonly ends: readonly End[]
  /** The steps by their path in the run, in the order in which they start where nothing races. */
  readonly rows: ReadonlyMap<string, Row>
  /** The session's state after it; null where races decide. */
  readonly state: JsonObject | null
}

export type End =
  | { readonly status: 'COMPLETED'; readonly output: Json; readonly stoppedBy: string | null }
  | { readonly status: 'FAILED'; readonly error: Failure }
  | { readonly status: 'CANCELLED' }

export interface Failure {
  readonly code: string | null
  /** The step that failed; of several that may meet in a conflict of state, each has an end of its own. */
  readonly stepPath: string
}

/** What must be recorded of a step. */
export interface Row {
  readonly kind: TreeSpec['kind']
  readonly parentPath: string | null
  readonly input: Json
  status: 'COMPLETED' | 'SKIPPED' | 'FAILED' | 'CANCELLED'
  output: Json | undefined
  /** Of a container, the ends of which one went through it; of a step that ended the run, that end. */
  ends: readonly End[]
  attempts: number
  retries: number
  waits: number
  /** False for a step that is cut off, or never starts, where a sibling is faster to end the run. */
  sure: boolean
  /** True for a step beside which, or in which, a conflict of state may be found. */
  clashes: boolean
}

/** What a list of steps leads to. */
export type Flow = { readonly output: Json } | { readonly ends: readonly End[] }

/** The state as one branch sees it, and what it changed in it. */
export interface View {
  state: JsonObject
  readonly writes: Write[]
  /** False where races decided what is in it. */
  sure: boolean
}

/** What is told of all steps of a run. */
export interface World {
  readonly rows: Map<string, Row>
  /** What functions that were asked more than once are known to have said first, by path. */
  readonly decisions: ReadonlyMap<string, Json>
}

/** Where in a run a list of steps stands. */
export interface Scope {
  readonly world: World
  readonly view: View
  readonly runInput: Json
  readonly parentPath: string | null
  /** What stands before the names of the steps in their paths. */
  readonly prefix: string
}

/** A step with what it is given. */
export interface Visit<Spec> {
  readonly spec: Spec
  readonly path: string
  readonly row: Row
  readonly given: Given
  /** The output of the first step of its list. */
  readonly read: Json | undefined
  readonly scope: Scope
}
