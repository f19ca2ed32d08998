import { type RunEvent, type RunEventType, runEventsDocument, sessionEventsDocument } from './events.ts'
import { KernClientError } from './errors.ts'
import { createFallback } from './fallback.ts'
import { follow } from './follow.ts'
import { createPost, type Post } from './http.ts'
import { type KernClientOptions, type Settings, settingsOf } from './options.ts'
import type { Watch } from './queue.ts'
import { type AcceptedRun, runWorkflow, type RunWorkflowInput, type RunWorkflowOptions } from './run.ts'
import type { WebSocketClass } from './socket.ts'
import { createSseTransport } from './sse.ts'
import type { Transport } from './transport.ts'
import { createWebSocketTransport } from './webSocket.ts'

export interface WatchOptions {
  /** The cursor of an event, or `lastCursor` of a run: only what comes later. @default from the first event */
  readonly after?: string | null | undefined
  /** Ends the watch: its loop throws the reason of the signal. @default never */
  readonly signal?: AbortSignal | undefined
  /** More fields of the event, such as `run { metrics { durationMs } }`. @default none */
  readonly selection?: string | undefined
}

export interface WatchRunOptions extends WatchOptions {
  /** Only these. @default all */
  readonly types?: readonly RunEventType[] | undefined
}

/** Starts runs, and follows what happens in them. It holds nothing open beyond a tenth of a second after its last watch. */
export interface KernClient {
  /**
   * Starts a run. Once this resolves, the run will be executed whatever happens to the server. It is asked for with an
   * `idempotencyKey`, made for the call if none is given: a request whose answer was lost is sent again, and starts nothing
   * twice.
   *
   * @typeParam More what `selection` asks for
   * @throws KernClientError as the server refuses it; UNAVAILABLE if it could not be reached within the retries, with which
   * the run may have been accepted. The reason of the signal, if that aborts.
   */
  runWorkflow<More extends object = object>(
    input: RunWorkflowInput,
    options?: RunWorkflowOptions,
  ): Promise<AcceptedRun & More>
  /**
   * What happens in a run: each event once, in order, whatever happens to the connection or the server, and STEP_PROGRESS,
   * which is not stored, as it comes. Ends after the final event. Connects when the first event is asked for; leaving the
   * loop, `return()` and the signal release the connection.
   *
   * @typeParam More what `selection` asks for
   * @throws KernClientError while it is iterated: NOT_FOUND, CURSOR_INVALID, FORBIDDEN and what else is final
   */
  watchRun<More extends object = object>(runId: string, options?: WatchRunOptions): Watch<RunEvent & More>
  /**
   * What happens in all runs of a session, as `watchRun` does. Does not end by itself. A run that is queued is told of at
   * once, between the events of the one before it.
   *
   * @typeParam More what `selection` asks for
   * @throws KernClientError as `watchRun`; CURSOR_EXPIRED if the run of `after` was deleted
   */
  watchSession<More extends object = object>(sessionId: string, options?: WatchOptions): Watch<RunEvent & More>
}

/** @throws KernClientError OPTION_INVALID */
export function createKernClient(options: KernClientOptions): KernClient {
  const settings = settingsOf(options)
  const post = createPost({ url: settings.url, fetch: options.fetch ?? globalThis.fetch, headers: options.headers })
  const transport = transportOf(post, options, settings)
  return {
    // What is given beyond the usual is what the caller has asked for, and names the type of.
    runWorkflow: (input, more = {}) => runWorkflow({ post, settings }, input, more) as Promise<never>,
    watchRun: (runId, { after = null, types, signal, selection = '' } = {}) => {
      const source = { query: runEventsDocument(selection), variables: { id: runId, types }, after, signal }
      return follow(transport, { ...source, endsWithRun: true }, settings) as Watch<never>
    },
    watchSession: (sessionId, { after = null, signal, selection = '' } = {}) => {
      const source = { query: sessionEventsDocument(selection), variables: { id: sessionId }, after, signal }
      return follow(transport, { ...source, endsWithRun: false }, settings) as Watch<never>
    },
  }
}

/** @throws KernClientError OPTION_INVALID if WebSockets are wanted and there are none */
function transportOf(post: Post, options: KernClientOptions, settings: Settings): Transport {
  const { connectionParams } = options
  const webSocket: WebSocketClass | undefined = options.webSocket ?? globalThis.WebSocket
  if (settings.transport === 'sse' || (!webSocket && settings.transport === 'auto')) {
    return createSseTransport(post, settings)
  }
  if (!webSocket) {
    throw new KernClientError('OPTION_INVALID', 'webSocket is not given and there is no global one: allowed is a class')
  }
  const sockets = { ...settings, url: settings.url.replace('http', 'ws'), webSocket, connectionParams }
  if (settings.transport === 'auto') return createFallback(post, sockets)
  return createWebSocketTransport({ ...sockets, onReady: () => {}, onBlocked: async () => {} })
}
