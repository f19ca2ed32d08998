import { asClientError, KernClientError, unavailable } from './errors.ts'
import { type Fresh, freshly } from './http.ts'
import { type ConnectionTimes, watchSilence } from './transport.ts'

/** What the client needs of a WebSocket: that of browsers, of Node and of the package `ws` all have it. */
export interface WebSocketLike {
  send(text: string): void
  close(): void
  addEventListener(type: 'open' | 'error', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void
}

export type WebSocketClass = new (url: string, protocol: string) => WebSocketLike

export interface SocketOptions extends ConnectionTimes {
  readonly url: string
  readonly webSocket: WebSocketClass
  readonly connectionParams: Fresh<Readonly<Record<string, unknown>>> | undefined
}

/** A message of the server about a subscription. */
export interface Message {
  readonly type: string
  readonly id?: string
  readonly payload?: unknown
}

export interface SocketOwner {
  /** The server has said hello: what is sent from now on is heard. */
  ready(): void
  /** @param size how long its text was, in characters */
  message(message: Message, size: number): void
  /** Called once. The socket is closed. */
  end(error: KernClientError): void
}

export interface Socket {
  /** May be called once it is ready. */
  send(type: string, more: object): void
  end(error: KernClientError): void
}

/** A WebSocket that speaks graphql-transport-ws, from the first hello to the last sign of life. */
export function openSocket(options: SocketOptions, owner: SocketOwner): Socket {
  let socket: WebSocketLike | undefined
  let over = false
  let silence: ReturnType<typeof watchSilence> | undefined

  const send = (type: string, more?: object): void => socket?.send(JSON.stringify({ type, ...more }))
  const end = (error: KernClientError): void => {
    if (over) return
    over = true
    clearTimeout(opening)
    silence?.stop()
    socket?.close()
    owner.end(error)
  }
  const receive = (text: string): void => {
    silence?.heard()
    // Of the server's protocol; what does not keep to it makes something throw, which ends the connection.
    const message = JSON.parse(text) as Message
    if (message.type === 'ping') send('pong')
    else if (message.type !== 'connection_ack') owner.message(message, text.length)
    else if (!silence) {
      clearTimeout(opening)
      const dead = (): void => end(unavailable('The connection was silent for too long'))
      silence = watchSilence(options.silenceMs, { ask: () => send('ping'), dead })
      owner.ready()
    }
  }
  const open = async (): Promise<void> => {
    const payload = await freshly(options.connectionParams)
    if (over) return
    socket = new options.webSocket(options.url, 'graphql-transport-ws')
    socket.addEventListener('open', () => send('connection_init', { payload }))
    socket.addEventListener('error', () => end(unavailable('The WebSocket failed')))
    socket.addEventListener('close', ({ code, reason }) => end(closed(code, reason)))
    socket.addEventListener('message', ({ data }) => {
      try {
        if (!over) receive(String(data))
      } catch (cause) {
        const message = `The server sent what is not of its protocol: ${String(data).slice(0, 80)}`
        end(new KernClientError('BAD_RESPONSE', message, { cause }))
      }
    })
  }
  const opening = setTimeout(() => end(unavailable('The WebSocket did not open in time')), options.openTimeoutMs)
  open().catch((error: unknown) => end(asClientError(error)))
  return { send, end }
}

/**
 * Closes after which a new connection would be closed the same way: 1002, 1003, 1007 and 1009, and the protocol's own, but
 * for 4408 (the hello took too long) and 4410 (the client was too slow).
 */
const FINAL_CLOSE = /^(100[2379]|44(?!08|10))/

function closed(code: number, reason: string): KernClientError {
  const message = `The connection was closed with ${code} ${reason}`
  if (!FINAL_CLOSE.test(String(code))) return unavailable(message)
  return new KernClientError(code === 4401 || code === 4403 ? 'FORBIDDEN' : 'BAD_RESPONSE', message)
}
