import { STATUS_CODES } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CloseCode, handleProtocols } from 'graphql-ws'
import type { Server as ProtocolServer } from 'graphql-ws'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Log } from '../log.ts'
import { createProtocol, type ProtocolLimits, type ProtocolParts, type SocketExtra } from './protocol.ts'
import { type Refusal, refusalBody } from './refusal.ts'
import { createLine, type Line, type LineLimits } from './socketLine.ts'
import { within } from './within.ts'

export interface SocketParts extends ProtocolParts {
  readonly log: Log
  readonly limits: SocketLimits
}

export interface SocketLimits extends ProtocolLimits, LineLimits {
  /** The largest message of a client, in bytes; a larger one closes the socket with 1009. */
  readonly maxMessageBytes: number
  /** How often clients are pinged, in milliseconds; one that does not answer before the next ping is gone. */
  readonly pingMs: number
}

/** GraphQL over WebSockets, by the protocol graphql-transport-ws. */
export interface Sockets {
  /** Takes over a connection that asked to become a WebSocket. */
  accept(req: IncomingMessage, socket: Duplex, head: Buffer): void
  /** How many are open. */
  count(): number
  /** Closes all sockets with 1001, so that clients come back, and resolves once all are closed. */
  close(): Promise<void>
}

/** How long a client may take to answer a close, in milliseconds; then its connection is cut. */
const CLOSE_TIMEOUT_MS = 2_000
/** How long a client that was refused may take to read why, in milliseconds; then its connection is cut. */
const REFUSED_MS = 1_000

export function createSockets(parts: SocketParts): Sockets {
  const { log, limits } = parts
  const protocol = createProtocol(parts)
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: limits.maxMessageBytes,
    // Compressing each message for each subscriber takes more than sending it.
    perMessageDeflate: false,
    handleProtocols,
  })
  const silent = new WeakSet<WebSocket>()
  const lines = new WeakMap<WebSocket, Line>()
  const ping = setInterval(() => {
    for (const socket of server.clients) {
      lines.get(socket)?.check()
      if (silent.has(socket)) socket.terminate()
      silent.add(socket)
      socket.ping()
    }
  }, limits.pingMs)
  return {
    accept(req, raw, head) {
      server.handleUpgrade(req, raw, head, (socket) => {
        const line = createLine(socket, raw, limits)
        lines.set(socket, line)
        socket.on('pong', () => silent.delete(socket))
        attach(protocol, socket, { line, log })
      })
    },
    count: () => server.clients.size,
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
  // A client that leaves its half open would keep the connection.
  const cut = () => setTimeout(() => socket.destroy(), REFUSED_MS).unref()
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, cut)
}

interface Attached extends SocketExtra {
  readonly log: Log
}

function attach(protocol: ProtocolServer<SocketExtra>, socket: WebSocket, { line, log }: Attached): void {
  socket.on('error', (err) => log.debug({ err }, 'A WebSocket failed'))
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      // Resolves once the message has left.
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
    { line },
  )
  socket.once('close', (code, reason) => {
    // Also those of which the protocol core has lost sight, as their id was used again while they were opened.
    line.release()
    closed(code, String(reason)).catch((err: unknown) => log.error({ err }, 'A subscription could not be ended'))
  })
}
