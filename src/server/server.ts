import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { GraphQLSchema } from 'graphql'
import { shown } from '../errors.ts'
import type { Log } from '../log.ts'
import { listen, urlOf } from './address.ts'
import { ANYONE, createContext } from './context.ts'
import type { ServerParts } from './context.ts'
import { createFanOut, type FanOutCounts } from './fanout/fanOut.ts'
import { createGraphiQL } from './graphiql.ts'
import { createGraphQL, GRAPHQL_PATH } from './graphql.ts'
import { createHostCheck } from './host.ts'
import type { HostCheck } from './host.ts'
import { createHttpHandler } from './http.ts'
import { createMask } from './mask.ts'
import { type ServerOptions, settingsOf } from './options.ts'
import type { Refusal } from './refusal.ts'
import { createSeats } from './seats.ts'
import { createSockets, refuseUpgrade } from './sockets.ts'
import { createSse } from './sse.ts'
import { within } from './within.ts'

export type { ServerOptions } from './options.ts'

export interface ServerDeps {
  readonly parts: ServerParts
  readonly schema: GraphQLSchema
  readonly log: Log
  readonly options?: ServerOptions
}

/** What listens on a port. */
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

/** What clients hold open now; all of it is 0 when they have left. */
export interface ServerCounts extends FanOutCounts {
  /** WebSockets. */
  readonly sockets: number
  /** Subscriptions over HTTP. */
  readonly sseStreams: number
}

/** A server of GraphQL. */
export interface GraphQLServer extends Server {
  counts(): ServerCounts
}

/** How long the database may take to answer a question about its health, in milliseconds. */
const HEALTH_TIMEOUT_MS = 2_000

/**
 * GraphQL over HTTP, SSE and WebSocket, GraphiQL, and the health of the process, on one port.
 *
 * @throws KernError CONFIG_INVALID for an option out of range
 */
export function createServer({ parts, schema, log, options }: ServerDeps): GraphQLServer {
  const settings = settingsOf(options)
  const stopping = new AbortController()
  const mask = createMask(log)
  const contextOf = () => createContext(parts)
  const seats = createSeats(settings)
  const fanOut = createFanOut({ schema, createContext: contextOf, mask })
  const sse = createSse(settings)
  const graphql = createGraphQL({
    schema,
    createContext: contextOf,
    mask,
    log,
    subscribe: async (asked, res) => {
      const seat = seats.take(ANYONE)
      if ('status' in seat) return seat
      res.once('close', seat.leave)
      if (res.destroyed) seat.leave()
      return await fanOut.open(asked, sse.outlet(res))
    },
    allowedOrigins: settings.allowedOrigins,
    maxRequestBytes: settings.maxRequestBytes,
  })
  const graphiql = createGraphiQL(parts.workflows)
  const healthy = (): Promise<boolean> => answers(parts.health)
  const checkHost = createHostCheck(settings.host)
  const handle = createHttpHandler({ graphql, sse, graphiql, checkHost, healthy, log, stopping: stopping.signal })
  const sockets = createSockets({ graphql, fanOut, mask, log, limits: settings })
  // Both times are for what a client sends; an answer, such as a stream of events, may take as long as it likes.
  const times = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5_000 }
  const server = createHttpServer(times, (req, res) => {
    // A connection that became idle after the server began to stop is not found by `close`.
    res.once('close', () => stopping.signal.aborted && server.closeIdleConnections())
    void handle(req, res)
  })
  server.on('upgrade', (req, socket, head) => {
    const refusal = refusalOf(req, { checkHost, allowedOrigins: settings.allowedOrigins, stopping: stopping.signal })
    const seat = refusal ?? seats.take(ANYONE)
    if ('status' in seat) return refuseUpgrade(socket, seat)
    socket.once('close', seat.leave)
    sockets.accept(req, socket, head)
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
    sse.close()
    if (!(await within(ended, settings.graceMs))) server.closeAllConnections()
    await ended
    await graphql.dispose()
  }
  return {
    get url() {
      return urlOf(server, settings)
    },
    listen: () => listen(server, settings),
    counts: () => ({ sockets: sockets.count(), sseStreams: sse.count(), ...fanOut.counts() }),
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
