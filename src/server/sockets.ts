import { STATUS_CODES } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { getOperationAST, GraphQLError } from 'graphql'
import type { ExecutionArgs, GraphQLFormattedError } from 'graphql'
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws'
import type { Server as ProtocolServer, SubscribePayload } from 'graphql-ws'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Log } from '../log.ts'
import type { GraphQLHandler } from './graphql.ts'
import type { Mask } from './mask.ts'
import { type Refusal, refusalBody } from './refusal.ts'
import { within } from './within.ts'

export interface SocketParts {
  readonly graphql: GraphQLHandler
  readonly mask: Mask
  readonly log: Log
  readonly limits: SocketLimits
}

export interface SocketLimits {
  /** The largest message of a client, in bytes; a larger one closes the socket with 1009. */
  readonly maxMessageBytes: number
  /** How long a client may take to say hello, in milliseconds; then its socket is closed with 4408. */
  readonly initTimeoutMs: number
  /** How often clients are pinged, in milliseconds; one that does not answer before the next ping is gone. */
  readonly pingMs: number
}

/** GraphQL over WebSockets, by the protocol graphql-transport-ws. */
export interface Sockets {
  /** Takes over a connection that asked to become a WebSocket. */
  accept(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Closes all sockets with 1001, so that clients come back, and resolves once all are closed. */
  close(): Promise<void>
}

/** How long a client may take to answer a close, in milliseconds; then its connection is cut. */
const CLOSE_TIMEOUT_MS = 2_000

export function createSockets({ graphql, mask, log, limits }: SocketParts): Sockets {
  const protocol = createProtocol({ graphql, mask, limits })
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: limits.maxMessageBytes,
    // Compressing each message for each subscriber takes more than sending it.
    perMessageDeflate: false,
    handleProtocols,
  })
  const silent = new WeakSet<WebSocket>()
  const ping = setInterval(() => {
    for (const socket of server.clients) {
      if (silent.has(socket)) socket.terminate()
      silent.add(socket)
      socket.ping()
    }
  }, limits.pingMs)
  server.on('connection', (socket: WebSocket) => {
    socket.on('pong', () => silent.delete(socket))
    attach(protocol, socket, log)
  })
  return {
    accept: (req, socket, head) => server.handleUpgrade(req, socket, head, (ws) => server.emit('connection', ws, req)),
    close: async () => {
      clearInterval(ping)
      const sockets = [...server.clients]
      const closed = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
      for (const socket of sockets) socket.close(1001, 'Going away')
      if (!(await within(Promise.all(closed), CLOSE_TIMEOUT_MS))) for (const socket of sockets) socket.terminate()
      await Promise.all(closed)
    },
  }
}

/** Answers a request to become a WebSocket with an HTTP error. */
export function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  const body = JSON.stringify(refusalBody(refusal))
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  socket.on('error', () => socket.destroy())
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function attach(protocol: ProtocolServer, socket: WebSocket, log: Log): void {
  socket.on('error', (err) => log.debug({ err }, 'A WebSocket failed'))
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // Resolves once the message has left: a subscription makes its next event no faster than the client reads.
      send: (data) =>
        new Promise((resolve) => {
          if (socket.readyState === socket.OPEN) socket.send(data, () => resolve())
          else resolve()
        }),
      close: (code, reason) => socket.close(code, reason),
      onMessage: (handle) => {
        socket.on('message', (data) => {
          handle(String(data)).catch((err: unknown) => {
            log.error({ err }, 'A WebSocket message could not be handled')
            socket.close(CloseCode.InternalServerError, 'Internal server error')
          })
        })
      },
    },
    undefined,
  )
  socket.once('close', (code, reason) => {
    closed(code, String(reason)).catch((err: unknown) => log.error({ err }, 'A subscription could not be ended'))
  })
}

/** What the operation of a message is executed by; the protocol core hands it back with the arguments. */
interface BoundArgs extends ExecutionArgs {
  readonly bound: { execute(args: ExecutionArgs): unknown; subscribe(args: ExecutionArgs): unknown }
}

type Result = ReturnType<NonNullable<Parameters<typeof makeServer>[0]['execute']>>

function createProtocol({ graphql, mask, limits }: Omit<SocketParts, 'log'>): ProtocolServer {
  return makeServer({
    connectionInitWaitTimeout: limits.initTimeoutMs,
    // The arguments are those that `prepare` made, and Yoga's functions resolve to results of GraphQL.
    execute: (args) => (args as BoundArgs).bound.execute(args) as Result,
    subscribe: (args) => (args as BoundArgs).bound.subscribe(args) as Result,
    onSubscribe: async (_socket, _id, payload) => {
      try {
        return await prepare(graphql, payload)
      } catch (error) {
        // Thrown from here it would close the socket, with its message as the reason.
        return [mask.error(error, payload)]
      }
    },
    onError: (_socket, _id, payload, errors) => errors.map((error) => onWire(mask.error(error, payload))),
    onNext: (_socket, _id, payload, _args, { errors, data, extensions }) =>
      errors && {
        errors: errors.map((error) => onWire(mask.error(error, payload))),
        ...(data === undefined ? {} : { data }),
        ...(extensions === undefined ? {} : { extensions }),
      },
  })
}

async function prepare(
  graphql: GraphQLHandler,
  payload: SubscribePayload,
): Promise<BoundArgs | readonly GraphQLError[]> {
  const { schema, parse, validate, contextFactory, execute, subscribe } = graphql.getEnveloped({ params: payload })
  const document = parse(payload.query)
  const errors = validate(schema, document)
  if (errors.length > 0) return errors
  if (!getOperationAST(document, payload.operationName)) {
    const message = 'Could not determine what operation to execute.'
    return [new GraphQLError(message, { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } })]
  }
  return {
    schema,
    document,
    operationName: payload.operationName,
    variableValues: payload.variables,
    contextValue: await contextFactory(),
    bound: { execute, subscribe },
  }
}

/** The status of an HTTP answer means nothing here. */
function onWire(error: GraphQLError): GraphQLFormattedError {
  const { extensions: { http: _, ...extensions } = {}, ...rest } = error.toJSON()
  return { ...rest, extensions }
}
