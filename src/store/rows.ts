import { getColumns, sql } from 'drizzle-orm'
import { type events, type runPayloads, type runs, sessions, type stepResults } from '../db/tables.ts'
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
  StepRecord,
  StepSummary,
  TokenUsage,
} from '../engine/records.ts'
import { isJsonObject, type Json, type JsonObject, jsonText, previewOf } from '../json.ts'

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

/** A session's columns, with the definition that they refer to. */
export const sessionColumns = {
  ...getColumns(sessions),
  workflowData: sql<string | null>`(select w.data::text from kern.workflows w
    where w.workflow_id = kern.sessions.workflow_id and w.version = kern.sessions.workflow_version)`.as(
    'workflow_data',
  ),
}

export type SessionRow = typeof sessions.$inferSelect & { readonly workflowData: string | null }

export function sessionOf({ turnDue: _turnDue, workflowVersion: _version, ...row }: SessionRow): SessionRecord {
  return {
    ...row,
    state: decodeObject(row.state) ?? {},
    workflowData: decodeObject(row.workflowData) ?? {},
    metadata: decode(row.metadata),
  }
}

/** A session's first row. */
export function sessionValues(session: NewSession): typeof sessions.$inferInsert {
  const { at, state, metadata, tags, name, isNew: _isNew, ...rest } = session
  return {
    ...rest,
    name,
    nameSource: name === null ? null : 'MANUAL',
    state: encode(state) ?? '{}',
    metadata: encode(metadata),
    tags: [...tags],
    createdAt: at,
    updatedAt: at,
  }
}

/** What a run's row has, with what is counted for it. */
export type RunRow = Omit<
  typeof runs.$inferSelect,
  'owner' | 'deaths' | 'requestHash' | 'stepCount' | 'attemptCount'
> & {
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

/** A step's row without its values, but with an output that is so small that its preview is not stored. */
export type StepSummaryRow = Omit<
  typeof stepResults.$inferSelect,
  'input' | 'output' | 'partialOutput' | 'decision'
> & {
  readonly smallOutput: string | null
}

/** Outputs up to this length, in characters of their JSON text, have no stored preview: it is made from them. */
const SMALL_OUTPUT = 512

/** The preview as it is stored; null where it is made from the output. */
export function storedPreview({ output, outputPreview }: Pick<StepRecord, 'output' | 'outputPreview'>): string | null {
  const text = outputPreview === null ? null : encode(output)
  return text !== null && text.length <= SMALL_OUTPUT ? null : outputPreview
}

/** The attempts as they are stored; null for what the times of the step tell: one attempt that went well. */
export function storedAttempts({ attempts, startedAt, completedAt }: StepRecord): string | null {
  const [only, ...others] = attempts
  const plain =
    only !== undefined &&
    others.length === 0 &&
    only.number === 1 &&
    only.error === null &&
    only.startedAt === startedAt.toISOString() &&
    only.completedAt === completedAt?.toISOString()
  return plain ? null : JSON.stringify(attempts)
}

export function stepSummaryOf({ smallOutput, ...row }: StepSummaryRow): StepSummary {
  const { startedAt, completedAt } = row
  return {
    ...row,
    outputPreview: row.outputPreview ?? (smallOutput === null ? null : previewOf(decode(smallOutput))),
    // The journal writes no other text.
    inputFrom: row.inputFrom as StepSummary['inputFrom'],
    error: decodeOwnOrNull<RunError>(row.error),
    statePatch: decodeObject(row.statePatch),
    pending: decodeOwnOrNull<PendingWait>(row.pending),
    answer: decodeOwnOrNull<Answer>(row.answer),
    usage: decodeOwnOrNull<TokenUsage>(row.usage),
    attempts: row.attempts === null ? [onlyAttempt(startedAt, completedAt)] : decodeOwn(row.attempts),
  }
}

function onlyAttempt(startedAt: Date, completedAt: Date | null): StepAttempt {
  return {
    number: 1,
    startedAt: startedAt.toISOString(),
    completedAt: completedAt?.toISOString() ?? null,
    error: null,
  }
}

/** Events that were written together, as their one row has them. */
export function encodeEvents(events: readonly Omit<EventRecord, 'runId' | 'seq'>[]): string {
  const texts = events.map(({ type, at, stepPath, name, data }) => {
    const head = JSON.stringify([type, at.getTime(), stepPath, name])
    return data === undefined ? head : `${head.slice(0, -1)},${jsonText(data)}]`
  })
  return `[${texts.join(',')}]`
}

export function eventOf({ firstSeq: _firstSeq, ...row }: typeof events.$inferSelect): EventRecord {
  return {
    ...row,
    // The journal writes no other text.
    type: row.type as RunEventType,
    data: decode(row.data),
  }
}
