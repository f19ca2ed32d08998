import type { CommandDeps } from './commands/commandDeps.ts'
import type {
  Commands,
  EventStreams,
  LiveStream,
  ResumeRequest,
  RetryRequest,
  RunRequest,
  StreamedEvent,
} from './api.ts'
import type { EventRecord, RunRecord, SessionRecord } from './records.ts'
import type { AcceptedRun, CallerTransaction, KernTransaction } from './ownTransaction.ts'
import type { StepsByPath } from './typedSteps.ts'
import { visibleRun } from './commands/checks.ts'
import { hasJustBegun, waitUntilSettled } from './commands/waiting.ts'
import type { FinishedRun } from './ports.ts'
import { KernError, shown } from '../errors.ts'
import { copyJson, type Json, type JsonObject } from '../json.ts'
import { checkSessionId } from '../session/naming.ts'
import { SYSTEM_VIEWER } from '../viewer.ts'
import type { HasDefinition, WorkflowNode } from '../workflow/definition.ts'
import type { TypedDefinition } from '../workflow/infer.ts'

/** What a run is started with, from code. */
export interface RunOptions<Input = unknown>
  extends Omit<RunRequest, 'workflowId' | 'input' | 'waitMs' | 'sessionState'> {
  /** The input, as the workflow's input schema accepts it. */
  readonly input?: Input
  /** State that is merged over the session's when the run starts. */
  readonly sessionState?: JsonObject | undefined
}

/** What a run is started with in a transaction of the caller. */
export interface RunOptionsInTransaction<Input = unknown> extends RunOptions<Input> {
  /** The run exists from the commit of this transaction on, and never if it is rolled back. */
  readonly tx: CallerTransaction
}

/** A run as it was when it was read, whatever its status. */
export interface RunResult<Output = unknown, Steps extends readonly WorkflowNode[] = readonly []>
  extends Omit<RunRecord, 'epoch'> {
  readonly input: Json | undefined
  /** Undefined unless the run is COMPLETED. */
  readonly output: Output | undefined
  /** The session's state before the run and after it. */
  readonly stateBefore: JsonObject | undefined
  readonly stateAfter: JsonObject | undefined
  /** Every step that ran, by its path: `gather/web`, `refine[2]/draft`. */
  readonly steps: StepsByPath<Steps>
}

/** A workflow whose types are known: a `Workflow`. */
export interface Runnable<Input, Output, State, Steps extends readonly WorkflowNode[]> {
  readonly definition: TypedDefinition<Input, Output, State, Steps>
}

/** What code that embeds Kern calls; for GraphQL and the command line there are the parts below it. */
export interface Library {
  /**
   * Starts a run in a transaction of the caller on Kern's database: either both the caller's rows and the run exist, or
   * neither. Resolves as soon as the run is accepted there; it is executed after the commit. Until then nothing that is
   * asked outside of the transaction finds it, and other runs of its session wait, so the transaction should be short.
   *
   * @throws KernError INPUT_INVALID, also for a `tx` on another database, NOT_FOUND, CONFLICT. The transaction can go on
   *   after these; after what the database throws, it cannot.
   */
  run(workflowId: string, options: RunOptionsInTransaction): Promise<AcceptedRun>
  run<Input, Output, State, Steps extends readonly WorkflowNode[]>(
    workflow: Runnable<Input, Output, State, Steps>,
    options: RunOptionsInTransaction<Input>,
  ): Promise<AcceptedRun>
  /**
   * Runs a workflow and resolves with the run when it is over, or waits for a person: its status is PAUSED then. A run
   * that failed or was cancelled is a value too.
   *
   * @throws KernError if the run was not accepted: INPUT_INVALID, NOT_FOUND, CONFLICT, UNAVAILABLE
   */
  run(workflowId: string, options: RunOptions): Promise<RunResult>
  run<Input, Output, State, Steps extends readonly WorkflowNode[]>(
    workflow: Runnable<Input, Output, State, Steps>,
    options: RunOptions<Input>,
  ): Promise<RunResult<Output, Steps>>
  /** Starts a run and gives its events as they are committed, up to the final one. @throws KernError as `run` */
  stream(workflowId: string, options: RunOptions): AsyncIterableIterator<EventRecord>
  stream<Input, Output, State, Steps extends readonly WorkflowNode[]>(
    workflow: Runnable<Input, Output, State, Steps>,
    options: RunOptions<Input>,
  ): AsyncIterableIterator<EventRecord>
  /**
   * Answers a step that waits for a person, and resolves with the run when it is over, or waits for the next answer. A
   * bad answer leaves the step waiting.
   *
   * @throws KernError NOT_FOUND, INPUT_INVALID, CONFLICT if nothing waits for this answer, UNAVAILABLE
   */
  resumeRun(request: ResumeRequest): Promise<RunResult>
  /**
   * Makes a new run that takes over what another one, which is over, recorded before a step, and resolves with it as
   * `run` does.
   *
   * @throws KernError NOT_FOUND, INPUT_INVALID, CONFLICT if the run is not over, or does not fit the definition any more
   */
  retryRun(request: RetryRequest): Promise<RunResult>
  /** Cancels a run and resolves with it when it is over; one that was over before stays as it is. @throws KernError NOT_FOUND */
  cancelRun(request: { readonly runId: string; readonly reason?: string | undefined }): Promise<RunResult>
  /**
   * Resolves with a run, as `run` does, when it is over, or waits for a person; at once if it is so already.
   *
   * @throws KernError INPUT_INVALID for what is no id, NOT_FOUND, UNAVAILABLE
   */
  waitForRun(runId: string): Promise<RunResult>
  /**
   * Runs `work` in a transaction on Kern's database, in which it can write tables of its own and start runs: committed when
   * it resolves, rolled back when it throws. Where others were in its way, `work` is called again, so it must have no effects
   * outside of the transaction. An embedded database does nothing else meanwhile: whatever `work` asks of this Kern but
   * `run` with this transaction waits until its time is up.
   *
   * @throws KernError UNAVAILABLE, and whatever `work` throws
   */
  transaction<T>(work: (tx: KernTransaction) => Promise<T>): Promise<T>
  /** A run as it is now; null if there is none with this id. */
  getRun(runId: string): Promise<RunResult | null>
  /** A session as it is now; null if there is none with this id. @throws KernError INPUT_INVALID for what is no id */
  getSession(options: { readonly sessionId: string }): Promise<SessionRecord | null>
}

export type LibraryDeps = Pick<CommandDeps, 'readerFor' | 'hub' | 'clock' | 'closing'> & {
  readonly commands: Commands
  readonly streams: EventStreams
  readonly startIn: (request: RunRequest, tx: CallerTransaction) => Promise<AcceptedRun>
  readonly transaction: Library['transaction']
}

export function createLibrary(deps: LibraryDeps): Library {
  const { commands, streams, readerFor, hub, clock, closing, startIn, transaction } = deps
  const reader = readerFor(SYSTEM_VIEWER)

  function requestOf(workflow: HasDefinition | string, { input, ...request }: RunOptions): RunRequest {
    const workflowId = typeof workflow === 'string' ? workflow : workflow.definition.id
    // Whether it is JSON is checked with everything else that the caller gives.
    return { ...request, workflowId, input: input as Json | undefined }
  }

  function start(workflow: HasDefinition | string, options: RunOptions): Promise<RunRecord> {
    return commands.runWorkflow(SYSTEM_VIEWER, requestOf(workflow, options))
  }

  async function resultOf(runId: string): Promise<RunResult | null> {
    const [[run], [payload], [steps]] = await Promise.all([
      reader.runs([runId]),
      reader.payloads([runId]),
      reader.steps([runId]),
    ])
    return run && payload ? shownAs({ run, payload, steps: steps ?? [] }) : null
  }

  async function settled({ runId }: Pick<RunRecord, 'runId'>, begun = false): Promise<RunResult> {
    const found = await waitUntilSettled({ runId, reader, hub, clock, closing, timeoutMs: null, begun })
    const { run, payload, steps } = found ?? {}
    const result = run && payload && steps ? ownCopy({ run, payload, steps }) : await resultOf(runId)
    if (result) return result
    throw new KernError('NOT_FOUND', `run ${shown(runId)} was deleted while it was waited for`)
  }

  return {
    async run(workflow: HasDefinition | string, { tx, ...options }: RunOptions & { readonly tx?: CallerTransaction }) {
      // `as`: which of the two it gives, the overloads tell by `tx`.
      if (tx !== undefined) return (await startIn(requestOf(workflow, options), tx)) as AcceptedRun & RunResult<never>
      // The output was checked by the schema that gives it its type.
      const run = await start(workflow, options)
      return (await settled(run, hasJustBegun(run))) as AcceptedRun & RunResult<never>
    },
    resumeRun: async (request) => await settled(await commands.resumeRun(SYSTEM_VIEWER, request)),
    retryRun: async (request) => await settled(await commands.retryRun(SYSTEM_VIEWER, request)),
    cancelRun: async (request) => await settled(await commands.cancelRun(SYSTEM_VIEWER, request)),
    stream: (workflow: HasDefinition | string, options: RunOptions) =>
      opened(async () => {
        const { runId } = await start(workflow, options)
        return recordsOf(await streams.run(SYSTEM_VIEWER, { runId }))
      }),
    async waitForRun(runId) {
      return await settled(await visibleRun(reader, runId))
    },
    transaction,
    getRun: resultOf,
    async getSession({ sessionId }) {
      const [session] = await reader.sessions([checkSessionId(sessionId)])
      return session ?? null
    },
  }
}

/** A run as authors are given it. */
function shownAs({ run, payload, steps }: FinishedRun): RunResult {
  const { epoch: _epoch, ...shownRun } = run
  const { input, output, stateBefore, stateAfter } = payload
  const byPath = Object.fromEntries(steps.map((step) => [step.path, step]))
  return { ...shownRun, input, output, stateBefore, stateAfter, steps: byPath }
}

/** Values that were in the hands of the steps: who waits for the run gets copies, and may change them. */
function ownCopy({ run, payload, steps }: FinishedRun): RunResult {
  const { input, stateGiven, output, stateBefore, stateAfter } = payload
  return shownAs({
    run,
    payload: {
      ...payload,
      input: copied(input),
      stateGiven: copiedObject(stateGiven),
      output: copied(output),
      stateBefore: copiedObject(stateBefore),
      stateAfter: copiedObject(stateAfter),
    },
    steps: steps.map((step) => ({
      ...step,
      input: copied(step.input),
      output: copied(step.output),
      statePatch: copiedObject(step.statePatch),
      decision: copied(step.decision),
    })),
  })
}

function copied(value: Json | undefined): Json | undefined {
  return value === undefined ? undefined : copyJson(value)
}

function copiedObject(value: JsonObject | undefined): JsonObject | undefined {
  return value === undefined ? undefined : copyJson(value)
}

/** The events without what only subscribers need, each with data of its own. */
function recordsOf(stream: LiveStream<StreamedEvent>): AsyncIterableIterator<EventRecord> {
  return {
    async next() {
      const { done, value } = await stream.next()
      if (done) return { done, value }
      const { spot: _spot, resume: _resume, data, ...event } = value
      return { done: false, value: { ...event, data: copied(data) } }
    },
    async return() {
      await stream.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/**
 * An iterator that begins when it is first asked. Written by hand, since `return` of an async generator waits for the
 * `next` that is under way: it must end the wait instead.
 */
export function opened(open: () => Promise<AsyncIterableIterator<EventRecord>>): AsyncIterableIterator<EventRecord> {
  let stream: Promise<AsyncIterableIterator<EventRecord>> | null = null
  let closed = false
  return {
    async next() {
      if (closed) return { done: true, value: undefined }
      stream ??= open()
      return await (await stream).next()
    },
    async return() {
      closed = true
      const inner = await stream?.catch(() => null)
      await inner?.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
