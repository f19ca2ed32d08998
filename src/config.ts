import { MAX_DURABLE_MS } from './clock.ts'
import { KernError, shown } from './errors.ts'
import { duration, invalid, list, matching, oneOf, type Read, timeZone, whole } from './settings.ts'

/* ------------------------------------------------------------------ where the database is */

/** Which database to use, as `pglite`, `pglite.memory` and `postgres` make it. */
export type DatabaseUrl =
  | { readonly kind: 'pglite'; readonly folder: string }
  | { readonly kind: 'memory' }
  | { readonly kind: 'postgres'; readonly url: string; readonly maxConnections: number }

/** How Kern uses a Postgres server. */
export interface PostgresSettings {
  /**
   * Connections at the same time for everything but heartbeats and the journal of runs, which have two more: a process
   * has up to `maxConnections + 2`.
   *
   * @default 10
   */
  readonly maxConnections?: number | undefined
}

const MEMORY: DatabaseUrl = Object.freeze({ kind: 'memory' })
const MAX_CONNECTIONS = 10

function embedded(folder: string): DatabaseUrl {
  if (typeof folder !== 'string' || folder.trim() === '' || folder.includes('\0')) {
    throw invalid('folder', folder, 'the path of a folder')
  }
  return Object.freeze({ kind: 'pglite', folder })
}

/**
 * An embedded Postgres whose data is in a folder, which is created if it does not exist. One process at a time can use
 * it. `pglite.memory()` is one that is gone with the process.
 *
 * @throws KernError CONFIG_INVALID if the path is empty
 */
export const pglite = Object.freeze(Object.assign(embedded, { memory: (): DatabaseUrl => MEMORY }))

/**
 * A Postgres server, version 15 or later.
 *
 * @param url `postgres://user:password@host:port/database`
 * @throws KernError CONFIG_INVALID if the URL is malformed
 */
export function postgres(url: string, { maxConnections = MAX_CONNECTIONS }: PostgresSettings = {}): DatabaseUrl {
  if (typeof url !== 'string' || !/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw invalid('url', withoutPassword(url), 'postgres://user:password@host:port/database')
  }
  return Object.freeze({ kind: 'postgres', url, maxConnections: whole(1, 1_000)('maxConnections', maxConnections) })
}

/**
 * The `db` of an author, who may not have the compiler's help.
 *
 * @throws KernError CONFIG_INVALID if it is not as `pglite`, `pglite.memory` and `postgres` make it
 */
export function checkedDatabase(db: unknown): DatabaseUrl {
  const given = namedDatabase(db)
  if (given) return given
  throw invalid('db', withoutPassword(db), 'what pglite(folder), pglite.memory() or postgres(url) gives')
}

/* ------------------------------------------------------------------ settings */

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
/** What a process does: everything; accepts and answers, but executes nothing; or executes, and serves its health only. */
export type Role = (typeof ROLES)[number]

const ROLES = ['all', 'api', 'worker'] as const
const LOG_FORMATS = ['auto', 'json', 'pretty'] as const

/** The settings of a Kern server. */
export interface KernConfig {
  /** The TCP port to listen on, 0 for any free one. @default 4000 */
  readonly port: number
  /** The address to listen on. @default '127.0.0.1' */
  readonly host: string
  /** Where everything is stored. @default pglite('.kern/data') */
  readonly databaseUrl: DatabaseUrl
  /** Files, or folders of files, that export workflows. @default [] */
  readonly workflows: readonly string[]
  /** The least severe log lines that are written. @default 'info' */
  readonly logLevel: (typeof LOG_LEVELS)[number]
  /** How log lines look; `auto` is `pretty` on a terminal and `json` elsewhere. @default 'auto' */
  readonly logFormat: (typeof LOG_FORMATS)[number]
  /** How many runs this process executes at the same time. @default 100 */
  readonly concurrency: number
  /** What this process does. An embedded database allows `all` only. @default 'all' */
  readonly role: Role
  /** How long running steps may go on when the process stops, in milliseconds. @default 30_000 */
  readonly drainMs: number
  /**
   * How long runs of workflows that do not say so themselves are kept after their end, in milliseconds; null for ever.
   *
   * @default null
   */
  readonly retentionMs: number | null
  /** The IANA time zone of times in generated session names. @default 'UTC' */
  readonly timeZone: string
  /** Origins, such as `https://example.com`, whose pages may call besides the server's own. @default [] */
  readonly allowedOrigins: readonly string[]
  /** How many WebSockets and event streams there may be. @default 20_000 */
  readonly maxSockets: number
  /** How many subscriptions a WebSocket may have. @default 50 */
  readonly maxSubscriptionsPerSocket: number
  /** How many live events may wait for a client that is slow to read. @default 1_000 */
  readonly maxBufferedEvents: number
  /** How many bytes of them. @default 1_048_576 */
  readonly maxBufferedBytes: number
  /** The largest message of a WebSocket client, in bytes. @default 65_536 */
  readonly maxMessageBytes: number
  /** How often clients are pinged, in milliseconds. @default 12_000 */
  readonly pingMs: number
}

export const DEFAULTS = {
  port: 4000,
  host: '127.0.0.1',
  databaseUrl: pglite('.kern/data'),
  workflows: [],
  logLevel: 'info',
  logFormat: 'auto',
  concurrency: 100,
  role: 'all',
  drainMs: 30_000,
  retentionMs: null,
  timeZone: 'UTC',
  allowedOrigins: [],
  maxSockets: 20_000,
  maxSubscriptionsPerSocket: 50,
  maxBufferedEvents: 1_000,
  maxBufferedBytes: 1_048_576,
  maxMessageBytes: 65_536,
  pingMs: 12_000,
} as const satisfies KernConfig

/** Settings that stand above the environment, as values or as the text that the environment would have. */
export type ConfigOverrides = {
  readonly [Name in keyof KernConfig]?: KernConfig[Name] | string | undefined
}

/** Names and values as the process got them. */
export type Environment = Readonly<Record<string, string | undefined>>

interface Setting<Value> {
  /** The variable of the environment. */
  readonly variable: string
  readonly read: Read<Value>
}

const SETTINGS: { readonly [Name in keyof KernConfig]: Setting<KernConfig[Name]> } = {
  port: { variable: 'PORT', read: whole(0, 65_535) },
  host: { variable: 'HOST', read: matching(/^[\w.:%-]+$/, 'a host name or an IP address') },
  databaseUrl: { variable: 'DATABASE_URL', read: database },
  workflows: { variable: 'KERN_WORKFLOWS', read: list(/./, 'paths of files or folders') },
  logLevel: { variable: 'LOG_LEVEL', read: oneOf(LOG_LEVELS) },
  logFormat: { variable: 'LOG_FORMAT', read: oneOf(LOG_FORMATS) },
  concurrency: { variable: 'KERN_CONCURRENCY', read: whole(1, 10_000) },
  role: { variable: 'KERN_ROLE', read: oneOf(ROLES) },
  drainMs: { variable: 'KERN_DRAIN', read: duration },
  retentionMs: { variable: 'KERN_RETENTION', read: checkedAge },
  timeZone: { variable: 'KERN_TIME_ZONE', read: timeZone },
  allowedOrigins: {
    variable: 'KERN_ALLOWED_ORIGINS',
    read: list(/^https?:\/\/[^/\s]+$/, 'origins, such as https://example.com'),
  },
  maxSockets: { variable: 'KERN_MAX_SOCKETS', read: whole(1, 10_000_000) },
  maxSubscriptionsPerSocket: { variable: 'KERN_MAX_SUBSCRIPTIONS', read: whole(1, 10_000_000) },
  maxBufferedEvents: { variable: 'KERN_MAX_BUFFERED_EVENTS', read: whole(1, 10_000_000) },
  maxBufferedBytes: { variable: 'KERN_MAX_BUFFERED_BYTES', read: whole(1, 1_073_741_824) },
  maxMessageBytes: { variable: 'KERN_MAX_MESSAGE_BYTES', read: whole(1, 1_073_741_824) },
  pingMs: { variable: 'KERN_PING', read: ping },
}

/**
 * Reads the settings: overrides before the environment, the environment before the defaults.
 *
 * @param env the environment; of the process if left out
 * @throws KernError CONFIG_INVALID for a malformed value, and for a variable or override that there is no setting for
 */
export function readConfig(env: Environment = process.env, overrides: ConfigOverrides = {}): KernConfig {
  refuseUnknown(env, overrides)
  const setting = <Name extends keyof KernConfig>(name: Name): KernConfig[Name] => {
    const { variable, read } = SETTINGS[name]
    const given = overrides[name]
    if (given !== undefined) return read(name, given)
    const text = env[variable]
    return text === undefined ? DEFAULTS[name] : read(variable, text)
  }
  return Object.freeze({
    port: setting('port'),
    host: setting('host'),
    databaseUrl: setting('databaseUrl'),
    workflows: setting('workflows'),
    logLevel: setting('logLevel'),
    logFormat: setting('logFormat'),
    concurrency: setting('concurrency'),
    role: setting('role'),
    drainMs: setting('drainMs'),
    retentionMs: setting('retentionMs'),
    timeZone: setting('timeZone'),
    allowedOrigins: setting('allowedOrigins'),
    maxSockets: setting('maxSockets'),
    maxSubscriptionsPerSocket: setting('maxSubscriptionsPerSocket'),
    maxBufferedEvents: setting('maxBufferedEvents'),
    maxBufferedBytes: setting('maxBufferedBytes'),
    maxMessageBytes: setting('maxMessageBytes'),
    pingMs: setting('pingMs'),
  })
}

function refuseUnknown(env: Environment, overrides: ConfigOverrides): void {
  const variables = Object.values(SETTINGS).map(({ variable }) => variable)
  for (const name of Object.keys(env)) {
    if (name.startsWith('KERN_') && env[name] !== undefined && !variables.includes(name)) {
      throw new KernError('CONFIG_INVALID', `${name} is not a setting of Kern: allowed are ${variables.join(', ')}`)
    }
  }
  for (const name of Object.keys(overrides)) {
    if (!Object.hasOwn(SETTINGS, name)) {
      const allowed = Object.keys(SETTINGS).join(', ')
      throw new KernError('CONFIG_INVALID', `${shown(name)} is not a setting of Kern: allowed are ${allowed}`)
    }
  }
}

/**
 * The role of an author, who may not have the compiler's help.
 *
 * @throws KernError CONFIG_INVALID, also for a role in which an embedded database would be of no use
 */
export function checkedRole(role: unknown, database: DatabaseUrl['kind']): Role {
  const checked = role === undefined ? DEFAULTS.role : oneOf(ROLES)('role', role)
  if (checked !== 'all' && database !== 'postgres') {
    throw new KernError(
      'CONFIG_INVALID',
      `role is "${checked}": allowed is "all" with an embedded database, as only one process can have that open`,
    )
  }
  return checked
}

/* ------------------------------------------------------------------ kinds of values */

/** How old a run must be to be deleted, in milliseconds. @throws KernError CONFIG_INVALID */
export function checkedAge(name: string, value: unknown): number {
  return duration(name, value, MAX_DURABLE_MS)
}

function ping(name: string, value: unknown): number {
  const ms = duration(name, value)
  // More often than this, clients that are alive have no time to answer.
  if (ms < 1_000 || ms > 2_147_483_647) throw invalid(name, value, 'a time from 1s to 24 days')
  return ms
}

function database(name: string, value: unknown): DatabaseUrl {
  const allowed = 'pglite:<folder>, pglite:memory, postgres://… or postgresql://…'
  const given = namedDatabase(value)
  if (given) return given
  if (value === 'pglite:memory') return MEMORY
  const folder = typeof value === 'string' ? /^pglite:(.*[^\s].*)$/.exec(value)?.[1] : undefined
  if (folder !== undefined) return pglite(folder)
  if (typeof value === 'string' && /^postgres(ql)?:\/\//.test(value) && URL.canParse(value)) return postgres(value)
  throw invalid(name, withoutPassword(value), allowed)
}

/** By its shape: another copy of Kern may have made it. */
function namedDatabase(value: unknown): DatabaseUrl | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return undefined
  if (value.kind === 'memory') return MEMORY
  if (value.kind === 'pglite' && 'folder' in value && typeof value.folder === 'string') return pglite(value.folder)
  if (value.kind !== 'postgres' || !('url' in value) || typeof value.url !== 'string') return undefined
  const maxConnections = 'maxConnections' in value ? whole(1, 1_000)('maxConnections', value.maxConnections) : undefined
  return postgres(value.url, { maxConnections })
}

/** Whatever stands where a password may stand is hidden, also in text that is no URL. */
function withoutPassword(value: unknown): unknown {
  if (typeof value !== 'string') return typeof value
  const hidden = value.replace(/^([a-z+]*:\/\/)?.*@/is, '$1***@').replace(/(pass\w*=)[^\s&]*/gi, '$1***')
  // Without the `@` of a host, what looks like a port may be a password.
  return hidden.replace(/^([a-z+]*:\/\/[^:/@]*):[^/@]*(?=\/|$)/i, '$1:***')
}
