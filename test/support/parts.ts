import type { Database } from '../../src/db/client.ts'
import { createOwnership } from '../../src/dispatch/ownership.ts'
import type { AnswerRequest, NewRun } from '../../src/engine/commands/commandStore.ts'
import type { RunPark, RunWrite } from '../../src/engine/ports.ts'
import type { Answer, EventRecord, PendingWait, RunRecord, StepRecord } from '../../src/engine/records.ts'
import { newId } from '../../src/ids.ts'
import { createCommandStore } from '../../src/store/commandStore.ts'
import { createJournal } from '../../src/store/journal.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { advance } from '../../src/store/turns.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { WorkflowDefinition } from '../../src/workflow/definition.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { plainStep } from './records.ts'

/** A workflow that nothing executes. */
export const still = defineWorkflow({ name: 'Still', steps: [step('one', () => 1), step('two', () => 2)] })

/** A request for a run, as the commands hand it to the store. */
export function newRun(definition: WorkflowDefinition, given: Partial<NewRun> & { sessionId?: string } = {}): NewRun {
  const { sessionId = newId(), ...rest } = given
  const at = new Date()
  return {
    runId: newId(),
    session: {
      sessionId,
      isNew: false,
      workflowId: definition.id,
      workflowName: definition.name,
      userId: null,
      name: null,
      displayName: 'A session',
      state: {},
      workflowVersion: definition.version,
      metadata: undefined,
      tags: [],
      at,
    },
    workflowVersion: definition.version,
    userId: null,
    input: undefined,
    inputPreview: '',
    stateGiven: undefined,
    metadata: undefined,
    tags: [],
    idempotencyKey: null,
    requestHash: null,
    onBusy: 'QUEUE',
    priority: 0,
    retryOf: null,
    reused: [],
    at,
    ...rest,
  }
}

/** The store without a worker: runs are accepted and taken, and nothing executes them. */
export function createParts(database: Database) {
  const { db } = database
  const store = createCommandStore(db)
  const reader = createReaderFor(db)(SYSTEM_VIEWER)
  const workerId = newId()
  const ownership = createOwnership({ db, workerId, host: 'test', pid: process.pid, exclusive: false })

  async function runOf(runId: string): Promise<RunRecord> {
    const [run] = await reader.runs([runId])
    if (!run) throw new Error(`run ${runId} is not there`)
    return run
  }

  return {
    store,
    reader,
    ownership,
    journal: createJournal({
      flushes: db,
      random: () => 0.5,
      closing: new AbortController().signal,
      db,
      advance: (sessionId) => advance(db, sessionId),
      clock: { now: () => new Date(), sleep: async () => undefined },
    }),
    runOf,
    /** Accepts a run, and takes it if it has its turn. */
    async start(given: Parameters<typeof newRun>[1] = {}): Promise<RunRecord> {
      const run = newRun(still, given)
      const outcome = await store.accept(run)
      if (outcome.type === 'accepted' && outcome.active)
        await ownership.claim(run.runId, [run.session.workflowId], new Date())
      return await runOf(run.runId)
    },
  }
}

export const stepOf = (run: RunRecord, path: string, given: Partial<StepRecord> = {}): StepRecord => ({
  ...plainStep,
  runId: run.runId,
  path,
  position: path === 'one' ? 0 : 1,
  parentPath: null,
  name: path,
  status: 'COMPLETED',
  inputFrom: 'run',
  output: path,
  outputPreview: path,
  attempts: [
    { number: 1, startedAt: run.createdAt.toISOString(), completedAt: run.createdAt.toISOString(), error: null },
  ],
  startedAt: run.createdAt,
  completedAt: run.createdAt,
  ...given,
})

export const eventOf = (run: RunRecord, seq: number, given: Partial<EventRecord> = {}): EventRecord => ({
  runId: run.runId,
  seq,
  type: 'LOG',
  at: run.createdAt,
  stepPath: null,
  name: null,
  data: { seq },
  ...given,
})

/** A write of this run that holds nothing but what is given. */
export const writeOf = (run: RunRecord, given: Partial<RunWrite> = {}): RunWrite => ({
  runId: run.runId,
  sessionId: run.sessionId,
  workflowId: run.workflowId,
  number: run.number,
  epoch: run.epoch,
  steps: [],
  events: [],
  stepCount: 0,
  attemptCount: 0,
  usage: null,
  ...given,
})

/** A step that waits for a person for the first time. */
export const waitingStepOf = (run: RunRecord, path: string, pending: Partial<PendingWait> = {}): StepRecord =>
  stepOf(run, path, {
    status: 'PAUSED',
    output: undefined,
    completedAt: null,
    pending: {
      number: 1,
      reason: 'input',
      prompt: null,
      requestedAt: run.createdAt.toISOString(),
      expiresAt: null,
      attempts: 1,
      ...pending,
    },
  })

/** What puts a run aside until a person answers. */
export const parkOf = (given: Partial<RunPark> = {}): RunPark => ({
  status: 'PAUSED',
  wakeAt: null,
  answers: 0,
  ...given,
})

/** A person's answer to the first wait of a step. */
export const answerOf = (run: RunRecord, path: string, given: Partial<Answer> = {}): AnswerRequest => {
  const at = new Date()
  return {
    runId: run.runId,
    path,
    at,
    answer: { number: 1, action: 'CONTINUE', data: 'yes', at: at.toISOString(), userId: null, ...given },
  }
}

/** The end of a run that went well. */
export const endOf = (run: RunRecord): NonNullable<RunWrite['end']> => ({
  status: 'COMPLETED',
  output: 'out',
  outputPreview: 'out',
  error: null,
  stoppedBy: null,
  stateAfter: {},
  at: run.createdAt,
})
