import { backOff, type BackOffOptions, wait } from './backOff.ts'
import { errorIn, type InputIssue, KernClientError } from './errors.ts'
import type { RunStatus } from './events.ts'
import { type Operation, type Post, readAnswer } from './http.ts'

/** What to run, and with what. */
export interface RunWorkflowInput {
  readonly workflowId: string
  /** What the first step is given. @default nothing */
  readonly input?: unknown
  /** The session to run in, created if it does not exist. @default a new one */
  readonly sessionId?: string | undefined
  /** The owner of the run, and of the session if it is new. @default the viewer */
  readonly userId?: string | undefined
  /** Names the session. @default the name stays */
  readonly sessionName?: string | undefined
  /** Merged over the session's state when the run starts. @default nothing */
  readonly sessionState?: Readonly<Record<string, unknown>> | undefined
  /** The caller's own, kept with the run. @default none */
  readonly metadata?: unknown
  /** The caller's own, kept with the run. @default none */
  readonly tags?: readonly string[] | undefined
  /**
   * The same key with the same workflow, input and session gives the same run: give one that outlives the page, and a form
   * that is sent again after a reload starts nothing. @default a new one a call
   */
  readonly idempotencyKey?: string | undefined
  /** What to do if the session has a run that is not over. @default 'QUEUE' */
  readonly onBusy?: 'QUEUE' | 'REJECT' | 'INTERRUPT' | undefined
  /** Among runs that wait for a worker, those with a higher one are taken first, -100 to 100. @default the workflow's */
  readonly priority?: number | undefined
  /**
   * Answer once the run ended or waits for a person, at the latest after this time in milliseconds, up to 60000.
   * @default 0, at once
   */
  readonly waitMs?: number | undefined
}

export interface RunWorkflowOptions {
  /** Ends the call; the run may have been accepted. @default never */
  readonly signal?: AbortSignal | undefined
  /** How often to ask again if the server cannot be reached. @default 5 */
  readonly retries?: number | undefined
  /** More fields of the run, such as `output error { message }`. @default none */
  readonly selection?: string | undefined
}

/** A run that will be executed, whatever happens to the server. */
export interface AcceptedRun {
  readonly runId: string
  readonly sessionId: string
  /** 1, 2, 3 … within the session. */
  readonly number: number
  readonly status: RunStatus
  /** The place of its newest event: a watch that has it as `after` is given what comes later. */
  readonly lastCursor: string
}

export interface RunSettings extends BackOffOptions {
  /** How long the server may take to answer, in milliseconds, without `waitMs`. */
  readonly silenceMs: number
}

const document = (
  selection: string,
): string => `mutation ($input: RunWorkflowInput!) { result: runWorkflow(input: $input) {
  ... on RunPayload { run { runId number status lastCursor session { sessionId } ${selection} } }
  ... on Error { code message }
  ... on InputInvalidError { issues { path message } }
  ... on ConflictError { busyWith: run { runId } inTheWay: session { sessionId } }
  ... on LimitExceededError { limit retryAfterMs }
} }`

/** What the document asks for. */
interface Result {
  readonly run?: Omit<AcceptedRun, 'sessionId'> & { readonly session: { readonly sessionId: string } }
  readonly code: string
  readonly message: string
  readonly issues?: readonly InputIssue[]
  readonly busyWith?: { readonly runId: string } | null
  readonly inTheWay?: { readonly sessionId: string } | null
  readonly limit?: number
  readonly retryAfterMs?: number | null
}

/** Starts a run once, however often it has to be asked for. */
export async function runWorkflow(
  { post, settings }: { readonly post: Post; readonly settings: RunSettings },
  input: RunWorkflowInput,
  { signal, retries = 5, selection = '' }: RunWorkflowOptions,
): Promise<AcceptedRun> {
  // Not randomUUID, which browsers have on secure pages only.
  const idempotencyKey = input.idempotencyKey ?? crypto.getRandomValues(new Uint32Array(4)).join('-')
  const operation = { query: document(selection), variables: { input: { ...input, idempotencyKey } } }
  const timeoutMs = settings.silenceMs + (input.waitMs ?? 0)
  for (let failures = 1; ; failures++) {
    try {
      return await attempt(post, operation, { signal, timeoutMs })
    } catch (error) {
      signal?.throwIfAborted()
      // What is no error of the client is one of its caller, such as an input that is not JSON.
      if (!(error instanceof KernClientError) || error.code !== 'UNAVAILABLE' || failures > retries) throw error
      await pause(backOff(settings, failures), signal)
    }
  }
}

async function attempt(
  post: Post,
  operation: Operation,
  { signal, timeoutMs }: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number },
): Promise<AcceptedRun> {
  const late = AbortSignal.timeout(timeoutMs)
  const either = signal ? AbortSignal.any([signal, late]) : late
  const response = await post(operation, { accept: 'application/graphql-response+json', signal: either })
  const { data, errors } = await readAnswer(response)
  if (errors) throw errorIn(errors)
  // As the document asks for it.
  const result = data?.['result'] as Result
  if (!result.run) throw refusal(result)
  return { ...result.run, sessionId: result.run.session.sessionId }
}

function refusal({ code, message, issues, busyWith, inTheWay, limit, retryAfterMs }: Result): KernClientError {
  return new KernClientError(code, message, {
    ...(issues && { issues }),
    ...(busyWith && { runId: busyWith.runId }),
    ...(inTheWay && { sessionId: inTheWay.sessionId }),
    ...(limit != null && { limit }),
    ...(retryAfterMs != null && { retryAfterMs }),
  })
}

/** Resolves after so many milliseconds. @throws the reason of the signal */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      stop()
      reject(signal?.reason)
    }
    const stop = wait(ms, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    })
    signal?.addEventListener('abort', aborted)
  })
}
