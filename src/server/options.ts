import { DEFAULTS as CONFIG } from '../config.ts'
import { KernError, shown } from '../errors.ts'

export interface ServerOptions {
  /** The port; 0 for any that is free. @default 4000 */
  readonly port?: number
  /**
   * The address to listen on. On a loopback address only requests to `localhost`, `127.0.0.1`, `[::1]` and the address
   * itself are answered.
   *
   * @default '127.0.0.1'
   */
  readonly host?: string
  /** Origins, such as `https://example.com`, whose pages may call besides the server's own. @default [] */
  readonly allowedOrigins?: readonly string[]
  /** The largest body of an HTTP request, in bytes. @default 2_097_152 */
  readonly maxRequestBytes?: number
  /** The largest message of a WebSocket client, in bytes; a larger one closes the socket with 1009. @default 65_536 */
  readonly maxMessageBytes?: number
  /** How long a WebSocket client may take to say hello, in milliseconds; then it is closed with 4408. @default 3_000 */
  readonly initTimeoutMs?: number
  /**
   * How often clients of WebSockets and event streams are pinged, in milliseconds. A WebSocket that has not answered
   * before the next ping is cut.
   *
   * @default 12_000
   */
  readonly pingMs?: number
  /** How long running requests are given to end when the server closes, in milliseconds. @default 10_000 */
  readonly graceMs?: number
  /**
   * How many bytes of live events may wait for a client that is slow to read. Beyond that its WebSocket is closed with
   * 4410, and its event stream is cut: it may subscribe again with `after`, and is then served at its own pace.
   *
   * @default 1_048_576
   */
  readonly maxBufferedBytes?: number
  /** How many live events may wait for a client that is slow to read. Beyond that as for bytes. @default 1_000 */
  readonly maxBufferedEvents?: number
  /**
   * How long a client may read nothing at all while something waits for it, in milliseconds; then as for bytes. Looked at
   * with every ping.
   *
   * @default 30_000
   */
  readonly stalledMs?: number
  /** How long a WebSocket client that was too slow may take to read why, in milliseconds; then it is cut. @default 5_000 */
  readonly closeMs?: number
  /** How many subscriptions a WebSocket may have; one more is refused with LIMIT_EXCEEDED. @default 50 */
  readonly maxSubscriptionsPerSocket?: number
  /**
   * How many WebSockets and event streams there may be; one more is refused with status 503 and the code LIMIT_EXCEEDED.
   *
   * @default 20_000
   */
  readonly maxSockets?: number
  /**
   * How many of them one viewer with a `userId` may have; one more is refused with status 429 and the code LIMIT_EXCEEDED.
   *
   * @default 200
   */
  readonly maxSocketsPerViewer?: number
}

export type ServerSettings = Required<ServerOptions>

const DEFAULTS = {
  port: CONFIG.port,
  host: CONFIG.host,
  allowedOrigins: CONFIG.allowedOrigins,
  // A value may have 1 MiB; a request holds one, its document, and metadata.
  maxRequestBytes: 2_097_152,
  maxMessageBytes: CONFIG.maxMessageBytes,
  initTimeoutMs: 3_000,
  pingMs: CONFIG.pingMs,
  graceMs: 10_000,
  maxBufferedBytes: CONFIG.maxBufferedBytes,
  maxBufferedEvents: CONFIG.maxBufferedEvents,
  stalledMs: 30_000,
  closeMs: 5_000,
  maxSubscriptionsPerSocket: CONFIG.maxSubscriptionsPerSocket,
  maxSockets: CONFIG.maxSockets,
  maxSocketsPerViewer: 200,
} satisfies ServerSettings

/** The longest time that a timer of Node can wait, in milliseconds: with a longer one it does not wait at all. */
const MAX_MS = 2_147_483_647
const MAX_BYTES = 1_073_741_824
const MAX_COUNT = 10_000_000

/** The least and the greatest that a number may be. */
const RANGES = {
  port: [0, 65_535],
  maxRequestBytes: [1, MAX_BYTES],
  maxMessageBytes: [1, MAX_BYTES],
  initTimeoutMs: [1, MAX_MS],
  pingMs: [1, MAX_MS],
  graceMs: [0, MAX_MS],
  maxBufferedBytes: [1, MAX_BYTES],
  maxBufferedEvents: [1, MAX_COUNT],
  stalledMs: [1, MAX_MS],
  closeMs: [1, MAX_MS],
  maxSubscriptionsPerSocket: [1, MAX_COUNT],
  maxSockets: [1, MAX_COUNT],
  maxSocketsPerViewer: [1, MAX_COUNT],
} as const satisfies Partial<Record<keyof ServerOptions, readonly [number, number]>>

/** @throws KernError CONFIG_INVALID for a number that is none, or out of range */
export function settingsOf(options: ServerOptions = {}): ServerSettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const settings: ServerSettings = { ...DEFAULTS, ...Object.fromEntries(given) }
  for (const [name, [least, greatest]] of Object.entries(RANGES)) {
    // `as`: these are the names of the ranges.
    const value: unknown = settings[name as keyof typeof RANGES]
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= greatest) continue
    const allowed = `a whole number from ${least} to ${greatest}`
    throw new KernError('CONFIG_INVALID', `${name} is ${shown(value)}: allowed is ${allowed}`)
  }
  return settings
}
