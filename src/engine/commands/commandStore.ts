import type { Json, JsonObject } from '../../json.ts'
import type { CallerTransaction } from '../ownTransaction.ts'
import type { Answer, BusyPolicy, NameSource, RunRecord, SessionRecord, StepRecord } from '../records.ts'

export interface NewSession {
  readonly sessionId: string
  readonly workflowId: string
  readonly workflowName: string
  readonly userId: string | null
  readonly name: string | null
  readonly displayName: string
  readonly state: JsonObject
  /** Of the definition that the session shows, which was entered before. */
  readonly workflowVersion: string
  readonly metadata: Json | undefined
  readonly tags: readonly string[]
  /** Whether its id was made just now, so that nobody else knows the session. */
  readonly isNew: boolean
  readonly at: Date
}

export interface NewRun {
  readonly runId: string
  readonly session: NewSession
  readonly workflowVersion: string
  readonly userId: string | null
  readonly input: Json | undefined
  readonly inputPreview: string
  readonly stateGiven: JsonObject | undefined
  readonly metadata: Json | undefined
  readonly tags: readonly string[]
  readonly idempotencyKey: string | null
  readonly requestHash: string | null
  readonly onBusy: BusyPolicy
  /** Among runs that wait for a worker, higher ones are taken first. */
  readonly priority: number
  /** The run that this one is a retry of; null for any other. */
  readonly retryOf: string | null
  /** What is taken over from that run: rows of the new run, with positions 0, 1, 2 … */
  readonly reused: readonly StepRecord[]
  readonly at: Date
}

/** What the database says of a run that was accepted by the journal. */
export interface AcceptedRow {
  readonly number: number
  /** Whether it has its turn: it belongs to its owner then, and has started. */
  readonly active: boolean
  /** When it started, if it has its turn. */
  readonly startedAt: Date
  /** The session's state. */
  readonly state: JsonObject
}

export type AcceptOutcome =
  | {
      readonly type: 'accepted'
      readonly run: RunRecord
      readonly active: boolean
      /** onBusy INTERRUPT: the run that is cancelled by it, and whether somebody executes that, who will end it. */
      readonly interrupted: { readonly runId: string; readonly owned: boolean } | null
    }
  /** The key was used before, with the same request: this is its run. */
  | { readonly type: 'repeated'; readonly run: RunRecord }
  /** The key was used before, for something else. */
  | { readonly type: 'key-conflict'; readonly run: RunRecord }
  /** The session belongs to another workflow, or to another owner. */
  | { readonly type: 'session-conflict'; readonly session: SessionRecord }
  /** onBusy REJECT, and the session has a run that is not over. */
  | { readonly type: 'busy'; readonly run: RunRecord }

/** As {@link AcceptOutcome}, where the transaction is the caller's. */
export type OutcomeInTransaction =
  | { readonly type: 'accepted' | 'repeated'; readonly run: Pick<RunRecord, 'runId' | 'sessionId' | 'number'> }
  | { readonly type: 'other-database' }
  | RefusedStart

/** Why a run was not accepted, with what the refusal tells. */
export type RefusedStart =
  | { readonly type: 'key-conflict'; readonly run: Pick<RunRecord, 'runId'> }
  | { readonly type: 'session-conflict'; readonly session: Pick<SessionRecord, 'sessionId' | 'workflowId' | 'userId'> }
  | { readonly type: 'busy'; readonly run: Pick<RunRecord, 'runId' | 'sessionId'> }

export type CancelOutcome =
  /** It had not started and is CANCELLED now; `nextRunId` got its turn by that. */
  | { readonly type: 'cancelled'; readonly run: RunRecord; readonly nextRunId: string | null }
  /** It runs, or waited; `owned` tells whether somebody executes it, who will end it. */
  | { readonly type: 'requested'; readonly run: RunRecord; readonly owned: boolean }
  /** It was over before. */
  | { readonly type: 'over'; readonly run: RunRecord }

/** An answer to a step that waits for a person. */
export interface AnswerRequest {
  readonly runId: string
  readonly path: string
  /** `number` is that of the wait which the caller has seen. */
  readonly answer: Answer
  readonly at: Date
}

export type AnswerOutcome =
  /** It is recorded; `parked` tells whether the run was put aside, and is to be offered to a worker now. */
  | { readonly type: 'answered'; readonly run: RunRecord; readonly parked: boolean }
  /** The step does not wait for this answer any more: it was answered, timed out, or the run is over. */
  | { readonly type: 'not-waiting'; readonly run: RunRecord }
  | { readonly type: 'not-found' }

/** The transactions behind the commands. Each returns what it changed, or says why it changed nothing. */
export interface CommandStore {
  accept(run: NewRun): Promise<AcceptOutcome>
  /** Accepts a run in a transaction of the caller. An outcome that is no acceptance has changed nothing. */
  acceptIn(tx: CallerTransaction, run: NewRun): Promise<OutcomeInTransaction>
  cancel(runId: string, reason: string | null, at: Date): Promise<CancelOutcome | { readonly type: 'not-found' }>
  answer(request: AnswerRequest): Promise<AnswerOutcome>
  createSession(session: NewSession): Promise<{ readonly created: boolean; readonly session: SessionRecord }>
  nameSession(sessionId: string, name: string, source: NameSource, at: Date): Promise<SessionRecord | null>
  updateSession(sessionId: string, change: SessionChange): Promise<UpdateOutcome>
  deleteSession(sessionId: string): Promise<'deleted' | 'not-found' | { readonly activeRunId: string }>
}

export interface SessionChange {
  /** The new state, made from the version that is expected. */
  readonly state?: JsonObject | undefined
  readonly expectedStateVersion?: number | undefined
  /** undefined: leave it; null: remove it. */
  readonly metadata?: Json | undefined
  readonly tags?: readonly string[] | undefined
  readonly at: Date
}

export type UpdateOutcome =
  | { readonly type: 'updated'; readonly session: SessionRecord }
  | { readonly type: 'not-found' }
  | { readonly type: 'version-conflict'; readonly session: SessionRecord }
  /** The state was to change while a run of the session owns it. */
  | { readonly type: 'busy'; readonly runId: string; readonly session: SessionRecord }
