import { asClientError } from './errors.ts'
import type { Post } from './http.ts'
import { createSseTransport } from './sse.ts'
import type { SocketOptions } from './socket.ts'
import type { Transport } from './transport.ts'
import { createWebSocketTransport } from './webSocket.ts'

/** After how many WebSockets that did not open, while HTTP did, they are taken for blocked. */
const BLOCKED_AFTER = 2

/** How long it is then until one is tried again, in milliseconds: a laptop may be in another network by then. */
const AGAIN_MS = 300_000

/** WebSockets, and SSE where they cannot be opened, as behind some proxies. */
export function createFallback(post: Post, options: SocketOptions): Transport {
  let blocked = 0
  let since = 0
  const sse = createSseTransport(post, options)
  const webSocket = createWebSocketTransport({
    ...options,
    onReady: () => {
      blocked = 0
    },
    // A server that is away opens none either: it is only a proxy's fault if the server answers at the same time.
    onBlocked: async () => {
      const signal = AbortSignal.timeout(options.openTimeoutMs)
      try {
        await post({ query: '{__typename}' }, { accept: 'application/json', signal })
      } catch (error) {
        if (asClientError(error).code === 'UNAVAILABLE') return
      }
      blocked++
      since = Date.now()
    },
  })
  const isBlocked = (): boolean => blocked >= BLOCKED_AFTER && Date.now() - since < AGAIN_MS
  return { open: (operation, sink) => (isBlocked() ? sse : webSocket).open(operation, sink) }
}
