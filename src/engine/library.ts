import type { CommandDeps } from './commandDeps.ts'
import type { Commands, EventStreams, RunRequest } from './api.ts'
import type { EventRecord, RunRecord, SessionRecord, StepRecord } from './records.ts'
import { waitForEnd } from './waiting.ts'
import { KernError, shown } from '../errors.ts'
import type { Json, JsonObject } from '../json.ts'
import { checkSessionId } from '../session/naming.ts'
import { SYSTEM_VIEWER } from '../viewer.ts'
import type { TypedDefinition } from '../workflow/infer.ts'

/** What a run is started with, from code. */
export interface RunOptions<Input = unknown>
  extends Omit<RunRequest, 'workflowId' | 'input' | 'waitMs' | 'sessionState'> {
  /** The input, as the workflow's input schema accepts it. */
  readonly input?: Input
  /** State that is merged over the session's when the run starts. */
  readonly sessionState?: JsonObject | undefined
}

/** A finished run, whatever its status. */
export interface RunResult<Output = unknown> extends Omit<RunRecord, 'epoch'> {
  readonly input: Json | undefined
  /** Undefined unless the run is COMPLETED. */
  readonly output: Output | undefined
  /** The session's state before the run and after it. */
  readonly stateBefore: JsonObject | undefined
  readonly stateAfter: JsonObject | undefined
  /** Every step that ran, by its path. */
  readonly steps: Readonly<Record<string, StepRecord>>
}

/** A workflow whose types are known: a `Workflow`. */
export interface Runnable<Input, Output, State> {
  readonly definition: TypedDefinition<Input, Output, State>
}

/** What code that embeds Kern calls; for GraphQL and the command line there are the parts below it. */
export interface Library {
  /**
   * Runs a workflow and resolves with the finished run: a run that failed or was cancelled is a value too.
   *
   * @throws KernError if the run was not accepted: INPUT_INVALID, NOT_FOUND, CONFLICT, UNAVAILABLE
   */
  run<Input, Output, State>(
    workflow: Runnable<Input, Output, State>,
    options: RunOptions<Input>,
  ): Promise<RunResult<Output>>
  run(workflowId: string, options: RunOptions): Promise<RunResult>
  /** Starts a run and gives its events as they are committed, up to the final one. @throws KernError as `run` */
  stream<Input, Output, State>(
    workflow: Runnable<Input, Output, State>,
    options: RunOptions<Input>,
  ): AsyncIterableIterator<EventRecord>
  stream(workflowId: string, options: RunOptions): AsyncIterableIterator<EventRecord>
  /** A run as it is now; null if there is none with this id. */
  getRun(runId: string): Promise<RunResult | null>
  /** A session as it is now; null if there is none with this id. @throws KernError INPUT_INVALID for what is no id */
  getSession(options: { readonly sessionId: string }): Promise<SessionRecord | null>
}

export type LibraryDeps = Pick<CommandDeps, 'readerFor' | 'hub' | 'clock' | 'closing'> & {
  readonly commands: Commands
  readonly streams: EventStreams
}

export function createLibrary({ commands, streams, readerFor, hub, clock, closing }: LibraryDeps): Library {
  const reader = readerFor(SYSTEM_VIEWER)

  function start(workflow: Runnable<unknown, unknown, unknown> | string, options: RunOptions): Promise<RunRecord> {
    const { input, ...request } = options
    const workflowId = typeof workflow === 'string' ? workflow : workflow.definition.id
    // Whether it is JSON is checked with everything else that the caller gives.
    return commands.runWorkflow(SYSTEM_VIEWER, { ...request, workflowId, input: input as Json | undefined })
  }

  async function resultOf(runId: string): Promise<RunResult | null> {
    const [[run], [payload], [steps]] = await Promise.all([
      reader.runs([runId]),
      reader.payloads([runId]),
      reader.steps([runId]),
    ])
    if (!run || !payload) return null
    const { epoch: _epoch, ...shownRun } = run
    const { input, output, stateBefore, stateAfter } = payload
    const byPath = Object.fromEntries((steps ?? []).map((step) => [step.path, step]))
    return { ...shownRun, input, output, stateBefore, stateAfter, steps: byPath }
  }

  return {
    async run(workflow: Runnable<unknown, unknown, unknown> | string, options: RunOptions) {
      const { runId } = await start(workflow, options)
      await waitForEnd({ runId, reader, hub, clock, closing, timeoutMs: null })
      const result = await resultOf(runId)
      if (!result) throw new KernError('NOT_FOUND', `run ${shown(runId)} was deleted while it was waited for`)
      // The output was checked by the schema that gives it its type.
      return result as RunResult<never>
    },
    stream: (workflow: Runnable<unknown, unknown, unknown> | string, options: RunOptions) =>
      opened(async () => {
        const { runId } = await start(workflow, options)
        return await streams.run(SYSTEM_VIEWER, { runId })
      }),
    getRun: resultOf,
    async getSession({ sessionId }) {
      const [session] = await reader.sessions([checkSessionId(sessionId)])
      return session ?? null
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
