import { type ClientRequest, request } from 'node:http'
import { WebSocket } from 'ws'

/** A subscription, as a client asks for it. */
export interface Subscription {
  readonly query: string
  readonly variables: Record<string, unknown>
}

/** What a client is told on a connection. Nothing comes after `gone`, and nothing after the line was cut here. */
export interface Heard {
  /** The connection stands, and the server may not have been told yet what is asked for. */
  opened(): void
  /** The server was told what is asked for. */
  asked(): void
  /** An answer: its text as JSON, `{"data": …}` or `{"errors": …}`. */
  next(payload: unknown): void
  /** The server ended the subscription properly. */
  complete(): void
  /** The connection ended without that. */
  gone(why: string): void
}

/** One subscription on a connection of its own. As little as possible, so that hundreds fit into a process. */
export interface Line {
  /** Cuts the connection without a word, as a network that fails does. */
  cut(): void
}

/** Opens a line to `http://host:port/graphql`. */
export type OpenLine = (url: string, subscription: Subscription, heard: Heard) => Line

/** How a client is connected. */
export const TRANSPORTS = {
  /** The protocol graphql-transport-ws, written by hand. */
  WebSocket: openWebSocket,
  /** One POST whose answer is a text/event-stream. */
  SSE: openEventStream,
} as const satisfies Record<string, OpenLine>

export type Transport = keyof typeof TRANSPORTS

function openWebSocket(url: string, subscription: Subscription, heard: Heard): Line {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), 'graphql-transport-ws', { perMessageDeflate: false })
  const told = untilCut(heard)
  let why = 'the connection ended'
  const say = (message: unknown) => socket.send(JSON.stringify(message))
  socket.on('open', () => {
    told.opened()
    if (told.isCut()) return
    say({ type: 'connection_init' })
  })
  socket.on('message', (data) => {
    // What the server says by the protocol.
    const message = JSON.parse(String(data)) as { readonly type: string; readonly payload?: unknown }
    if (message.type === 'connection_ack') {
      if (told.isCut()) return
      say({ id: '1', type: 'subscribe', payload: subscription })
      told.asked()
    } else if (message.type === 'next') told.next(message.payload)
    else if (message.type === 'error') told.next({ errors: message.payload })
    else if (message.type === 'complete') told.complete()
    else if (message.type === 'ping') say({ type: 'pong' })
  })
  socket.on('error', (error) => {
    why = error.message
  })
  socket.on('close', (code, reason) => told.gone(`${why}: ${code} ${String(reason)}`))
  return {
    cut() {
      told.cut()
      socket.terminate()
    },
  }
}

function openEventStream(url: string, subscription: Subscription, heard: Heard): Line {
  const told = untilCut(heard)
  const headers = { accept: 'text/event-stream', 'content-type': 'application/json' }
  const asked: ClientRequest = request(url, { method: 'POST', agent: false, headers }, (response) => {
    if (response.statusCode !== 200) {
      response.resume()
      told.next({ errors: [{ message: `the server answered ${response.statusCode}` }] })
      return
    }
    let text = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      const events = (text + chunk).split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) take(event, told)
    })
    response.on('error', (error) => told.gone(error.message))
    response.on('close', () => told.gone('the stream was cut off'))
  })
  asked.on('socket', (socket) => {
    socket.once('connect', () => {
      told.opened()
      if (!told.isCut()) asked.end(JSON.stringify(subscription), () => told.asked())
    })
  })
  asked.on('error', (error) => told.gone(error.message))
  return {
    cut() {
      told.cut()
      asked.destroy()
    },
  }
}

/** One event of a text/event-stream; comments, which keep the connection alive, have no field. */
function take(event: string, told: Heard): void {
  const fields = new Map(event.split('\n').map((line) => [line.slice(0, line.indexOf(':')), fieldOf(line)] as const))
  if (fields.get('event') === 'complete') told.complete()
  else if (fields.get('event') === 'next') told.next(JSON.parse(fields.get('data') ?? ''))
}

function fieldOf(line: string): string {
  return line.slice(line.indexOf(':') + 1).trimStart()
}

interface UntilCut extends Heard {
  isCut(): boolean
  cut(): void
}

/** Tells nothing any more once the line is cut, or has ended. */
function untilCut(heard: Heard): UntilCut {
  let cut = false
  return {
    isCut: () => cut,
    cut() {
      cut = true
    },
    opened: () => void (cut || heard.opened()),
    asked: () => void (cut || heard.asked()),
    next: (payload) => void (cut || heard.next(payload)),
    complete() {
      if (cut) return
      cut = true
      heard.complete()
    },
    gone(why) {
      if (cut) return
      cut = true
      heard.gone(why)
    },
  }
}
