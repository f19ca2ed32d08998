import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { GraphQLSchema } from 'graphql'
import { shown } from '../errors.ts'
import type { Log } from '../log.ts'
import { listen, urlOf } from './address.ts'
import { createContext } from './context.ts'
import type { ServerParts } from './context.ts'
import { createGraphiQL } from './graphiql.ts'
import { createGraphQL, GRAPHQL_PATH } from './graphql.ts'
import { createHostCheck } from './host.ts'
import type { HostCheck } from './host.ts'
import { createHttpHandler } from './http.ts'
import { createMask } from './mask.ts'
import type { Refusal } from './refusal.ts'
import { createSockets, refuseUpgrade } from './sockets.ts'
import { within } from './within.ts'

export interface ServerOptions {
  /** The port; 0 for any that is free. @default 4000 */
  readonly port?: number
  /**
   * The address to listen on. On a loopback address only requests to `localhost`, `127.0.0.1`, `[::1]` and the address
   * itself are answered.
   *
   * @default '127.0.0.1'
   */
  readonly host?: string
  /** Origins, such as `https://example.com`, whose pages may call besides the server's own. @default [] */
  readonly allowedOrigins?: readonly string[]
  /** The largest body of an HTTP request, in bytes. @default 2_097_152 */
  readonly maxRequestBytes?: number
  /** The largest message of a WebSocket client, in bytes. @default 65_536 */
  readonly maxMessageBytes?: number
  /** How long a WebSocket client may take to say hello, in milliseconds. @default 3_000 */
  readonly initTimeoutMs?: number
  /** How often WebSocket clients are pinged, in milliseconds. @default 12_000 */
  readonly pingMs?: number
  /** How long running requests are given to end when the server closes, in milliseconds. @default 10_000 */
  readonly graceMs?: number
}

const DEFAULTS = {
  port: 4000,
  host: '127.0.0.1',
  allowedOrigins: [],
  // A value may have 1 MiB; a request holds one, its document, and metadata.
  maxRequestBytes: 2_097_152,
  maxMessageBytes: 65_536,
  initTimeoutMs: 3_000,
  pingMs: 12_000,
  graceMs: 10_000,
} satisfies Required<ServerOptions>

export interface ServerDeps {
  readonly parts: ServerParts
  readonly schema: GraphQLSchema
  readonly log: Log
  readonly options?: ServerOptions
}

/** GraphQL over HTTP, SSE and WebSocket, GraphiQL, and the health of the process, on one port. */
export interface Server extends AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:4000`; with the port that was asked for until it listens. */
  readonly url: string
  /** Resolves once connections are accepted. @throws KernError CONFIG_INVALID if the port or the host cannot be had */
  listen(): Promise<void>
  /**
   * Accepts nothing more, ends subscriptions, gives running requests the grace time and then cuts their connections.
   * May be called more than once.
   */
  close(): Promise<void>
}

/** How long the database may take to answer a question about its health, in milliseconds. */
const HEALTH_TIMEOUT_MS = 2_000

export function createServer({ parts, schema, log, options }: ServerDeps): Server {
  const settings = { ...DEFAULTS, ...options }
  const stopping = new AbortController()
  const mask = createMask(log)
  const graphql = createGraphQL({
    schema,
    createContext: () => createContext(parts),
    mask,
    log,
    allowedOrigins: settings.allowedOrigins,
    maxRequestBytes: settings.maxRequestBytes,
  })
  const graphiql = createGraphiQL(parts.workflows)
  const healthy = (): Promise<boolean> => answers(parts.health)
  const checkHost = createHostCheck(settings.host)
  const handle = createHttpHandler({ graphql, graphiql, checkHost, healthy, log, stopping: stopping.signal })
  const sockets = createSockets({ graphql, mask, log, limits: settings })
  // Both times are for what a client sends; an answer, such as a stream of events, may take as long as it likes.
  const times = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5_000 }
  const server = createHttpServer(times, (req, res) => {
    // A connection that became idle after the server began to stop is not found by `close`.
    res.once('close', () => stopping.signal.aborted && server.closeIdleConnections())
    void handle(req, res)
  })
  server.on('upgrade', (req, socket, head) => {
    const refusal = refusalOf(req, { checkHost, allowedOrigins: settings.allowedOrigins, stopping: stopping.signal })
    if (refusal === null) sockets.accept(req, socket, head)
    else refuseUpgrade(socket, refusal)
  })
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => {
    closing ??= stop()
    return closing
  }
  const stop = async (): Promise<void> => {
    const ended = server.listening ? new Promise<void>((resolve) => server.close(() => resolve())) : Promise.resolve()
    stopping.abort()
    await sockets.close()
    if (!(await within(ended, settings.graceMs))) server.closeAllConnections()
    await ended
    await graphql.dispose()
  }
  return {
    get url() {
      return urlOf(server, settings)
    },
    listen: () => listen(server, settings),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Asks for the health of the process, and takes no answer in time for a bad one. */
export async function answers(health: () => Promise<boolean>): Promise<boolean> {
  try {
    let answer = false
    const asked = health().then((healthy) => {
      answer = healthy
    })
    return (await within(asked, HEALTH_TIMEOUT_MS)) && answer
  } catch {
    return false
  }
}

interface UpgradeRules {
  readonly checkHost: HostCheck
  readonly allowedOrigins: readonly string[]
  readonly stopping: AbortSignal
}

/** Why a request may not become a WebSocket; null if it may. */
function refusalOf(req: IncomingMessage, { checkHost, allowedOrigins, stopping }: UpgradeRules): Refusal | null {
  if (stopping.aborted) return { status: 503, code: 'UNAVAILABLE', message: 'The server is stopping' }
  const refusal = checkHost(req)
  if (refusal) return refusal
  const [path = ''] = (req.url ?? '').split('?', 1)
  if (path !== GRAPHQL_PATH) {
    const message = `There is nothing at ${shown(path)}: GraphQL is at ${GRAPHQL_PATH}`
    return { status: 404, code: 'NOT_FOUND', message }
  }
  // Browsers let any page open a WebSocket to any server and only tell the server which page it was. Other programs
  // send no origin.
  const { origin, host = '' } = req.headers
  if (origin === undefined || allowedOrigins.includes(origin)) return null
  if (URL.canParse(origin) && new URL(origin).host === host) return null
  const message = `The origin is ${shown(origin)}: allowed are ${['that of this server', ...allowedOrigins].join(', ')}`
  return { status: 403, code: 'FORBIDDEN', message }
}
