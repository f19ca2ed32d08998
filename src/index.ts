export { Workflow, type AuthorOptions, type NameOptions } from './author.ts'
export type { Clock, Duration } from './clock.ts'
export { type DatabaseUrl, pglite, postgres, type PostgresSettings } from './config.ts'
export type { ResumeRequest, RetryRequest } from './engine/api.ts'
export type {
  Answer,
  EventRecord,
  PendingWait,
  ResumeAction,
  RunError,
  RunEventType,
  RunRecord,
  RunStatus,
  SessionRecord,
  StepAttempt,
  StepRecord,
  StepStatus,
  TokenUsage,
} from './engine/records.ts'
export { type InputIssue, KernError, type KernErrorCode, NonRetryableError } from './errors.ts'
export type { Json, JsonArray, JsonObject } from './json.ts'
export { createKern, type Kern, type KernOptions } from './kern.ts'
export type { RunOptions, RunOptionsInTransaction, RunResult } from './engine/library.ts'
export type { AcceptedRun, CallerTransaction, KernTransaction } from './engine/ownTransaction.ts'
export type { StepsByPath, TypedStep } from './engine/typedSteps.ts'
export type { Log } from './log.ts'
export { agentStep, type AgentOptions, type AgentStep } from './workflow/agentStep.ts'
export { approval, type Approval, type ApprovalOptions, type Approved } from './workflow/approval.ts'
export type { DefinitionOf } from './workflow/chain.ts'
export { condition, type Condition, type ConditionOptions } from './workflow/condition.ts'
export type { History, HistoryRun, ReadContext, StepContext } from './workflow/context.ts'
export type {
  AgentMessage,
  AgentModel,
  AgentNode,
  LoopContext,
  OnError,
  Schema,
  StepNode,
  WorkflowDefinition,
  WorkflowNode,
} from './workflow/definition.ts'
export type { NodeTypes, Passes, TypedDefinition, TypedNode } from './workflow/infer.ts'
export { loop, type Loop, type LoopOptions } from './workflow/loop.ts'
export { map, type InputItems, type MapOf, type MapOptions } from './workflow/map.ts'
export { nested, type Nested, type NestedOptions } from './workflow/nested.ts'
export { parallel, type Parallel, type ParallelOptions } from './workflow/parallel.ts'
export type { RetryOptions } from './workflow/retry.ts'
export { router, type Router, type RouterOptions } from './workflow/router.ts'
export { sequence, type Sequence, type SequenceOptions } from './workflow/sequence.ts'
export { sleep, type Sleep, type SleepOptions } from './workflow/sleep.ts'
export { step, type Step, type StepOptions } from './workflow/step.ts'
export { type InputOptions, waitForInput, type WaitForInput } from './workflow/waitForInput.ts'
export type { SkipFlow } from './workflow/work.ts'
export type { WorkflowOptions } from './workflow/workflow.ts'
