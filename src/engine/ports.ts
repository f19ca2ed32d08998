import type { Json, JsonObject } from '../json.ts'
import type { HistoryRun } from '../workflow/context.ts'
import type { Viewer } from '../viewer.ts'
import type {
  EventRecord,
  RunError,
  RunEventType,
  RunPayload,
  RunRecord,
  RunStatus,
  SessionRecord,
  StepRecord,
  StepSummary,
  StepValues,
  TokenUsage,
} from './records.ts'

/* ------------------------------------------------------------------ reading */

/** A slice of an ordered list. Exactly one of `first` and `last` counts from its end of the list. */
export interface PageRequest {
  readonly limit: number
  /** Whether the slice is taken from the end (`last`) instead of the start (`first`). */
  readonly fromEnd: boolean
  /** Opaque; only what lies after it. */
  readonly after: string | null
  /** Opaque; only what lies before it. */
  readonly before: string | null
}

export interface Page<Item> {
  readonly items: readonly { readonly cursor: string; readonly item: Item }[]
  readonly hasNextPage: boolean
  readonly hasPreviousPage: boolean
}

export interface DateRange {
  /** Inclusive. */
  readonly from?: Date | null
  /** Exclusive. */
  readonly to?: Date | null
}

export interface SessionFilter {
  /** Part of the display name or the session id, in any case. */
  readonly search?: string | null
  readonly workflowId?: string | null
  readonly userId?: string | null
  /** All of them must be there. */
  readonly tags?: readonly string[] | null
  readonly createdAt?: DateRange | null
  readonly updatedAt?: DateRange | null
}

export interface RunFilter {
  readonly sessionId?: string | null
  readonly workflowId?: string | null
  readonly statuses?: readonly RunStatus[] | null
  readonly tags?: readonly string[] | null
  readonly createdAt?: DateRange | null
  readonly retryOf?: string | null
}

export interface SessionOrder {
  readonly field: 'CREATED_AT' | 'UPDATED_AT' | 'NAME'
  readonly direction: 'ASC' | 'DESC'
}

export interface RunOrder {
  readonly field: 'CREATED_AT' | 'DURATION'
  readonly direction: 'ASC' | 'DESC'
}

/**
 * Everything that can be read, on behalf of one viewer: what the viewer may not see is not there. Lists of ids answer
 * in the order of the ids, `null` where there is nothing to see. Malformed cursors throw CURSOR_INVALID.
 */
export interface Reader {
  sessions(sessionIds: readonly string[]): Promise<(SessionRecord | null)[]>
  sessionPage(filter: SessionFilter, order: SessionOrder, page: PageRequest): Promise<Page<SessionRecord>>
  sessionCount(filter: SessionFilter): Promise<number>
  runs(runIds: readonly string[]): Promise<(RunRecord | null)[]>
  runPage(filter: RunFilter, order: RunOrder, page: PageRequest): Promise<Page<RunRecord>>
  runCount(filter: RunFilter): Promise<number>
  /** A page of the runs of each of these sessions, in one statement. */
  runPagesOfSessions(
    sessionIds: readonly string[],
    filter: RunFilter,
    order: RunOrder,
    page: PageRequest,
  ): Promise<Page<RunRecord>[]>
  runCountsOfSessions(sessionIds: readonly string[], filter: RunFilter): Promise<number[]>
  payloads(runIds: readonly string[]): Promise<(RunPayload | null)[]>
  /** For QUEUED runs 1, 2, 3 … in the order in which they get their turn in the session; null for others. */
  queuePositions(runIds: readonly string[]): Promise<(number | null)[]>
  /** The runs that were forked from each of these, oldest first. */
  retries(runIds: readonly string[]): Promise<RunRecord[][]>
  /** The steps of each of these runs with their values, in the order in which they started. */
  steps(runIds: readonly string[]): Promise<StepRecord[][]>
  /** The same without their values. */
  stepSummaries(runIds: readonly string[]): Promise<StepSummary[][]>
  stepsByPath(keys: readonly StepKey[]): Promise<(StepSummary | null)[]>
  stepValues(keys: readonly StepKey[]): Promise<(StepValues | null)[]>
  /** Events of a run with `seq` above `afterSeq`, in order. */
  events(runId: string, query: EventQuery): Promise<EventRecord[]>
  /**
   * Events of all runs of a session after a position, in order of run number and `seq`, but none of runs that wait for
   * their turn: those of the runs before them are still to come.
   */
  sessionEvents(sessionId: string, after: EventPosition, query: Omit<EventQuery, 'afterSeq'>): Promise<EventRecord[]>
  /** The last completed runs of a session before the run with this number (null: of all), oldest first. */
  completedRuns(sessionId: string, beforeNumber: number | null, count: number): Promise<HistoryRun[]>
  /** The cursor of a session in the default order of sessions: newest update first. */
  sessionCursor(session: SessionRecord): string
  /** The cursor of a run in the default order of runs: newest first. */
  runCursor(run: RunRecord): string
  /** Runs of a workflow that are not over, or ended after `since`, with the `seq` of their newest event. */
  liveRuns(workflowId: string, since: Date): Promise<{ readonly runId: string; readonly lastSeq: number }[]>
}

/** One step of one run. */
export interface StepKey {
  readonly runId: string
  readonly path: string
}

/** A place in the events of a session: after event `seq` of run `number`. */
export interface EventPosition {
  readonly number: number
  readonly seq: number
}

export interface EventQuery {
  readonly afterSeq: number
  readonly limit: number
  /** Only these types; null for all. */
  readonly types: readonly RunEventType[] | null
}

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
}

/** Hands runs to workers. */
export interface Dispatcher {
  /** Says that a run has its turn; a worker takes it as soon as one has a free place. */
  offer(runId: string): void
  /** Says that the run was answered, if it is executed here; elsewhere its owner finds that in the row. */
  answered(runId: string): void
  /** Cancels the run if it is executed here; elsewhere its owner finds the request in the row. */
  abort(runId: string, reason: string | null): void
}

/** Tells subscribers in this process that something was committed. Rows are the truth; this only wakes readers. */
export interface Hub {
  /** After the commit: this run has new events. */
  publish(change: RunChange): void
  /** Calls `wake` after each change that matters to the topic, until the returned function is called. */
  listen(topic: Topic, wake: (change: RunChange) => void): () => void
  /** A step of a run that is executed here has a newer partial output. Not stored: who does not listen misses it. */
  progress(progress: StepProgress): void
  /** Calls `take` with each progress that matters to the topic, until the returned function is called. */
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

export type Topic = { readonly runId: string } | { readonly sessionId: string } | { readonly workflowId: string }

/** Makes a reader for a viewer. */
export type ReaderFor = (viewer: Viewer) => Reader
