import { sql } from 'drizzle-orm'
import {
  check,
  customType,
  doublePrecision,
  foreignKey,
  index,
  integer,
  boolean,
  primaryKey,
  snakeCase,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

/**
 * A `json` column that is handed through as text: it keeps the order of keys and negative zero, which `jsonb` does not,
 * and neither driver nor Drizzle parses it a second time. `src/store/rows.ts` writes and reads the text.
 */
const jsonText = customType<{ data: string; driverData: string }>({
  dataType: () => 'json',
  // Inside the json of a nested relation it would be parsed along with the rest.
  forJsonSelect: (identifier, sql) => sql`${identifier}::text`,
})

/** UTC, to the millisecond: what JavaScript can hold, so that a time in a cursor equals the one in the row. */
const time = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })

/** A schema of its own, so that Kern can share a database with the tables of an application. */
export const kernSchema = snakeCase.schema('kern')

/** One row a session. Runs have rows of their own: saving one never rewrites another. */
export const sessions = kernSchema.table(
  'sessions',
  {
    sessionId: text().primaryKey(),
    workflowId: text().notNull(),
    workflowName: text().notNull(),
    userId: text(),
    name: text(),
    nameSource: text({ enum: ['MANUAL', 'GENERATED'] }),
    /** The name, else the preview of the first run's input, else "New <workflow> session". */
    displayName: text().notNull(),
    state: jsonText().notNull(),
    stateVersion: integer().notNull().default(0),
    workflowData: jsonText().notNull(),
    metadata: jsonText(),
    tags: text().array().notNull(),
    runCount: integer().notNull().default(0),
    /** The run that has its turn; null when the session is idle. */
    activeRunId: uuid(),
    lastRunId: uuid(),
    createdAt: time().notNull(),
    updatedAt: time().notNull(),
  },
  (t) => [
    index('sessions_by_updated').on(t.updatedAt, t.sessionId),
    index('sessions_by_created').on(t.createdAt, t.sessionId),
    index('sessions_by_name').on(sql`lower(${t.displayName}) collate "C"`, t.sessionId),
    index('sessions_by_workflow').on(t.workflowId, t.updatedAt, t.sessionId),
    index('sessions_by_user').on(t.userId, t.updatedAt, t.sessionId),
    index('sessions_by_tag').using('gin', t.tags),
    index('sessions_active').on(t.activeRunId).where(sql`${t.activeRunId} is not null`),
  ],
)

/** One row a run: what lists show. What they do not show is in {@link runPayloads}. */
export const runs = kernSchema.table(
  'runs',
  {
    runId: uuid().primaryKey(),
    sessionId: text()
      .notNull()
      .references(() => sessions.sessionId, { onDelete: 'cascade' }),
    number: integer().notNull(),
    workflowId: text().notNull(),
    workflowName: text().notNull(),
    workflowVersion: text().notNull(),
    userId: text(),
    status: text({ enum: ['QUEUED', 'RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED'] }).notNull(),
    inputPreview: text().notNull(),
    outputPreview: text(),
    error: jsonText(),
    stoppedBy: text(),
    historyRunIds: uuid().array().notNull(),
    retryOf: uuid(),
    metadata: jsonText(),
    tags: text().array().notNull(),
    idempotencyKey: text(),
    /** SHA-256 of what the run was started with: a repeated key must come with the same. */
    requestHash: text(),
    /** Counted when the run ends; until then readers count the rows. */
    stepCount: integer(),
    attemptCount: integer(),
    /** Summed when the run ends; until then readers sum the rows. */
    usage: jsonText(),
    /** How many answers people have given: who puts the run aside must have seen them all. */
    answers: integer().notNull().default(0),
    /** When a run that was put aside goes on by itself; null in any other. */
    wakeAt: time(),
    cancelRequestedAt: time(),
    cancelReason: text(),
    /** The worker that executes the run; null while it waits. A PAUSED run has none. */
    owner: uuid(),
    /** Raised whenever a worker takes the run; a write that carries an older one changes nothing. */
    epoch: integer().notNull().default(0),
    createdAt: time().notNull(),
    startedAt: time(),
    completedAt: time(),
    durationMs: doublePrecision(),
  },
  (t) => [
    uniqueIndex('runs_by_number').on(t.sessionId, t.number),
    uniqueIndex('runs_by_idempotency_key')
      .on(sql`coalesce(${t.userId}, '')`, t.idempotencyKey)
      .where(sql`${t.idempotencyKey} is not null`),
    index('runs_by_created').on(t.createdAt, t.runId),
    index('runs_by_session_created').on(t.sessionId, t.createdAt, t.runId),
    index('runs_by_workflow').on(t.workflowId, t.createdAt, t.runId),
    // For those that follow the live runs of a workflow: not over, or over only just now.
    index('runs_by_workflow_end').on(t.workflowId, t.completedAt),
    index('runs_by_status').on(t.status, t.createdAt, t.runId),
    index('runs_by_duration').on(sql`coalesce(${t.durationMs}, 'Infinity'::float8)`, t.runId),
    index('runs_by_tag').using('gin', t.tags),
    index('runs_by_retry_of').on(t.retryOf).where(sql`${t.retryOf} is not null`),
    // What workers look through for runs to take: neither those that are over, nor those that wait, however many.
    index('runs_open')
      .on(t.createdAt, t.runId)
      .where(sql`${t.status} in ('QUEUED', 'RUNNING') and ${t.wakeAt} is null`),
    index('runs_by_wake').on(t.wakeAt).where(sql`${t.wakeAt} is not null`),
    check(
      'runs_final_has_end',
      sql`(${t.status} in ('COMPLETED', 'FAILED', 'CANCELLED')) = (${t.completedAt} is not null)`,
    ),
  ],
)

/** The values of a run. Null columns were never given or reached; JSON null is the text `null`. */
export const runPayloads = kernSchema.table('run_payloads', {
  runId: uuid()
    .primaryKey()
    .references(() => runs.runId, { onDelete: 'cascade' }),
  input: jsonText(),
  /** State given with the run, merged over the session's at its start. */
  stateGiven: jsonText(),
  output: jsonText(),
  stateBefore: jsonText(),
  stateAfter: jsonText(),
})

/** One row a step; its attempts are inside. A recorded result never changes. */
export const stepResults = kernSchema.table(
  'step_results',
  {
    runId: uuid()
      .notNull()
      .references(() => runs.runId, { onDelete: 'cascade' }),
    path: text().notNull(),
    /** 0, 1, 2 … in the order in which the steps of the run started. */
    position: integer().notNull(),
    parentPath: text(),
    name: text().notNull(),
    kind: text().notNull(),
    status: text({ enum: ['RUNNING', 'RETRYING', 'PAUSED', 'COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED'] }).notNull(),
    /** Where the input is: `run` (the run's input), `step:<path>` (that step's output), or `own` (the column `input`). */
    inputFrom: text().notNull(),
    input: jsonText(),
    output: jsonText(),
    outputPreview: text(),
    /** The newest partial output of a step that ended without an output. */
    partialOutput: jsonText(),
    error: jsonText(),
    statePatch: jsonText(),
    /** What the function of a condition, router, loop or map has decided. */
    decision: jsonText(),
    /** What the step waits for, or waited for last. */
    pending: jsonText(),
    /** The last answer that was given to it. Commands write it; the journal leaves it alone. */
    answer: jsonText(),
    usage: jsonText(),
    historyUsed: boolean().notNull(),
    /** Whether its result ended the run early. */
    stopsRun: boolean().notNull(),
    maxAttempts: integer().notNull(),
    attempts: jsonText().notNull(),
    startedAt: time().notNull(),
    completedAt: time(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.path] })],
)

/** The events of a run in their order. The primary key is the last wall against a second writer. */
export const runEvents = kernSchema.table(
  'run_events',
  {
    runId: uuid().notNull(),
    seq: integer().notNull(),
    type: text().notNull(),
    at: time().notNull(),
    stepPath: text(),
    name: text(),
    data: jsonText(),
  },
  (t) => [
    primaryKey({ columns: [t.runId, t.seq] }),
    foreignKey({ columns: [t.runId], foreignColumns: [runs.runId] }).onDelete('cascade'),
  ],
)

/** One row a process that executes runs. It lives as long as it renews its heartbeat, by the database's clock. */
export const workers = kernSchema.table('workers', {
  workerId: uuid().primaryKey(),
  host: text().notNull(),
  pid: integer().notNull(),
  startedAt: timestamp({ withTimezone: true, mode: 'date' }).notNull().defaultNow(),
  heartbeatAt: timestamp({ withTimezone: true, mode: 'date' }).notNull().defaultNow(),
})
