import type { StepKey } from './reader.ts'
import type { Json, JsonObject } from '../json.ts'
import type { AcceptedRow, NewRun } from './commands/commandStore.ts'
import type { EventRecord, RunError, RunPayload, RunRecord, StepRecord, TokenUsage } from './records.ts'

/* ------------------------------------------------------------------ writing a run */

/** What the executor hands over to be written: all of it in one transaction, or nothing. */
export interface RunWrite {
  readonly runId: string
  readonly sessionId: string
  readonly workflowId: string
  /** Of the run in its session. */
  readonly number: number
  /** The epoch under which the writer owns the run. */
  readonly epoch: number
  /** Rows to insert, or to replace while they are not final. */
  readonly steps: readonly StepRecord[]
  /** Events with the next numbers of the run. */
  readonly events: readonly EventRecord[]
  readonly stepCount: number
  readonly attemptCount: number
  /** What the steps used together. */
  readonly usage: TokenUsage | null
  /** The session's new state, where it changed. */
  readonly state?: JsonObject | undefined
  /** Written once, when the run starts. */
  readonly start?: { readonly stateBefore: JsonObject; readonly historyRunIds: readonly string[] } | undefined
  /** Written once, when the run ends. */
  readonly end?: RunEnd | undefined
  /** Written when the run is put aside until somebody answers or a time has come. Never together with `end`. */
  readonly park?: RunPark | undefined
}

/** A run that is put aside: nobody owns it any more. */
export interface RunPark {
  /** PAUSED while it waits for a person, RUNNING where it only waits for a time. */
  readonly status: 'PAUSED' | 'RUNNING'
  /** When it goes on by itself; null if it does not. */
  readonly wakeAt: Date | null
  /** How many answers the writer has seen: with more in the row, the run is not put aside. */
  readonly answers: number
}

export interface RunEnd {
  readonly status: 'COMPLETED' | 'FAILED' | 'CANCELLED'
  readonly output: Json | undefined
  readonly outputPreview: string | null
  readonly error: RunError | null
  readonly stoppedBy: string | null
  readonly stateAfter: JsonObject
  readonly at: Date
}

/** What became of a write. */
export type WriteOutcome =
  | { readonly type: 'committed'; readonly nextRunId: string | null }
  /** Another worker took the run; nothing was written. */
  | { readonly type: 'fenced' }
  /** The run was to end as COMPLETED or FAILED, or to be parked, but a cancel was accepted before; nothing was written. */
  | { readonly type: 'cancel-requested' }
  /** The run was to be parked, but answers came that the writer has not seen; nothing was written. */
  | { readonly type: 'answered' }

/**
 * Where the executor's results go. A write is durable when its promise resolves, and writes of one run are committed in
 * the order in which they were handed over.
 */
export interface Journal {
  /** Writes soon, and resolves once it is committed. */
  write(entry: RunWrite): Promise<WriteOutcome>
  /**
   * Accepts a run together with what others write. If it has its turn, it belongs to `owner` from the beginning, who is
   * about to execute it.
   *
   * @returns null if it was not accepted: why, or whether it can be in another way, is for a transaction to find out
   * @throws KernError UNAVAILABLE; whether the run was accepted is then unknown
   */
  accept(run: NewRun, owner: string): Promise<AcceptedRow | null>
}

/* ------------------------------------------------------------------ running */

/** A run as its new owner takes it over. */
export interface TakenRun {
  readonly run: RunRecord
  readonly payload: RunPayload
  /** The session's state now. */
  readonly state: JsonObject
  /** What was recorded before; of a fresh run, what it takes over from the run that it is a retry of. */
  readonly steps: readonly StepRecord[]
  /** How many events of their own authors have added to the run so far. */
  readonly authorEvents: number
  /** True if the run had not started before. */
  readonly fresh: boolean
  /** How many processes died while they executed it. */
  readonly deaths: number
}

/** A place in this process for a run that is about to be accepted. */
export interface Reservation {
  /** The worker that the run will belong to. */
  readonly owner: string
  /** Executes the run, which was accepted as the owner's. */
  begin(taken: TakenRun): void
  /** Gives the place back. */
  release(): void
}

/** Hands runs to workers. */
export interface Dispatcher {
  /** Keeps a place for a run of this workflow; null if there is none here, or others have to be asked first. */
  reserve(runId: string, workflowId: string): Reservation | null
  /** Says that a run has its turn; a worker takes it as soon as one has a free place. */
  offer(runId: string): void
  /** Says that the run was answered, if it is executed here; elsewhere its owner finds that in the row. */
  answered(runId: string): void
  /** Cancels the run if it is executed here; elsewhere its owner finds the request in the row. */
  abort(runId: string, reason: string | null): void
}

/**
 * Tells subscribers, in this process and in others, that something was committed. Rows are the truth; this only wakes
 * readers.
 */
export interface Hub {
  /** After the commit: this run has new events. */
  publish(change: RunChange, finished?: FinishedRun): void
  /** Calls `wake` after each change that matters to the topic, until the returned function is called. */
  listen(topic: Topic, wake: (news: ChangeNews) => void): () => void
  /** A step of a run that is executed here has a newer partial output. Not stored: who does not listen misses it. */
  progress(progress: StepProgress): void
  /** Calls `take` with each progress that matters to the topic, of a run the newest ones at once, until the returned function is called. */
  listenToProgress(topic: Topic, take: (progress: StepProgress) => void): () => void
  /** The newest partial output of a step that is executed here; undefined for any other. */
  partialOutput(key: StepKey): Json | undefined
}

/** The newest partial output of a step. */
export interface StepProgress extends StepKey {
  readonly sessionId: string
  readonly workflowId: string
  /** The number of the run in its session. */
  readonly number: number
  /** The `seq` of the newest event of the run when this was made. */
  readonly seq: number
  readonly at: Date
  /** Undefined when the step has ended: there is no partial output any more. */
  readonly partialOutput: Json | undefined
}

export interface RunChange {
  readonly runId: string
  readonly sessionId: string
  readonly workflowId: string
  /** Whether the run is over by it, or waits for a person now. */
  readonly settled: boolean
}

/** What a listener is told of a change, which may also be one that nobody here knows. */
export interface ChangeNews {
  /** The run; left out where nobody knows what has changed. */
  readonly runId?: string | undefined
  /** Whether the run may be over by it, or wait for a person now. */
  readonly settled: boolean
  /** The run as it is now, where it is known without reading it. */
  readonly finished?: FinishedRun | undefined
}

export type Topic =
  | { readonly runId: string }
  | { readonly sessionId: string }
  | { readonly workflowId: string }
  | { readonly everything: true }

/** A run that is over, as a reader gives it. */
export interface FinishedRun {
  readonly run: RunRecord
  readonly payload: RunPayload
  readonly steps: readonly StepRecord[]
}
