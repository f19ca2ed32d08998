import postgres from 'postgres'
import { parseArray } from './array.ts'
import { limited } from './deadline.ts'
import { createSockets, type Sockets } from './socket.ts'

export interface ConnectOptions {
  /** `postgres://user:password@host:port/database?option=value` */
  readonly url: string
  /** How long a statement may take, the wait for a free connection included, in milliseconds. */
  readonly deadlineMs: number
  /** Settings of the server for these connections. */
  readonly settings?: Readonly<Record<string, string>> | undefined
}

/** The driver, with one connection. */
export type Client = postgres.Sql<Record<never, never>>

/** A connection that one user has for itself. Once it is lost nothing may be sent on it. */
export interface Connection {
  readonly client: Client
  readonly openedAt: number
  lost: boolean
  /** Resolves when the server has taken it; rejects with what the server or the network said. */
  readonly ready: Promise<void>
  /** Ends it; what it is doing has `timeoutS` seconds to end before. */
  end(timeoutS: number): void
}

/** The part of a deadline that the server has: one that strikes then means a connection that is dead without knowing it. */
const SERVER_SHARE = 0.8
/** How long connecting may take: some round trips, more than statements need, on links that are slow. */
const CONNECT_MS = 4_000

/** Begins to connect. */
export function openConnection(options: ConnectOptions): Connection {
  const sockets = createSockets()
  // A failure that the driver keeps to itself, as it does where there are several hosts.
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => {})
  const open: Sockets['open'] = (target) =>
    sockets.open(target).catch((error: unknown) => {
      failed.reject(error)
      throw error
    })
  // The callback runs when the connection ends, and so not before this statement.
  const client = createClient(options, {
    socket: open,
    onclose: () => {
      connection.lost = true
    },
  })
  const taken = Promise.race([failed.promise, client.unsafe('select 1')])
  const connection: Connection = {
    client,
    openedAt: performance.now(),
    lost: false,
    ready: limited(taken, {
      ms: Math.min(CONNECT_MS, options.deadlineMs * SERVER_SHARE),
      what: 'connecting to the database',
    }).then(() => {}),
    end(timeoutS) {
      connection.lost = true
      void client
        .end({ timeout: timeoutS })
        .catch(() => {})
        .finally(sockets.destroy)
    },
  }
  return connection
}

const asText = (value: string): string => value
const timeText = (value: unknown): unknown => (value instanceof Date ? value.toISOString() : value)
const arrayOf = (parse: (element: string) => unknown) => ({
  serialize: (text: unknown): unknown => text,
  parse: (text: string): unknown => parseArray(text, parse),
})

/**
 * How the driver reads and writes types, by their OIDs. `json` and times pass through as text: Kern reads json itself,
 * and Drizzle's columns read the times. Arrays are listed, because the driver would ask the server for them on each new
 * connection, and nobody handles the error if that connection is lost before the answer.
 */
const TYPES = {
  json: { to: 114, from: [114], serialize: asText, parse: asText },
  time: { to: 1184, from: [1082, 1083, 1114, 1184], serialize: timeText, parse: asText },
  // json, name, char, text, varchar, timestamp, date, time, timestamptz, uuid
  texts: { to: 1009, from: [199, 1003, 1014, 1009, 1015, 1115, 1182, 1183, 1185, 2951], ...arrayOf(asText) },
  // int2, int4, float4, float8
  numbers: { to: 1007, from: [1005, 1007, 1021, 1022], ...arrayOf(Number) },
  booleans: { to: 1000, from: [1000], ...arrayOf((element) => element === 't') },
}

interface ClientHooks {
  readonly socket: Sockets['open']
  readonly onclose: () => void
}

function createClient({ url, deadlineMs, settings: own }: ConnectOptions, hooks: ClientHooks): Client {
  const serverTimeout = Math.ceil(deadlineMs * SERVER_SHARE)
  // The driver takes `socket`, which its types leave out: so this is not a literal in the call.
  const settings = {
    max: 1,
    // It would end connections in the middle of a transaction, as the driver does not know of ours.
    max_lifetime: null,
    // `ready` has a limit of its own, and this one counts whole seconds.
    connect_timeout: Math.ceil(CONNECT_MS / 1_000),
    prepare: true,
    types: TYPES,
    fetch_types: false,
    onnotice: () => {},
    connection: {
      application_name: 'kern',
      TimeZone: 'UTC',
      DateStyle: 'ISO',
      statement_timeout: serverTimeout,
      idle_in_transaction_session_timeout: serverTimeout,
      // Statements that follow a lock rely on seeing what was committed before they began, whatever the role's default is.
      default_transaction_isolation: 'read committed' as const,
      ...own,
    },
    ...hooks,
  }
  return postgres(url, settings)
}

/** Where a URL leads to, as the driver reads it, without a password. */
export function describeServer(options: ConnectOptions): string {
  // A driver reads the URL and connects only when it is asked for something.
  const { host, port, database, user } = createClient(options, {
    socket: createSockets().open,
    onclose: () => {},
  }).options
  const hosts = host.map((name, index) => `${name}:${port[index] ?? port[0]}`).join(',')
  return `Postgres at ${hosts}, database ${database}, user ${user}`
}
