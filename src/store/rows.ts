import type { runEvents, runPayloads, runs, sessions, stepResults } from '../db/tables.ts'
import type { NewSession } from '../engine/commands/commandStore.ts'
import type {
  Answer,
  EventRecord,
  PendingWait,
  RunError,
  RunEventType,
  RunPayload,
  RunRecord,
  SessionRecord,
  StepAttempt,
  StepSummary,
  TokenUsage,
} from '../engine/records.ts'
import { isJsonObject, type Json, type JsonObject, jsonText } from '../json.ts'

/*
 * Between rows and records. A value is JSON text in its column, so that JSON null (the text `null`) and a value that was
 * never given (SQL null) stay apart.
 */

export function encode(value: Json | undefined): string | null {
  return value === undefined ? null : jsonText(value)
}

export function decode(text: string | null): Json | undefined {
  return text === null ? undefined : JSON.parse(text)
}

function decodeObject(text: string | null): JsonObject | undefined {
  const value = decode(text)
  return isJsonObject(value) ? value : undefined
}

/** Columns that hold what Kern itself wrote have the type they were written with. */
function decodeOwn<Own>(text: string): Own {
  return JSON.parse(text) as Own
}

function decodeOwnOrNull<Own>(text: string | null): Own | null {
  return text === null ? null : decodeOwn<Own>(text)
}

export type SessionRow = typeof sessions.$inferSelect

export function sessionOf(row: SessionRow): SessionRecord {
  return {
    ...row,
    state: decodeObject(row.state) ?? {},
    workflowData: decodeObject(row.workflowData) ?? {},
    metadata: decode(row.metadata),
  }
}

/** A session's first row. */
export function sessionValues(session: NewSession): typeof sessions.$inferInsert {
  const { at, state, workflowData, metadata, tags, name, ...rest } = session
  return {
    ...rest,
    name,
    nameSource: name === null ? null : 'MANUAL',
    state: encode(state) ?? '{}',
    workflowData: encode(workflowData) ?? '{}',
    metadata: encode(metadata),
    tags: [...tags],
    createdAt: at,
    updatedAt: at,
  }
}

/** What a run's row has, with what is counted for it. */
export type RunRow = Omit<typeof runs.$inferSelect, 'owner' | 'requestHash' | 'stepCount' | 'attemptCount'> & {
  readonly lastSeq: number
  readonly stepCount: number
  readonly attemptCount: number
}

export function runOf(row: RunRow): RunRecord {
  return {
    ...row,
    error: decodeOwnOrNull<RunError>(row.error),
    usage: decodeOwnOrNull<TokenUsage>(row.usage),
    metadata: decode(row.metadata),
  }
}

export function payloadOf(row: typeof runPayloads.$inferSelect): RunPayload {
  return {
    runId: row.runId,
    input: decode(row.input),
    stateGiven: decodeObject(row.stateGiven),
    output: decode(row.output),
    stateBefore: decodeObject(row.stateBefore),
    stateAfter: decodeObject(row.stateAfter),
  }
}

/** A step's row without its values. */
export type StepSummaryRow = Omit<typeof stepResults.$inferSelect, 'input' | 'output' | 'partialOutput' | 'decision'>

export function stepSummaryOf(row: StepSummaryRow): StepSummary {
  return {
    ...row,
    // The journal writes no other text.
    inputFrom: row.inputFrom as StepSummary['inputFrom'],
    error: decodeOwnOrNull<RunError>(row.error),
    statePatch: decodeObject(row.statePatch),
    pending: decodeOwnOrNull<PendingWait>(row.pending),
    answer: decodeOwnOrNull<Answer>(row.answer),
    usage: decodeOwnOrNull<TokenUsage>(row.usage),
    attempts: decodeOwn<readonly StepAttempt[]>(row.attempts),
  }
}

export function eventOf(row: typeof runEvents.$inferSelect): EventRecord {
  return {
    ...row,
    // The journal writes no other text.
    type: row.type as RunEventType,
    data: decode(row.data),
  }
}
