import type { Json, JsonObject } from '../json.ts'

/** An earlier run of the session, as history gives it. */
export interface HistoryRun {
  readonly runId: string
  /** The run's number in its session. */
  readonly number: number
  /** As it was given; undefined if the run had none. */
  readonly input: Json | undefined
  readonly output: Json | undefined
  readonly completedAt: Date
}

/** The COMPLETED runs of the session before this one. */
export interface History {
  /** The runs that this step was given, oldest first; empty where history is off. */
  readonly runs: readonly HistoryRun[]
  /** The same as the text block that goes before a text input; empty if there is no run. */
  readonly text: string
  /** The last `n` completed runs before this one, oldest first, whatever the history settings are. */
  get(n: number): Promise<readonly HistoryRun[]>
}

/** Severity of a log line. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** Identifies a step whose output is asked for: the step itself, as it was defined. */
export interface OutputSource<Output> {
  readonly '~output'?: (() => Output) | undefined
}

/** What every function that an author writes is given: those of steps, and those by which containers decide. */
export interface ReadContext<Input = unknown, State = JsonObject> {
  /** The left neighbour's output, or the run's input for the first step; for a step checked by its `input` schema. */
  readonly input: Input
  /** The input of the run, as the workflow's `input` schema gives it; in a nested workflow the input of that. */
  readonly runInput: unknown
  /** The session's state as of the start of this attempt. Beside others in `parallel` or `map`: without their changes. */
  readonly state: State
  /** Earlier runs of the session. */
  readonly history: History
  /**
   * The recorded output of an earlier step; of one that was skipped, its input. In a loop or map: of the same iteration
   * or item, and else of the newest iteration.
   *
   * @throws KernError NOT_FOUND if it has none in this run, or runs at the same time
   */
  outputOf<Output>(step: OutputSource<Output>): Output
  /** Aborts at timeout, at cancel, when a sibling failed, when the run was taken over, and when the process stops. */
  readonly signal: AbortSignal
  readonly runId: string
  readonly sessionId: string
  readonly userId: string | null
  /** The path of this step. */
  readonly stepPath: string
}

/** What a step is given. */
export interface StepContext<Input = unknown, State = JsonObject> extends ReadContext<Input, State> {
  /**
   * Changes the session's state by a JSON Merge Patch (RFC 7396): keys replace, null deletes, objects merge. A function
   * gets the state as changed so far and returns the patch. Committed together with the step's result, and not at all
   * if the attempt fails.
   *
   * @throws KernError VALUE_NOT_STORABLE, STATE_INVALID
   */
  setState(patch: StatePatch<State> | ((state: State) => StatePatch<State>)): void
  /** Ends the run early, as COMPLETED, with this output. Nothing after the call is executed. */
  stop(output: unknown): never
  /** Adds an event of the author's own to the run's list. */
  emit(name: string, data?: unknown): void
  /** Adds a line to the run's list of events. */
  log(message: string, options?: { readonly level?: LogLevel; readonly data?: unknown }): void
  /** 1 for the first attempt of this step, and one more for each further one, also after a crash. */
  readonly attempt: number
  /** The same for every attempt of this step of this run, also after a crash: hand it to outside systems. */
  readonly idempotencyKey: string
}

/** A JSON Merge Patch of a state: every key optional, null to delete. */
export type StatePatch<State> = State extends readonly unknown[]
  ? State
  : State extends object
    ? { readonly [Key in keyof State]?: StatePatch<State[Key]> | null }
    : State
