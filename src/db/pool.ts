import postgres from 'postgres'
import { KernError } from '../errors.ts'
import { parseArray } from './array.ts'
import { limited } from './deadline.ts'

export interface PoolOptions {
  /** `postgres://user:password@host:port/database?option=value` */
  readonly url: string
  /** Connections at the same time. */
  readonly maxConnections: number
  /** How long a statement or transaction may take, the wait for a free connection included, in milliseconds. */
  readonly deadlineMs: number
}

/** The driver, with one connection. */
export type Client = postgres.Sql<Record<never, never>>

/** A connection that one user has for itself. Once it is lost nothing may be sent on it. */
export interface Connection {
  readonly client: Client
  readonly openedAt: number
  lost: boolean
}

/** The connections to a server. */
export interface Pool {
  /**
   * Runs `work` with a connection of its own.
   *
   * @param what what it does, for the error
   * @throws KernError UNAVAILABLE if there is no free connection, or `work` does not end, within the deadline
   */
  use<T>(what: string, work: (connection: Connection) => Promise<T>): Promise<T>
  /** Where the connections lead to, without a password. */
  describe(): string
  /** Ends all connections: idle ones at once, the others when they are free, but at the latest after five seconds. */
  close(): Promise<void>
}

const CONNECT_TIMEOUT_S = 5
const CLOSE_TIMEOUT_MS = 5_000
/** Servers and what stands before them leak a little for each connection, so none lives for ever. */
const MAX_AGE_MS = 1_800_000

/** The connections that are open. */
function createConnections(options: PoolOptions) {
  const all = new Set<Connection>()
  let emptied = (): void => {}

  function drop(connection: Connection, timeoutS = 0): void {
    connection.lost = true
    if (!all.delete(connection)) return
    void connection.client.end({ timeout: timeoutS }).catch(() => {})
    if (all.size === 0) emptied()
  }

  return {
    count: () => all.size,
    open(): Connection {
      const connection: Connection = {
        // The callback runs when the connection ends, and so not before this statement.
        client: createClient(options, () => {
          connection.lost = true
        }),
        openedAt: performance.now(),
        lost: false,
      }
      all.add(connection)
      return connection
    },
    /** Ends a connection; what it is doing has `timeoutS` seconds to end before. May be called twice. */
    drop,
    /** Waits until all were dropped, and drops what is left after `ms`. */
    async ended(ms: number): Promise<void> {
      if (all.size === 0) return
      const empty = new Promise<void>((resolve) => {
        emptied = resolve
      })
      await limited(empty, { ms, what: 'closing the database' }).catch(() => {})
      for (const connection of all) drop(connection)
    },
  }
}

/** Those who wait for a connection, first come, first served. */
function createQueue({ maxConnections, deadlineMs }: PoolOptions) {
  let waiters: PromiseWithResolvers<Connection>[] = []
  return {
    wait(): Promise<Connection> {
      const waiter = Promise.withResolvers<Connection>()
      const timer = setTimeout(() => {
        waiters = waiters.filter((other) => other !== waiter)
        const busy = `all ${maxConnections} connections to the database were in use`
        waiter.reject(new KernError('UNAVAILABLE', `${busy} for ${deadlineMs} ms`))
      }, deadlineMs)
      waiters.push(waiter)
      return waiter.promise.finally(() => clearTimeout(timer))
    },
    /** Who is next, and must be given a connection; undefined if nobody waits. */
    next: () => waiters.shift(),
    /** Sends everybody away. */
    refuse(error: KernError): void {
      for (const waiter of waiters) waiter.reject(error)
      waiters = []
    },
  }
}

/**
 * A pool over drivers with one connection each. The driver's own pool is not used, because it goes on with a transaction
 * whose connection was lost: it writes to the closed socket, which ends the process. Here a connection that was lost, or
 * that let a deadline pass, is dropped with its driver, and never used again.
 */
export function createPool(options: PoolOptions): Pool {
  const { maxConnections, deadlineMs } = options
  const connections = createConnections(options)
  const queue = createQueue(options)
  let idle: Connection[] = []
  let closing: Promise<void> | undefined

  function acquire(): Promise<Connection> {
    if (closing) return Promise.reject(closed())
    for (let found = idle.pop(); found; found = idle.pop()) {
      if (!found.lost) return Promise.resolve(found)
      connections.drop(found)
    }
    return connections.count() < maxConnections ? Promise.resolve(connections.open()) : queue.wait()
  }

  function release(connection: Connection): void {
    const old = performance.now() - connection.openedAt > MAX_AGE_MS
    if (connection.lost || old || closing) connections.drop(connection, CLOSE_TIMEOUT_MS / 1_000)
    if (closing) return
    const next = queue.next()
    if (next) next.resolve(connection.lost ? connections.open() : connection)
    else if (!connection.lost) idle.push(connection)
  }

  /** What one dead connection shows is likely true of those that slept beside it. */
  function expire(connection: Connection): void {
    for (const dead of [connection, ...idle]) connections.drop(dead)
    idle = []
  }

  async function close(): Promise<void> {
    queue.refuse(closed())
    for (const connection of idle) connections.drop(connection, CLOSE_TIMEOUT_MS / 1_000)
    await connections.ended(CLOSE_TIMEOUT_MS)
  }

  return {
    use: async (what, work) => {
      const begin = performance.now()
      const connection = await acquire()
      const ms = Math.max(0, Math.ceil(deadlineMs - (performance.now() - begin)))
      try {
        return await limited(work(connection), { ms, what, onExpired: () => expire(connection) })
      } finally {
        release(connection)
      }
    },
    describe: () => describeServer(options),
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

const closed = () => new KernError('UNAVAILABLE', 'the database was closed')

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

function createClient({ url, deadlineMs }: PoolOptions, onclose: () => void): Client {
  // The server gives up first, so that a deadline that strikes means a connection that is dead without knowing it.
  const serverTimeout = Math.ceil(deadlineMs * 0.8)
  return postgres(url, {
    max: 1,
    // It would end connections in the middle of a transaction, as the driver does not know of ours.
    max_lifetime: null,
    connect_timeout: CONNECT_TIMEOUT_S,
    prepare: true,
    types: TYPES,
    fetch_types: false,
    onnotice: () => {},
    onclose,
    connection: {
      application_name: 'kern',
      TimeZone: 'UTC',
      DateStyle: 'ISO',
      statement_timeout: serverTimeout,
      idle_in_transaction_session_timeout: serverTimeout,
    },
  })
}

function describeServer(options: PoolOptions): string {
  // A driver reads the URL and connects only when it is asked for something.
  const { host, port, database, user } = createClient(options, () => {}).options
  const hosts = host.map((name, index) => `${name}:${port[index] ?? port[0]}`).join(',')
  return `Postgres at ${hosts}, database ${database}, user ${user}`
}
