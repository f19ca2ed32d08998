import type { Json, JsonObject } from '../json.ts'

/** Where a run stands. The last three are final: they never change. */
export const RUN_STATUSES = ['QUEUED', 'RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED'] as const
export type RunStatus = (typeof RUN_STATUSES)[number]

/** Where a step of a run stands. */
export const STEP_STATUSES = ['RUNNING', 'RETRYING', 'PAUSED', 'COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED'] as const
export type StepStatus = (typeof STEP_STATUSES)[number]

export const RUN_EVENT_TYPES = [
  'RUN_QUEUED',
  'RUN_STARTED',
  'STEP_STARTED',
  // Live only: it is never stored, and has the `seq` of the newest stored event.
  'STEP_PROGRESS',
  'STEP_RETRYING',
  'STEP_PAUSED',
  'STEP_COMPLETED',
  'STEP_FAILED',
  'STEP_SKIPPED',
  'STEP_CANCELLED',
  'STATE_CHANGED',
  'LOG',
  'CUSTOM',
  'RUN_PAUSED',
  'RUN_RESUMED',
  'RUN_COMPLETED',
  'RUN_FAILED',
  'RUN_CANCELLED',
] as const
export type RunEventType = (typeof RUN_EVENT_TYPES)[number]

export type NameSource = 'MANUAL' | 'GENERATED'
export type BusyPolicy = 'QUEUE' | 'REJECT' | 'INTERRUPT'

/** Why a step or a run failed, as it is stored. */
export interface RunError {
  /** The name of the error's class. */
  readonly name: string
  /** One of Kern's codes, or the `code` that a thrown error carried; null if it had none. */
  readonly code: string | null
  readonly message: string
  /** The step that failed; null where no step did. */
  readonly stepPath: string | null
  /** Whether the same step may succeed when it is tried again. */
  readonly retryable: boolean
}

/** A session without its runs. `undefined` stands for a value that was never given; JSON null is `null`. */
export interface SessionRecord {
  readonly sessionId: string
  readonly workflowId: string
  readonly workflowName: string
  readonly userId: string | null
  readonly name: string | null
  readonly nameSource: NameSource | null
  readonly displayName: string
  readonly state: JsonObject
  readonly stateVersion: number
  readonly workflowData: JsonObject
  readonly metadata: Json | undefined
  readonly tags: readonly string[]
  /** How many runs were accepted so far. */
  readonly runCount: number
  /** The run that has its turn. */
  readonly activeRunId: string | null
  readonly lastRunId: string | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** A run as lists show it. Its values are in {@link RunPayload}. */
export interface RunRecord {
  readonly runId: string
  readonly sessionId: string
  readonly number: number
  readonly workflowId: string
  readonly workflowName: string
  readonly workflowVersion: string
  readonly userId: string | null
  readonly status: RunStatus
  readonly inputPreview: string
  readonly outputPreview: string | null
  readonly error: RunError | null
  readonly stoppedBy: string | null
  readonly historyRunIds: readonly string[]
  readonly retryOf: string | null
  readonly metadata: Json | undefined
  readonly tags: readonly string[]
  readonly idempotencyKey: string | null
  /** Among runs that wait for a worker, higher ones are taken first. */
  readonly priority: number
  readonly stepCount: number
  readonly attemptCount: number
  /** What language models used; null if none was called. */
  readonly usage: TokenUsage | null
  readonly lastSeq: number
  /** How many answers people have given so far to what the run waited for. */
  readonly answers: number
  /** When a run that waits goes on by itself; null for one that does not wait, or waits for a person only. */
  readonly wakeAt: Date | null
  readonly cancelRequestedAt: Date | null
  readonly cancelReason: string | null
  readonly epoch: number
  readonly createdAt: Date
  readonly startedAt: Date | null
  readonly completedAt: Date | null
  readonly durationMs: number | null
}

/** The values of a run. */
export interface RunPayload {
  readonly runId: string
  readonly input: Json | undefined
  /** State given with the run, merged over the session's at its start. */
  readonly stateGiven: JsonObject | undefined
  readonly output: Json | undefined
  readonly stateBefore: JsonObject | undefined
  readonly stateAfter: JsonObject | undefined
}

/** Tokens that language models read and wrote. */
export interface TokenUsage {
  readonly inputTokens: number
  readonly outputTokens: number
  readonly totalTokens: number
}

/** What a step waits for. */
export interface PendingWait {
  /** 1, 2, 3 … within the step: an answer is for one wait only. */
  readonly number: number
  /** `input`: data from a person; `error`: what a person says to a failure; `time`: `expiresAt`. */
  readonly reason: 'input' | 'error' | 'time'
  readonly prompt: string | null
  readonly requestedAt: string
  /** When the wait ends by itself; null if it does not. */
  readonly expiresAt: string | null
  /** The number of attempts that the step had when it began to wait. */
  readonly attempts: number
}

/** What a person may say to a run that waits. */
export const RESUME_ACTIONS = ['CONTINUE', 'RETRY', 'SKIP', 'FAIL'] as const
export type ResumeAction = (typeof RESUME_ACTIONS)[number]

/** What a person said to a wait. */
export interface Answer {
  /** Of the {@link PendingWait} that it is for. */
  readonly number: number
  readonly action: ResumeAction
  /** With CONTINUE: the data, as the step's schema gives it. */
  readonly data?: Json
  readonly at: string
  readonly userId: string | null
}

export interface StepAttempt {
  readonly number: number
  readonly startedAt: string
  readonly completedAt: string | null
  readonly error: RunError | null
}

/**
 * Where a step's input is to be read, so that a value that is already stored is not stored again: the run's input, the
 * output of another step, or the step's own row.
 */
export type InputSource = 'run' | 'own' | `step:${string}`

/** One step of a run. */
export interface StepRecord {
  readonly runId: string
  readonly path: string
  /** 0, 1, 2 … in the order in which the steps of the run started. */
  readonly position: number
  readonly parentPath: string | null
  readonly name: string
  /** The node's kind, in lower case as in the definition. */
  readonly kind: string
  readonly status: StepStatus
  readonly inputFrom: InputSource
  /** Stored where `inputFrom` is `own`; a reader fills it in for the others. */
  readonly input: Json | undefined
  readonly output: Json | undefined
  readonly outputPreview: string | null
  /** The newest partial output of a step that ended without an output. */
  readonly partialOutput: Json | undefined
  readonly error: RunError | null
  readonly statePatch: JsonObject | undefined
  /** What the function of a condition, router, loop or map has decided. */
  readonly decision: Json | undefined
  /** What the step waits for, or waited for last. */
  readonly pending: PendingWait | null
  /** The last answer that was given to it. Written by commands, never by the one who executes the run. */
  readonly answer: Answer | null
  readonly usage: TokenUsage | null
  readonly historyUsed: boolean
  /** Whether its result ended the run early. */
  readonly stopsRun: boolean
  readonly maxAttempts: number
  readonly attempts: readonly StepAttempt[]
  readonly startedAt: Date
  readonly completedAt: Date | null
}

/** A step as lists show it, without its values, which may be large. */
export type StepSummary = Omit<StepRecord, 'input' | 'output' | 'partialOutput' | 'decision'>

/** The values of a step. */
export type StepValues = Pick<StepRecord, 'input' | 'output' | 'partialOutput'>

/** One event of a run. `seq` is 1, 2, 3 … without gaps. */
export interface EventRecord {
  readonly runId: string
  readonly seq: number
  readonly type: RunEventType
  readonly at: Date
  readonly stepPath: string | null
  /** The name that the author gave to an event of their own. */
  readonly name: string | null
  readonly data: Json | undefined
}

const FINAL: ReadonlySet<RunStatus> = new Set(['COMPLETED', 'FAILED', 'CANCELLED'])

/** True for a status that never changes. */
export function isFinal(status: RunStatus): boolean {
  return FINAL.has(status)
}

const FINAL_EVENTS: ReadonlySet<RunEventType> = new Set(['RUN_COMPLETED', 'RUN_FAILED', 'RUN_CANCELLED'])

/** True for the event that ends the list of a run. */
export function isFinalEvent(type: RunEventType): boolean {
  return FINAL_EVENTS.has(type)
}

/** True for a step whose result was taken over from the run that this one is a retry of. */
export function isReused({ attempts, status }: Pick<StepSummary, 'attempts' | 'status'>): boolean {
  return attempts.length === 0 && (status === 'COMPLETED' || status === 'SKIPPED')
}
