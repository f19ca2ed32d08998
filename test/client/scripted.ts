import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'

/** A subscription that a client has asked for, with all that a server may answer. */
export interface Subscribed {
  readonly query: string
  readonly variables: { readonly id: string; readonly after: string | null }
  next(payload: unknown): void
  error(code: string, extensions?: object): void
  complete(): void
  /** Cuts the connection, with a code where it has one. */
  cut(code?: number): void
  /** Sends it as it stands. */
  raw(text: string): void
  /** Resolves when the client has released it. */
  readonly released: Promise<void>
}

/** A server that answers as a test says, also as a real one never would. */
export interface Scripted extends AsyncDisposable {
  readonly url: string
  /** How many WebSockets and requests came so far. */
  readonly connections: number
  /** How many WebSockets and answers are open. */
  readonly open: number
  /** What clients said besides asking for subscriptions. */
  readonly heard: string[]
}

export interface Script {
  /** @param number how many came before it */
  readonly subscribed: (subscription: Subscribed, number: number) => void
  /** What is done with a WebSocket that says hello. @default it is acknowledged */
  readonly greeted?: (socket: WebSocket, params: unknown) => void
  /** Whether a ping is answered. @default true */
  readonly alive?: () => boolean
}

/** The payload of an event. */
export function event(runId: string, seq: number, more: { type?: string; id?: string; data?: unknown } = {}): object {
  const { type = 'LOG', id = `${runId}:${seq}` } = more
  const place = { id, cursor: `${runId}:${seq}`, seq, type, at: '2026-01-01T00:00:00.000Z', name: null }
  return {
    data: { event: { ...place, data: more.data ?? null, run: { runId, number: 1, status: 'RUNNING' }, step: null } },
  }
}

export async function startScripted(script: Script): Promise<Scripted> {
  const heard: string[] = []
  let connections = 0
  let open = 0
  let subscriptions = 0
  const opened = (): (() => void) => {
    connections++
    open++
    return () => void open--
  }
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    res.once('close', opened())
    let body = ''
    for await (const chunk of req) body += String(chunk)
    script.subscribed(overSse(res, JSON.parse(body)), subscriptions++)
  }
  const server = createServer((req, res) => void answer(req, res))
  const sockets = new WebSocketServer({ server, handleProtocols: () => 'graphql-transport-ws' })
  sockets.on('connection', (socket) => {
    socket.once('close', opened())
    const released = new Map<string, () => void>()
    socket.once('close', () => released.forEach((release) => release()))
    socket.on('message', (text) => {
      const { type, id = '', payload } = JSON.parse(String(text))
      if (type !== 'subscribe') heard.push(type)
      if (type === 'connection_init') {
        if (script.greeted) script.greeted(socket, payload)
        else socket.send('{"type":"connection_ack"}')
      }
      if (type === 'ping' && script.alive?.() !== false) socket.send('{"type":"pong"}')
      if (type === 'complete') released.get(id)?.()
      if (type === 'subscribe') {
        const over = Promise.withResolvers<void>()
        released.set(id, over.resolve)
        script.subscribed({ ...payload, ...overWebSocket(socket, id), released: over.promise }, subscriptions++)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/graphql`,
    heard,
    get connections() {
      return connections
    },
    get open() {
      return open
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function overWebSocket(socket: WebSocket, id: string): Omit<Subscribed, 'query' | 'variables' | 'released'> {
  const send = (type: string, payload?: unknown): void => socket.send(JSON.stringify({ id, type, payload }))
  return {
    next: (payload) => send('next', payload),
    error: (code, extensions) => send('error', [{ message: 'refused', extensions: { code, ...extensions } }]),
    complete: () => send('complete'),
    cut: (code) => (code === undefined ? socket.terminate() : socket.close(code)),
    raw: (text) => socket.send(text),
  }
}

function overSse(res: ServerResponse, operation: Pick<Subscribed, 'query' | 'variables'>): Subscribed {
  const next = (payload: unknown): void => void res.write(`event: next\ndata: ${JSON.stringify(payload)}\n\n`)
  const complete = (): void => void res.write('event: complete\ndata:\n\n')
  const over = Promise.withResolvers<void>()
  res.once('close', () => over.resolve())
  res.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' }).flushHeaders()
  return {
    ...operation,
    next,
    complete,
    error: (code, extensions) => {
      next({ errors: [{ message: 'refused', extensions: { code, ...extensions } }] })
      complete()
    },
    // Destroyed, it would take with it what was sent just before.
    cut: () => void res.end(),
    raw: (text) => void res.write(text),
    released: over.promise,
  }
}
