import type { Json } from '../json.ts'
import type { Viewer } from '../viewer.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import type { EventCursor, EventSpot, Place } from './cursor.ts'
import type { RunFilter, StepKey } from './reader.ts'
import type { BusyPolicy, EventRecord, ResumeAction, RunEventType, RunRecord, SessionRecord } from './records.ts'

/** The definitions that this Kern serves. */
export interface Workflows {
  /** All of them, in order of id. */
  list(): readonly WorkflowDefinition[]
  get(workflowId: string): WorkflowDefinition | undefined
}

export interface RunRequest {
  readonly workflowId: string
  readonly input?: Json | undefined
  /** The session to run in; created if it does not exist. Left out: a new session. */
  readonly sessionId?: string | undefined
  readonly userId?: string | undefined
  /** Names the session by hand, as it is created or after. */
  readonly sessionName?: string | undefined
  /** State that is merged over the session's when the run starts. */
  readonly sessionState?: Json | undefined
  readonly metadata?: Json | undefined
  readonly tags?: readonly string[] | undefined
  /** The same key with the same request gives the same run. */
  readonly idempotencyKey?: string | undefined
  /** What to do if the session has a run that is not over. @default 'QUEUE' */
  readonly onBusy?: BusyPolicy | undefined
  /** Among runs that wait for a worker, those with a higher one are taken first, -100 to 100. @default the workflow's */
  readonly priority?: number | undefined
  /** How long to wait until the run is over, or waits for a person, before answering, in milliseconds. @default 0 */
  readonly waitMs?: number | undefined
}

export interface ResumeRequest {
  readonly runId: string
  /** The step to answer. May be left out where only one waits. */
  readonly stepPath?: string | undefined
  /** The answer, for CONTINUE: what the step's schema accepts. */
  readonly data?: Json | undefined
  /** CONTINUE for steps that wait for data; RETRY, SKIP or FAIL for one that has failed. @default 'CONTINUE' */
  readonly action?: ResumeAction | undefined
}

export interface RetryRequest {
  readonly runId: string
  /** The path of the first step that is executed again. @default the first step that failed */
  readonly fromStep?: string | undefined
  /** Takes the place of the run's input; what is reused stays as it is. @default the input of the run */
  readonly input?: Json | undefined
}

export interface NameRequest {
  readonly sessionId: string
  readonly sessionName?: string | undefined
  readonly autogenerate?: boolean | undefined
}

export interface CreateSessionRequest {
  readonly workflowId: string
  readonly sessionId?: string | undefined
  readonly userId?: string | undefined
  readonly sessionName?: string | undefined
  readonly state?: Json | undefined
  readonly metadata?: Json | undefined
  readonly tags?: readonly string[] | undefined
}

export interface UpdateSessionRequest {
  readonly sessionId: string
  /** A JSON Merge Patch of the state. */
  readonly statePatch?: Json | undefined
  /** Refuse the change unless the state has this version. */
  readonly expectedStateVersion?: number | undefined
  /** Replaces the metadata; null removes it; undefined leaves it. */
  readonly metadata?: Json | undefined
  /** Replaces the tags. */
  readonly tags?: readonly string[] | undefined
}

/**
 * What GraphQL, the command line and the library call. Every method checks its input and throws a KernError whose code
 * says what was wrong: NOT_FOUND, INPUT_INVALID (with `issues`), CONFLICT (with `runId` or `sessionId`), LIMIT_EXCEEDED,
 * UNAVAILABLE.
 */
export interface Commands {
  runWorkflow(viewer: Viewer, request: RunRequest): Promise<RunRecord>
  cancelRun(
    viewer: Viewer,
    request: { readonly runId: string; readonly reason?: string | undefined },
  ): Promise<RunRecord>
  /** Answers a step that waits for a person. A bad answer leaves it waiting. */
  resumeRun(viewer: Viewer, request: ResumeRequest): Promise<RunRecord>
  /** Makes a new run that takes over what another one recorded before a step. */
  retryRun(viewer: Viewer, request: RetryRequest): Promise<RunRecord>
  setSessionName(viewer: Viewer, request: NameRequest): Promise<SessionRecord>
  createSession(viewer: Viewer, request: CreateSessionRequest): Promise<SessionRecord>
  updateSession(viewer: Viewer, request: UpdateSessionRequest): Promise<SessionRecord>
  /** @returns the id of the session that is gone */
  deleteSession(viewer: Viewer, request: { readonly sessionId: string }): Promise<string>
  /** The block that the next run of the session would be given; null if there is no completed run. */
  historyContext(viewer: Viewer, session: SessionRecord, numRuns: number | undefined): Promise<string | null>
}

/** An event as a stream gives it. */
export interface StreamedEvent extends EventRecord {
  /** Null for STEP_PROGRESS, which is in no row, and in streams without an order, such as those of a workflow. */
  readonly spot: EventSpot | null
  /** The place of the stream after it, which is what its cursor says. */
  readonly resume: EventCursor
}

/** What subscribers are given, one after another. Iterate with `for await`; ending the iteration releases everything. */
export interface LiveStream<Item> extends AsyncIterableIterator<Item, undefined> {
  /**
   * How far it has come with what `next` has resolved with, or is about to: also past what was read and not asked for.
   * Null where nothing has an order by which another stream could go on from there.
   */
  place(): Place | null
  /**
   * Resolves when all that there was has been given and a call of `next` waits for what comes; at once if one waits now, or
   * when the stream has ended.
   */
  caughtUp(): Promise<void>
}

/**
 * Streams of committed events: first those after the cursor, then live ones, none left out and none twice. Iterate with
 * `for await`; ending the iteration releases everything.
 */
export interface EventStreams {
  /** The events of one run; ends after its final event. @throws KernError NOT_FOUND, CURSOR_INVALID */
  run(viewer: Viewer, query: RunStreamQuery): Promise<LiveStream<StreamedEvent>>
  /**
   * Events of all runs of a session, run after run; fails with NOT_FOUND once it is deleted, and never ends
   * else. RUN_QUEUED of a run that waits for its turn comes at once, between events of the runs before it.
   *
   * @throws KernError NOT_FOUND, CURSOR_INVALID, CURSOR_EXPIRED
   */
  session(viewer: Viewer, query: SessionStreamQuery): Promise<LiveStream<StreamedEvent>>
  /** Live events of all runs of a workflow, in order within each run; never ends. @throws KernError NOT_FOUND */
  workflow(viewer: Viewer, query: WorkflowStreamQuery): Promise<LiveStream<StreamedEvent>>
  /**
   * What changes from now on in the set of runs that a filter finds: of each run its newest state, at most ten times a
   * second; never ends. That a run which was over for a while is deleted is not told.
   */
  runs(viewer: Viewer, query: RunSetQuery): Promise<LiveStream<RunSetChange>>
  /** The newest partial output of a step that is executed in this process; undefined for any other. */
  partialOutput(key: StepKey): Json | undefined
}

export interface RunStreamQuery {
  readonly runId: string
  readonly after?: string | null | undefined
  readonly types?: readonly RunEventType[] | null | undefined
}

export interface SessionStreamQuery {
  readonly sessionId: string
  readonly after?: string | null | undefined
  readonly types?: readonly RunEventType[] | null | undefined
}

export interface RunSetQuery {
  readonly filter: RunFilter
}

/** What has become of a run in the set. */
export interface RunSetChange {
  readonly kind: 'ENTERED' | 'CHANGED' | 'LEFT'
  readonly runId: string
  /** The run as it was found; null if it was deleted. */
  readonly run: RunRecord | null
}

export interface WorkflowStreamQuery {
  readonly workflowId: string
  readonly types?: readonly RunEventType[] | null | undefined
}
