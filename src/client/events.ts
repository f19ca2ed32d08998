export type RunStatus = 'QUEUED' | 'RUNNING' | 'PAUSED' | 'COMPLETED' | 'FAILED' | 'CANCELLED'

export type StepStatus = 'RUNNING' | 'RETRYING' | 'PAUSED' | 'COMPLETED' | 'FAILED' | 'SKIPPED' | 'CANCELLED'

export type RunEventType =
  | 'RUN_QUEUED'
  | 'RUN_STARTED'
  | 'STEP_STARTED'
  | 'STEP_PROGRESS'
  | 'STEP_RETRYING'
  | 'STEP_PAUSED'
  | 'STEP_COMPLETED'
  | 'STEP_FAILED'
  | 'STEP_SKIPPED'
  | 'STEP_CANCELLED'
  | 'STATE_CHANGED'
  | 'LOG'
  | 'CUSTOM'
  | 'RUN_PAUSED'
  | 'RUN_RESUMED'
  | 'RUN_COMPLETED'
  | 'RUN_FAILED'
  | 'RUN_CANCELLED'

/** Something that happened in a run. */
export interface RunEvent {
  /** Opaque. All STEP_PROGRESS of one step have the same. */
  readonly id: string
  /** The place of the event: what comes later is given by a watch that has it as `after`. */
  readonly cursor: string
  /** 1, 2, 3 … within the run. STEP_PROGRESS, which is not stored, has that of the event before it. */
  readonly seq: number
  readonly type: RunEventType
  /** When it happened, RFC 3339 in UTC. */
  readonly at: string
  /** What an author called an event of their own; null for other types. */
  readonly name: string | null
  /** What belongs to the event, by its type. */
  readonly data: unknown
  /** The run as of this event, or newer. */
  readonly run: { readonly runId: string; readonly number: number; readonly status: RunStatus }
  /** The step as of this event, or newer; null if the event is of the run as a whole. */
  readonly step: {
    readonly path: string
    readonly status: StepStatus
    /** JSON, cut; null until the step has an output. */
    readonly outputPreview: string | null
  } | null
}

/** What the client itself reads is always asked for, whatever else is. */
const FIELDS = 'id cursor seq type at name data run { runId number status } step { path status outputPreview }'

/** @param selection more fields of the event */
export const runEventsDocument = (selection: string): string =>
  `subscription ($id: ID!, $after: String, $types: [RunEventType!]) { event: runEvents(runId: $id, after: $after, types: $types) { ${FIELDS} ${selection} } }`

/** @param selection more fields of the event */
export const sessionEventsDocument = (selection: string): string =>
  `subscription ($id: String!, $after: String) { event: sessionEvents(sessionId: $id, after: $after) { ${FIELDS} ${selection} } }`

/** Whether nothing happens in the run after it. */
export function isFinal({ type }: RunEvent): boolean {
  return /^RUN_(COMPLETED|FAILED|CANCELLED)$/.test(type)
}
