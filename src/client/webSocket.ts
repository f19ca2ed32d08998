import {
  type Answer,
  errorIn,
  type GraphQLAnswerError,
  isRetryable,
  type KernClientError,
  unavailable,
} from './errors.ts'
import type { Operation } from './http.ts'
import { openSocket, type SocketOptions } from './socket.ts'
import type { Sink, Transport } from './transport.ts'

export interface WebSocketOptions extends SocketOptions {
  /** Called when a WebSocket is ready. */
  readonly onReady: () => void
  /** Called when one ended before it was, and somebody waits for it; they are told when this has resolved. */
  readonly onBlocked: () => Promise<void>
}

/** How many subscriptions share a connection; a server allows 50 unless it is told otherwise. */
const MAX_SHARED = 50

/**
 * How long a connection without subscriptions is kept, in milliseconds. A page that leaves and comes back at once, as one
 * under React's StrictMode does, finds it still there; closing one that is only being made would be reported by browsers.
 */
const LINGER_MS = 100

/**
 * Subscriptions over WebSockets, many on one connection. One that is refused as its connection has too many is taken to
 * another, and from then on no connection is given more than that.
 */
export function createWebSocketTransport(options: WebSocketOptions): Transport {
  const connections = new Set<Connection>()
  let max = MAX_SHARED
  const room = (): Connection => {
    for (const connection of connections) if (connection.size() < max) return connection
    const made = connect(options, () => connections.delete(made))
    connections.add(made)
    return made
  }
  const open: Transport['open'] = (operation, sink) => {
    const connection = room()
    let earlier = connection.added()
    let release = connection.add(operation, {
      next: (answer, size) => {
        // It was let in, so no refusal comes any more.
        earlier = 0
        sink.next(answer, size)
      },
      end: (error) => {
        const limit = finalLimit(error)
        if (limit && limit <= earlier) {
          max = Math.min(max, limit)
          // It is given no more, so this ends: at the latest on a connection that had none earlier.
          connections.delete(connection)
          release = open(operation, sink)
        } else {
          // Another connection has refused it too: then what was taken for the limit of a connection was none.
          if (limit) max = MAX_SHARED
          sink.end(error)
        }
      },
    })
    return () => release()
  }
  return { open }
}

/**
 * The limit for which a subscription was refused, 0 if for none or only for now. It is that of a connection, or of the
 * operation itself; it cannot be that of a connection which was asked for fewer. How many it has just now does not say:
 * the server counts one for a while that was released before it had begun.
 */
function finalLimit(error: KernClientError | undefined): number {
  const isFinal = error?.code === 'LIMIT_EXCEEDED' && !isRetryable(error)
  return (isFinal && error.details.limit) || 0
}

/** A connection that is there, or is being made. */
interface Connection {
  /** How many subscriptions it has. */
  size(): number
  /** How many it has had, with those that it has. */
  added(): number
  add(operation: Operation, sink: Sink): () => void
}

/** @param left called when the connection is not to be used any more */
function connect(options: WebSocketOptions, left: () => void): Connection {
  const subscriptions = new Map<string, { readonly payload: Operation; readonly sink: Sink }>()
  let state: 'opening' | 'ready' | 'over' = 'opening'
  let ids = 0
  let lingering: ReturnType<typeof setTimeout> | undefined

  const socket = openSocket(options, {
    ready: () => {
      state = 'ready'
      options.onReady()
      for (const [id, { payload }] of subscriptions) socket.send('subscribe', { id, payload })
    },
    message: ({ type, id = '', payload }, size) => {
      const sink = subscriptions.get(id)?.sink
      // The payloads are as the protocol says.
      if (type === 'next') sink?.next(payload as Answer, size)
      else if (type === 'complete' && remove(id)) sink?.end()
      else if (type === 'error' && remove(id)) sink?.end(errorIn(payload as GraphQLAnswerError[]))
    },
    end: (error) => {
      const blocked = state === 'opening' && error.code === 'UNAVAILABLE' && subscriptions.size > 0
      state = 'over'
      clearTimeout(lingering)
      left()
      // Those that are released meanwhile are gone from the map.
      const tell = (): void => subscriptions.forEach(({ sink }) => sink.end(error))
      if (blocked) void options.onBlocked().then(tell)
      else tell()
    },
  })
  const remove = (id: string): boolean => {
    const removed = subscriptions.delete(id)
    if (subscriptions.size === 0 && state !== 'over') {
      clearTimeout(lingering)
      lingering = setTimeout(() => socket.end(unavailable('Nobody needs it')), LINGER_MS)
    }
    return removed
  }
  return {
    size: () => subscriptions.size,
    added: () => ids,
    add: (payload, sink) => {
      clearTimeout(lingering)
      const id = String(++ids)
      subscriptions.set(id, { payload, sink })
      if (state === 'ready') socket.send('subscribe', { id, payload })
      return () => {
        if (remove(id) && state === 'ready') socket.send('complete', { id })
      }
    },
  }
}
