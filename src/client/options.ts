import { KernClientError } from './errors.ts'
import type { Fresh } from './http.ts'
import type { Retry } from './reconnect.ts'
import type { WebSocketClass } from './socket.ts'

export interface KernClientOptions {
  /** Where GraphQL is, such as `https://example.com/graphql`; in a page also relative to it. */
  readonly url: string
  /**
   * How events come: over WebSockets (`ws`), over HTTP (`sse`), or over WebSockets until they turn out to be blocked, by a
   * proxy for example, while the server answers over HTTP (`auto`). Over HTTP each watch has a connection of its own, of
   * which browsers open six to a server that has no HTTP/2. @default 'auto'
   */
  readonly transport?: 'auto' | 'ws' | 'sse' | undefined
  /** @default the global WebSocket; without one, events come over HTTP */
  readonly webSocket?: WebSocketClass | undefined
  /** @default the global fetch */
  readonly fetch?: typeof globalThis.fetch | undefined
  /** What each HTTP request is sent with, such as `authorization`. @default nothing */
  readonly headers?: Fresh<Readonly<Record<string, string>>> | undefined
  /** What each WebSocket says hello with: pages cannot give it headers. @default nothing */
  readonly connectionParams?: Fresh<Readonly<Record<string, unknown>>> | undefined
  /** How many connections in a row may fail before a watch does. @default Infinity */
  readonly retries?: number | undefined
  /** The longest wait before a first retry, in milliseconds; doubled by each that fails. @default 500 */
  readonly retryMs?: number | undefined
  /** The longest wait before any retry, in milliseconds. @default 20_000 */
  readonly maxRetryMs?: number | undefined
  /** How long a WebSocket may take to open, in milliseconds. @default 5_000 */
  readonly openTimeoutMs?: number | undefined
  /**
   * After how many milliseconds without a sign of life a connection is taken for dead. The server gives one every 12
   * seconds over HTTP, and over a WebSocket when it is asked. @default 30_000
   */
  readonly silenceMs?: number | undefined
  /**
   * How many events wait for a loop that is slower than the server. With more, or with 4 MiB of them, the connection is
   * given up, and made anew when they are taken. @default 1_000
   */
  readonly maxBufferedEvents?: number | undefined
  /** Called when a watch has lost its connection and will make another, so that a page can say so. @default nothing */
  readonly onRetry?: ((retry: Retry) => void) | undefined
}

/** What a client works with. */
export type Settings = ReturnType<typeof settingsOf>

const TRANSPORTS = ['auto', 'ws', 'sse']

/** The longest time of a timer, in milliseconds; a longer one would be over at once. */
const LONGEST_MS = 2_147_483_647

/** @throws KernClientError OPTION_INVALID */
export function settingsOf(options: KernClientOptions) {
  const { retries = Infinity, transport = 'auto' } = options
  const numbers = {
    retryMs: options.retryMs ?? 500,
    maxRetryMs: options.maxRetryMs ?? 20_000,
    openTimeoutMs: options.openTimeoutMs ?? 5_000,
    silenceMs: options.silenceMs ?? 30_000,
    maxBufferedEvents: options.maxBufferedEvents ?? 1_000,
  }
  for (const [name, value] of Object.entries(numbers)) {
    if (!(value >= 1 && value <= LONGEST_MS)) throw invalid(name, value, `a number from 1 to ${LONGEST_MS}`)
  }
  if (!(retries >= 0)) throw invalid('retries', retries, 'a number from 0 on')
  if (!TRANSPORTS.includes(transport)) throw invalid('transport', transport, TRANSPORTS.join(', '))
  return { ...numbers, retries, transport, url: resolved(options.url), onRetry: options.onRetry }
}

function invalid(name: string, value: unknown, allowed: string): KernClientError {
  return new KernClientError('OPTION_INVALID', `${name} is ${String(value)}: allowed is ${allowed}`)
}

function resolved(url: string): string {
  // Only pages have a place, and only where there is one do the types know of it.
  const { location } = globalThis as { readonly location?: { readonly href: string } }
  if (URL.canParse(url, location?.href)) {
    const { href } = new URL(url, location?.href)
    if (href.startsWith('http')) return href
  }
  throw invalid('url', url, 'that of GraphQL, with http: or https:')
}
