import type { RunSetChange, StreamedEvent } from '../src/engine/api.ts'
import type { RunOrder, SessionOrder } from '../src/engine/reader.ts'
import type {
  BusyPolicy,
  EventRecord,
  NameSource,
  PendingWait,
  ResumeAction,
  RunError,
  RunEventType,
  RunRecord,
  RunStatus,
  SessionRecord,
  StepAttempt,
  StepStatus,
  StepSummary,
  TokenUsage,
} from '../src/engine/records.ts'
import type { InputIssue, KernError, KernErrorCode } from '../src/errors.ts'
import type { Json } from '../src/json.ts'
import type { Viewer } from '../src/viewer.ts'
import type { PlacedNode, WorkflowDefinition, WorkflowSchedule } from '../src/workflow/definition.ts'

/** The codes that the schema promises: members of result unions and `extensions.code` of errors carry them. */
export const PUBLIC_CODES = [
  'NOT_FOUND',
  'INPUT_INVALID',
  'CONFLICT',
  'FORBIDDEN',
  'LIMIT_EXCEEDED',
  'CURSOR_INVALID',
  'CURSOR_EXPIRED',
  'UNAVAILABLE',
] as const satisfies readonly KernErrorCode[]
export type PublicCode = (typeof PUBLIC_CODES)[number]

/** What a step is. The definition's kinds, in upper case. */
export const STEP_KINDS = [
  'STEP',
  'AGENT',
  'SEQUENCE',
  'PARALLEL',
  'CONDITION',
  'ROUTER',
  'LOOP',
  'MAP',
  'WORKFLOW',
  'APPROVAL',
  'INPUT',
  'SLEEP',
] as const
export type StepKind = (typeof STEP_KINDS)[number]

/** Each type that stands for a refusal, with the code that leads to it. */
export const REFUSALS = {
  NotFoundError: 'NOT_FOUND',
  InputInvalidError: 'INPUT_INVALID',
  ConflictError: 'CONFLICT',
  ForbiddenError: 'FORBIDDEN',
  LimitExceededError: 'LIMIT_EXCEEDED',
} as const satisfies Record<string, PublicCode>
export type RefusalName = keyof typeof REFUSALS

/** An expected failure, as a member of a result union. */
export type Refusal =
  | { readonly typename: Exclude<RefusalName, 'LimitExceededError'>; readonly error: KernError }
  | LimitRefusal

/** A refusal for a limit that is known. */
export interface LimitRefusal {
  readonly typename: 'LimitExceededError'
  readonly error: KernError
  readonly limit: number
}

/** What a mutation of a run answers with. */
export interface RunAnswer {
  readonly typename: 'RunPayload'
  readonly run: RunRecord
}

/** What a mutation of a session answers with. */
export interface SessionAnswer {
  readonly typename: 'SessionPayload'
  readonly session: SessionRecord
}

/** What a deletion answers with. */
export interface DeleteAnswer {
  readonly typename: 'DeletePayload'
  /** The global id of what is gone. */
  readonly deletedId: string
}

/** A step of a definition, with what is known only from what stands around it. */
export interface PlacedStep extends PlacedNode {
  readonly addsHistory: boolean
  /** Of the condition that it is directly below; null below anything else. */
  readonly branch: ConditionBranch | null
}

/** One of the two lists of steps of a condition. */
export type ConditionBranch = 'THEN' | 'ELSE'

/** A step that waits for a person. */
export interface WaitingStep {
  readonly step: StepSummary
  readonly pending: PendingWait
}

/** A node of a connection with its place in the list. */
export interface Edge<Node> {
  readonly cursor: string
  readonly node: Node
}

/** A page of a list. */
export interface Connection<Node> {
  readonly edges: readonly Edge<Node>[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
    readonly endCursor: string | null
  }
}

/** A page of a list that can be counted. */
export interface CountedConnection<Node> extends Connection<Node> {
  /** How many there are in all pages; asked for only where it is selected. */
  count(): Promise<number>
}

export interface DateTimeRangeInput {
  from?: Date | null | undefined
  to?: Date | null | undefined
}

export interface SessionFilterInput {
  search?: string | null | undefined
  workflowId?: string | null | undefined
  userId?: string | null | undefined
  tags?: string[] | null | undefined
  createdAt?: DateTimeRangeInput | null | undefined
  updatedAt?: DateTimeRangeInput | null | undefined
}

export interface RunFilterInput {
  sessionId?: string | null | undefined
  workflowId?: string | null | undefined
  statuses?: RunStatus[] | null | undefined
  tags?: string[] | null | undefined
  createdAt?: DateTimeRangeInput | null | undefined
  retryOf?: string | null | undefined
}

interface Same<Value> {
  Input: Value
  Output: Value
}

/** The builder keeps no list of enums, but it finds every type by its name: they stand among the scalars. */
type Enums = {
  BusyPolicy: Same<BusyPolicy>
  ConditionBranch: Same<ConditionBranch>
  ErrorCode: Same<PublicCode>
  NameSource: Same<NameSource>
  OrderDirection: Same<'ASC' | 'DESC'>
  ResumeAction: Same<ResumeAction>
  RunChangeKind: Same<RunSetChange['kind']>
  RunEventType: Same<RunEventType>
  RunOrderField: Same<RunOrder['field']>
  RunStatus: Same<RunStatus>
  SessionOrderField: Same<SessionOrder['field']>
  StepKind: Same<StepKind>
  StepStatus: Same<StepStatus>
}

/** The scalars, and the enums. An alias, since an interface fits no index signature. */
export type Scalars = Enums & {
  ID: Same<string>
  DateTime: Same<Date>
  JSON: Same<Json>
}

/** An event as it is read, or as a stream gives it. */
export type ShownEvent = EventRecord & Partial<Pick<StreamedEvent, 'resume'>>

/** What stands behind each object type. */
export interface Objects {
  ConflictError: Refusal
  DeletePayload: DeleteAnswer
  ForbiddenError: Refusal
  InputInvalidError: Refusal
  InputIssue: InputIssue
  LimitExceededError: LimitRefusal
  NotFoundError: Refusal
  PendingInput: WaitingStep
  Run: RunRecord
  RunChange: RunSetChange
  RunConnection: CountedConnection<RunRecord>
  RunEdge: Edge<RunRecord>
  RunError: RunError
  RunEvent: ShownEvent
  RunEventConnection: Connection<ShownEvent>
  RunEventEdge: Edge<ShownEvent>
  RunMetrics: RunRecord
  RunPayload: RunAnswer
  Session: SessionRecord
  SessionConnection: CountedConnection<SessionRecord>
  SessionEdge: Edge<SessionRecord>
  SessionPayload: SessionAnswer
  StepAttempt: StepAttempt
  StepDefinition: PlacedStep
  StepResult: StepSummary
  TokenUsage: TokenUsage
  Viewer: Viewer
  Workflow: WorkflowDefinition
  WorkflowSchedule: WorkflowSchedule
}

/** What stands behind each input type that more than one file uses. */
export interface Inputs {
  DateTimeRange: DateTimeRangeInput
  RunFilter: RunFilterInput
  RunOrder: { field: RunOrder['field']; direction: RunOrder['direction'] }
  SessionFilter: SessionFilterInput
  SessionOrder: { field: SessionOrder['field']; direction: SessionOrder['direction'] }
}
