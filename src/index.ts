export { Workflow, type AuthorOptions, type NameOptions } from './author.ts'
export type { Clock, Duration } from './clock.ts'
export { type DatabaseUrl, pglite, postgres, type PostgresSettings } from './config.ts'
export type {
  EventRecord,
  RunError,
  RunEventType,
  RunRecord,
  RunStatus,
  SessionRecord,
  StepAttempt,
  StepRecord,
  StepStatus,
} from './engine/records.ts'
export { type InputIssue, KernError, type KernErrorCode, NonRetryableError } from './errors.ts'
export type { Json, JsonArray, JsonObject } from './json.ts'
export { createKern, type Kern, type KernOptions } from './kern.ts'
export type { RunOptions, RunResult } from './engine/library.ts'
export type { Log } from './log.ts'
export type { History, HistoryRun, StepContext } from './workflow/context.ts'
export type { Schema, WorkflowDefinition } from './workflow/definition.ts'
export { sequence } from './workflow/sequence.ts'
export { step } from './workflow/step.ts'
