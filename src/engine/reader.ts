import type { Viewer } from '../viewer.ts'
import type { HistoryRun } from '../workflow/context.ts'
import type { EventSpot, Place } from './cursor.ts'
import type {
  EventRecord,
  RunEventType,
  RunPayload,
  RunRecord,
  RunStatus,
  SessionRecord,
  StepRecord,
  StepSummary,
  StepValues,
} from './records.ts'

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
  /** What follows in the events of all runs of a session for who has come so far, as of one moment. */
  sessionEvents(sessionId: string, after: Place, query: Omit<EventQuery, 'afterSeq'>): Promise<EventsOfSession>
  /** The last completed runs of a session before the run with this number (null: of all), oldest first. */
  completedRuns(sessionId: string, beforeNumber: number | null, count: number): Promise<HistoryRun[]>
  /** The cursor of a session in the default order of sessions: newest update first. */
  sessionCursor(session: SessionRecord): string
  /** The cursor of a run in the default order of runs: newest first. */
  runCursor(run: RunRecord): string
  /**
   * Runs that are not over, or ended after `since`, with the `seq` of their newest event. `statuses` of the filter do not
   * count.
   */
  liveRuns(filter: RunFilter, since: Date): Promise<LiveRun[]>
  /** The `seq` of the newest event of each of these runs; those that are not there are left out. */
  lastSeqs(runIds: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** What is another text for a session whenever there is an event more in one of its runs; none for what is not there. */
  sessionMarks(sessionIds: readonly string[]): Promise<ReadonlyMap<string, string>>
}

export interface LiveRun {
  readonly runId: string
  readonly status: RunStatus
  readonly lastSeq: number
  /** Null for one that is not over. */
  readonly endedAt: Date | null
}

/** One step of one run. */
export interface StepKey {
  readonly runId: string
  readonly path: string
}

/** An event of a run with this number in its session. */
export interface SessionEvent {
  readonly number: number
  readonly event: EventRecord
}

/** A page of the events of a session. */
export interface EventsOfSession {
  /** Those of runs that have their turn or had it, in order of run number and `seq`. */
  readonly events: readonly SessionEvent[]
  /** After them: RUN_QUEUED of runs that wait for their turn, in order of number. */
  readonly queued: readonly SessionEvent[]
  /** The place in the runs that had their turn up to which all was looked at; null where there is none of them. */
  readonly upTo: (EventSpot & { readonly runId: string }) | null
  /** Whether there may be more at once. */
  readonly more: boolean
}

export interface EventQuery {
  readonly afterSeq: number
  readonly limit: number
  /** Only these types; null for all. */
  readonly types: readonly RunEventType[] | null
}

/** Makes a reader for a viewer. */
export type ReaderFor = (viewer: Viewer) => Reader
