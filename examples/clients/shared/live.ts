import type { FormattedExecutionResult } from 'graphql'
import { createClient, type Sink, type SubscribePayload } from 'graphql-ws'
import { afterLastEvent } from './resume.ts'

/** The longest wait before a connection is made again, in milliseconds, give or take a half. */
const LONGEST_WAIT_MS = 20_000

export interface LiveOptions {
  /**
   * How long the connection may be silent before the server is pinged, and how long the answer may take before the
   * connection counts as dead, in milliseconds.
   *
   * @default 10000
   */
  readonly pingMs?: number
  /** The WebSocket to use where there is none. @default that of the browser */
  readonly webSocketImpl?: unknown
}

/** Subscriptions that outlive the connection that they go over. */
export interface Live {
  /**
   * Subscribes, for as long as the server has something to say. Whatever ends that before is an `Error`.
   *
   * @returns what ends the subscription from here
   */
  subscribe<Data, Extensions>(
    request: SubscribePayload,
    sink: Sink<FormattedExecutionResult<Data, Extensions>>,
  ): () => void
  /**
   * Reads something on each connection, after everything was subscribed to: what was missed in between, where no cursor
   * tells. What subscriptions bring meanwhile is given after the reading, as its answer may be older.
   *
   * @returns what ends that
   */
  readOnConnection(read: () => Promise<unknown>): () => void
  /** Closes the connection for good. */
  close(): void
}

/**
 * Connects when it is needed, and again for as long as it takes. A subscription that has a variable `$after` and
 * selects `cursor` goes on after the last event that it has given. An event that comes again, if it selects `seq` and
 * the `id` of its run, is left out.
 *
 * @param url where GraphQL is, such as `http://127.0.0.1:4000/graphql`
 */
export function createLive(url: string, options: LiveOptions = {}): Live {
  const client = connect(url, options)
  const held = createHeld()
  let connected = false
  client.on('connected', () => {
    connected = true
  })
  client.on('closed', () => {
    connected = false
  })
  return {
    subscribe: (request, sink) => {
      const ending = new AbortController()
      const unsubscribe = client.subscribe(...afterLastEvent(request, held.sink(sink, ending.signal)))
      return () => {
        ending.abort()
        unsubscribe()
      }
    },
    readOnConnection: (read) => {
      if (connected) held.until(read())
      // The client has the same news at the same moment, and sends its subscriptions then: this comes after it.
      return client.on('connected', () => setTimeout(() => held.until(read())))
    },
    close: () => void client.dispose(),
  }
}

function connect(url: string, { pingMs = 10_000, webSocketImpl }: LiveOptions) {
  let silence: ReturnType<typeof setTimeout> | undefined
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl,
    retryAttempts: Infinity,
    // A browser that cannot connect does not tell why: that, too, may be over in a moment.
    shouldRetry: () => true,
    // Everybody who was connected to a server that is gone comes at another moment.
    retryWait: (failures) => {
      const wait = Math.min(500 * 2 ** failures, LONGEST_WAIT_MS)
      return new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random())))
    },
    // Components that are unmounted and mounted again, as React's StrictMode does, keep one connection.
    lazyCloseTimeout: 1_000,
    keepAlive: pingMs,
    on: {
      // A network that is gone says nothing, and a browser may take minutes to notice.
      ping: (received) => {
        if (!received) silence = setTimeout(() => client.terminate(), pingMs)
      },
      pong: (received) => {
        if (received) clearTimeout(silence)
      },
      closed: () => clearTimeout(silence),
    },
  })
  return client
}

/** Keeps back what subscriptions bring while something is read. */
function createHeld() {
  let readings = 0
  const waiting: (() => void)[] = []
  const release = (): void => {
    readings--
    while (readings === 0 && waiting.length > 0) waiting.shift()?.()
  }
  return {
    sink: <T>(sink: Sink<T>, ended: AbortSignal): Sink<T> => {
      const give = (deliver: () => void): void => {
        if (readings === 0) deliver()
        else waiting.push(() => ended.aborted || deliver())
      }
      return {
        next: (value) => give(() => sink.next(value)),
        error: (error) => give(() => sink.error(error)),
        complete: () => give(() => sink.complete()),
      }
    },
    until: (reading: Promise<unknown>): void => {
      readings++
      void reading.then(release, release)
    },
  }
}
