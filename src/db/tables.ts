import { sql } from 'drizzle-orm'
import {
  check,
  customType,
  doublePrecision,
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

/*
 * Rows of a run refer to it without foreign keys: these would look up, and lock, the run for each row of each step, while the
 * journal's fence has it already. Triggers of a migration delete what belongs to a session or run along with it.
 */

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
    /** The version of the workflow at the latest run: its definition is in {@link workflows}. */
    workflowVersion: text().notNull(),
    metadata: jsonText(),
    tags: text().array().notNull(),
    runCount: integer().notNull().default(0),
    /** The run that has its turn; null when the session is idle. */
    activeRunId: uuid(),
    /** Whether the active run is over and the turn has still to be given on. */
    turnDue: boolean().notNull().default(false),
    lastRunId: uuid(),
    createdAt: time().notNull(),
    updatedAt: time().notNull(),
  },
  // A run's end changes no column that an index here has, so that it is a change within the page (a HOT update).
  (t) => [
    index('sessions_by_updated').on(t.updatedAt, t.sessionId),
    index('sessions_by_created').on(t.createdAt, t.sessionId),
    index('sessions_by_name').on(sql`lower(${t.displayName}) collate "C"`, t.sessionId),
    index('sessions_by_workflow').on(t.workflowId, t.updatedAt, t.sessionId),
    index('sessions_by_user').on(t.userId, t.updatedAt, t.sessionId).where(sql`${t.userId} is not null`),
    index('sessions_by_tag').using('gin', t.tags).where(sql`${t.tags} <> '{}'`),
    index('sessions_turn_due').on(t.sessionId).where(sql`${t.turnDue}`),
  ],
)

/** One row a run: what lists show. What they do not show is in {@link runPayloads}. */
export const runs = kernSchema.table(
  'runs',
  {
    runId: uuid().primaryKey(),
    sessionId: text().notNull(),
    number: integer().notNull(),
    workflowId: text().notNull(),
    workflowName: text().notNull(),
    workflowVersion: text().notNull(),
    userId: text(),
    status: text({ enum: ['QUEUED', 'RUNNING', 'PAUSED', 'COMPLETED', 'FAILED', 'CANCELLED'] }).notNull(),
    /** Waiting runs with a higher one are taken first. */
    priority: integer().notNull().default(0),
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
    /** The worker that executes the run, or did when it ended; null while it waits. A PAUSED run has none. */
    owner: uuid(),
    /** Raised whenever a worker takes the run; a write that carries an older one changes nothing. */
    epoch: integer().notNull().default(0),
    /** How many processes died while they executed the run. */
    deaths: integer().notNull().default(0),
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
    // Ids are made from the time of acceptance (UUIDv7), so the primary key gives all runs in their order.
    index('runs_by_workflow').on(t.workflowId, t.runId),
    index('runs_unfinished').on(t.status, t.runId).where(sql`${t.status} in ('QUEUED', 'RUNNING', 'PAUSED')`),
    index('runs_unsuccessful').on(t.status, t.runId).where(sql`${t.status} in ('FAILED', 'CANCELLED')`),
    index('runs_by_workflow_end').on(t.workflowId, t.completedAt).where(sql`${t.completedAt} is not null`),
    index('runs_by_duration').on(sql`coalesce(${t.durationMs}, 'Infinity'::float8)`, t.runId),
    index('runs_by_tag').using('gin', t.tags).where(sql`${t.tags} <> '{}'`),
    index('runs_by_retry_of').on(t.retryOf).where(sql`${t.retryOf} is not null`),
    // What workers look through: runs to take, and those whose owner may be gone. None that are over or wait for a time.
    index('runs_waiting').on(t.workflowId, t.priority.desc(), t.runId).where(sql`${t.status} = 'QUEUED'`),
    index('runs_by_owner').on(t.owner).where(sql`${t.status} = 'RUNNING' and ${t.wakeAt} is null`),
    index('runs_by_wake').on(t.wakeAt).where(sql`${t.wakeAt} is not null`),
    check(
      'runs_final_has_end',
      sql`(${t.status} in ('COMPLETED', 'FAILED', 'CANCELLED')) = (${t.completedAt} is not null)`,
    ),
  ],
)

/** The values of a run. Null columns were never given or reached; JSON null is the text `null`. */
export const runPayloads = kernSchema.table('run_payloads', {
  runId: uuid().primaryKey(),
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
    runId: uuid().notNull(),
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
    /** Null for one attempt, from the start of the step to its end, that went well. */
    attempts: jsonText(),
    startedAt: time().notNull(),
    completedAt: time(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.path] })],
)

/**
 * The events of a run in their order: one row for what was written together. The primary key is the last wall against a
 * second writer. The view `kern.events` has a row for each event.
 */
export const runEvents = kernSchema.table(
  'run_events',
  {
    runId: uuid().notNull(),
    /** Of the first event in the row. */
    seq: integer().notNull(),
    /** An array with an array for each event: type, time (milliseconds since 1970), step path, name, and data if any. */
    events: jsonText().notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.seq] })],
)

/** Each event of each run. Made by a migration; `first_seq` is that of the row in which the event is. */
export const events = kernSchema
  .view('events', {
    runId: uuid().notNull(),
    firstSeq: integer().notNull(),
    seq: integer().notNull(),
    type: text().notNull(),
    at: time().notNull(),
    stepPath: text(),
    name: text(),
    data: jsonText(),
  })
  .existing()

/** The definitions that were ever served, as sessions refer to them and as runs are started in SQL. */
export const workflows = kernSchema.table(
  'workflows',
  {
    workflowId: text().notNull(),
    version: text().notNull(),
    name: text().notNull(),
    /** Steps, description and version, as clients see them. */
    data: jsonText().notNull(),
    /** The state of a new session. */
    initialState: jsonText().notNull(),
    /** The priority of runs that are given none. */
    priority: integer().notNull().default(0),
    /** When a process that serves it last started. */
    registeredAt: timestamp({ withTimezone: true, mode: 'date' }).notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.workflowId, t.version] })],
)

/** One row a process that executes runs. It lives as long as it renews its heartbeat, by the database's clock. */
export const workers = kernSchema.table('workers', {
  workerId: uuid().primaryKey(),
  host: text().notNull(),
  pid: integer().notNull(),
  /** The definitions that it executes: `<workflowId>@<version>`. */
  serves: text().array().notNull().default(sql`'{}'`),
  startedAt: timestamp({ withTimezone: true, mode: 'date' }).notNull().defaultNow(),
  heartbeatAt: timestamp({ withTimezone: true, mode: 'date' }).notNull().defaultNow(),
})
