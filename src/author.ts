import { type DatabaseUrl, pglite } from './config.ts'
import type { ResumeRequest, RetryRequest } from './engine/api.ts'
import type { EventRecord, SessionRecord } from './engine/records.ts'
import { KernError } from './errors.ts'
import { createKern, type Kern } from './kern.ts'
import { opened, type RunOptions, type RunResult } from './engine/library.ts'
import type { Json } from './json.ts'
import { SYSTEM_VIEWER } from './viewer.ts'
import type { HasDefinition, Schema, WorkflowNode } from './workflow/definition.ts'
import type { DefinitionOf, RunInput, RunOutput } from './workflow/chain.ts'
import { defineWorkflow, type WorkflowOptions } from './workflow/workflow.ts'

/** Where a workflow that is used by itself keeps its sessions. */
export interface AuthorOptions {
  /** @default an embedded database in memory, for the life of the process */
  readonly db?: DatabaseUrl | undefined
}

/** The run that is tried again, from where, and with what. */
export interface RetryRunOptions<Given = unknown> extends Omit<RetryRequest, 'input'> {
  /** Takes the place of the run's input; what is reused stays as it is. @default the input of the run */
  readonly input?: Given
}

/** A session and, for naming it, exactly one of a name and `autogenerate`. */
export interface NameOptions {
  readonly sessionId: string
  readonly sessionName?: string | undefined
  readonly autogenerate?: boolean | undefined
}

/**
 * A workflow as authors write and use it: frozen data in `definition`, and a Kern of its own that it makes when it is
 * first asked to do something. A server takes the definition only, and leaves `db` alone.
 */
export class Workflow<
  Input extends Schema | undefined = undefined,
  State extends Schema | undefined = undefined,
  const Steps extends readonly WorkflowNode[] = readonly WorkflowNode[],
> implements HasDefinition, AsyncDisposable
{
  readonly definition: DefinitionOf<Input, State, Steps>
  readonly #db: DatabaseUrl | undefined
  #kern: Promise<Kern> | null = null
  #closed = false

  /** @throws KernError DEFINITION_INVALID with the name of the offender, what was given and what is allowed */
  constructor(options: WorkflowOptions<Input, State, Steps> & AuthorOptions) {
    const { db, ...rest } = options
    this.definition = defineWorkflow<Input, State, Steps>(rest)
    this.#db = db
  }

  get id(): string {
    return this.definition.id
  }

  get name(): string {
    return this.definition.name
  }

  /**
   * Runs the workflow and resolves with the run when it is over, or waits for a person: its status is PAUSED then. A run
   * that failed or was cancelled is a value too.
   *
   * @throws KernError if the run was not accepted: INPUT_INVALID, CONFLICT, UNAVAILABLE
   */
  async run(options: RunOptions<RunInput<Input, Steps>>): Promise<RunResult<RunOutput<Input, Steps>, Steps>> {
    const kern = await this.#open()
    // The definition's own types say the same; the compiler cannot see through the class's parameters.
    return (await kern.run(this.id, options)) as RunResult<RunOutput<Input, Steps>, Steps>
  }

  /** Starts a run and gives its events as they are committed, up to the final one. @throws KernError as `run` */
  stream(options: RunOptions<RunInput<Input, Steps>>): AsyncIterableIterator<EventRecord> {
    return opened(async () => {
      const kern = await this.#open()
      return kern.stream(this.id, options)
    })
  }

  /**
   * Answers a step that waits for a person, and resolves with the run when it is over, or waits for the next answer. A
   * bad answer leaves the step waiting.
   *
   * @throws KernError NOT_FOUND, INPUT_INVALID, CONFLICT if nothing waits for this answer, UNAVAILABLE
   */
  async resumeRun(request: ResumeRequest): Promise<RunResult<RunOutput<Input, Steps>, Steps>> {
    const kern = await this.#open()
    // As for `run`: it is a run of this workflow.
    return (await kern.resumeRun(request)) as RunResult<RunOutput<Input, Steps>, Steps>
  }

  /**
   * Makes a new run that takes over what another one, which is over, recorded before a step, and resolves with it as
   * `run` does.
   *
   * @throws KernError NOT_FOUND, INPUT_INVALID, CONFLICT if the run is not over, or does not fit the definition any more
   */
  async retryRun(options: RetryRunOptions<RunInput<Input, Steps>>): Promise<RunResult<RunOutput<Input, Steps>, Steps>> {
    const kern = await this.#open()
    // Whether the input is JSON is checked with everything else that the caller gives. For the result, as for `run`.
    const request = { ...options, input: options.input as Json | undefined }
    return (await kern.retryRun(request)) as RunResult<RunOutput<Input, Steps>, Steps>
  }

  /** Cancels a run and resolves with it when it is over; one that was over before stays as it is. @throws KernError NOT_FOUND */
  async cancelRun(options: {
    readonly runId: string
    readonly reason?: string | undefined
  }): Promise<RunResult<RunOutput<Input, Steps>, Steps>> {
    const kern = await this.#open()
    // As for `run`: it is a run of this workflow.
    return (await kern.cancelRun(options)) as RunResult<RunOutput<Input, Steps>, Steps>
  }

  /** Names a session by hand, or after the workflow's description. @throws KernError NOT_FOUND, INPUT_INVALID */
  async setSessionName(options: NameOptions): Promise<SessionRecord> {
    const kern = await this.#open()
    return await kern.commands.setSessionName(SYSTEM_VIEWER, options)
  }

  /** The name of a session; null if it has none. @throws KernError NOT_FOUND */
  async getSessionName({ sessionId }: { readonly sessionId: string }): Promise<string | null> {
    const session = await this.getSession({ sessionId })
    if (session) return session.name
    throw new KernError('NOT_FOUND', `there is no session ${JSON.stringify(sessionId)}`)
  }

  /** A session as it is now; null if there is none with this id. */
  async getSession(options: { readonly sessionId: string }): Promise<SessionRecord | null> {
    const kern = await this.#open()
    return await kern.getSession(options)
  }

  /** Deletes a session with all its runs. @throws KernError NOT_FOUND, or CONFLICT while a run is not over */
  async deleteSession(options: { readonly sessionId: string }): Promise<void> {
    const kern = await this.#open()
    await kern.commands.deleteSession(SYSTEM_VIEWER, options)
  }

  /** Closes what `run` and the others opened, for good: in memory, another database would not have what this one had. */
  async close(): Promise<void> {
    this.#closed = true
    const kern = await this.#kern
    await kern?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #open(): Promise<Kern> {
    if (this.#closed) throw new KernError('UNAVAILABLE', `workflow "${this.name}" was closed`)
    this.#kern ??= this.#create()
    return await this.#kern
  }

  async #create(): Promise<Kern> {
    if (!this.#db) {
      process.emitWarning(
        `Workflow "${this.name}" has no db: its sessions are kept in memory and are gone when the process ends`,
        {
          type: 'KernWarning',
        },
      )
    }
    try {
      return await createKern({ db: this.#db ?? pglite.memory(), workflows: [this] })
    } catch (error) {
      this.#kern = null
      throw error
    }
  }
}
