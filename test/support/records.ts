import type { RunRecord, StepRecord } from '../../src/engine/records.ts'

/** What most runs in tests have that no database made. */
export const plainRun = {
  workflowVersion: 'v',
  userId: null,
  inputPreview: '',
  outputPreview: null,
  error: null,
  stoppedBy: null,
  historyRunIds: [],
  retryOf: null,
  metadata: undefined,
  tags: [],
  idempotencyKey: null,
  priority: 0,
  stepCount: 0,
  attemptCount: 0,
  usage: null,
  answers: 0,
  wakeAt: null,
  cancelRequestedAt: null,
  cancelReason: null,
  epoch: 1,
} satisfies Partial<RunRecord>

/** What most steps in tests have. */
export const plainStep = {
  kind: 'step',
  input: undefined,
  output: undefined,
  outputPreview: null,
  partialOutput: undefined,
  error: null,
  statePatch: undefined,
  decision: undefined,
  pending: null,
  answer: null,
  usage: null,
  historyUsed: false,
  stopsRun: false,
  maxAttempts: 1,
} satisfies Partial<StepRecord>
