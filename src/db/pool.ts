import { KernError } from '../errors.ts'
import { type Connection, type ConnectOptions, describeServer, openConnection } from './connection.ts'
import { limited } from './deadline.ts'
import { asKernError, isUnavailable } from './errors.ts'

export interface PoolOptions extends ConnectOptions {
  /** Connections at the same time. */
  readonly maxConnections: number
}

/** What is to be done with a connection. */
export interface Use {
  /** For the error. */
  readonly what: string
  /** How long it may take, the wait for a connection included, in milliseconds. @default the pool's */
  readonly deadlineMs?: number
}

/** The connections to a server. */
export interface Pool {
  /**
   * Runs `work` with a connection of its own.
   *
   * @throws KernError UNAVAILABLE if there is no free connection, or `work` does not end, within the deadline
   */
  use<T>(use: Use, work: (connection: Connection) => Promise<T>): Promise<T>
  /** Ends a connection that let a deadline pass, and those that sleep. */
  expire(connection: Connection): void
  /** Where the connections lead to, without a password. */
  describe(): string
  /** Ends all connections: idle ones at once, the others when they are free, but at the latest after five seconds. */
  close(): Promise<void>
}

const CLOSE_TIMEOUT_MS = 5_000
/** Servers and what stands before them leak a little for each connection, so none lives for ever. */
const MAX_AGE_MS = 1_800_000
/** More than can be served in time, and few enough to hold in memory while a server is away. */
const MAX_WAITING = 10_000
/** How long to wait before connecting again where it failed: doubled each time, up to the longest. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

/** The connections that are open or being opened. */
function createConnections(options: PoolOptions) {
  const all = new Set<Connection>()
  let emptied = (): void => {}

  function drop(connection: Connection, timeoutS = 0): void {
    connection.lost = true
    if (!all.delete(connection)) return
    connection.end(timeoutS)
    if (all.size === 0) emptied()
  }

  return {
    count: () => all.size,
    open(): Connection {
      const connection = openConnection(options)
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
function createQueue() {
  const waiters = new Set<PromiseWithResolvers<Connection>>()
  return {
    length: () => waiters.size,
    /** @param late the error of who was not served within `ms` */
    wait(ms: number, late: () => KernError): Promise<Connection> {
      const waiter = Promise.withResolvers<Connection>()
      const timer = setTimeout(() => {
        waiters.delete(waiter)
        waiter.reject(late())
      }, ms)
      waiters.add(waiter)
      return waiter.promise.finally(() => clearTimeout(timer))
    },
    /** Gives a connection to who is next; false if nobody waits. */
    serve(connection: Connection): boolean {
      for (const waiter of waiters) {
        waiters.delete(waiter)
        waiter.resolve(connection)
        return true
      }
      return false
    },
    /** Sends everybody away. */
    refuse(error: unknown): void {
      for (const waiter of waiters) waiter.reject(error)
      waiters.clear()
    },
  }
}

/**
 * When to connect. A server that comes back must not be met by everybody at once: while connecting fails, one attempt is
 * made at a time, with pauses that grow and differ by chance.
 */
function createAttempts() {
  let failures = 0
  let retryAt = 0
  let last: unknown
  let underWay = 0
  let succeeded = false
  return {
    underWay: () => underWay,
    /** What the newest attempt failed with; undefined if it did not fail. */
    failure: () => last,
    /** How long to wait before the next one, in milliseconds; infinite while one is tried after a failure. */
    pause(): number {
      if (failures === 0) return 0
      return underWay > 0 ? Number.POSITIVE_INFINITY : Math.max(0, retryAt - performance.now())
    },
    begin(): void {
      underWay++
    },
    success(): void {
      underWay--
      failures = 0
      last = undefined
      succeeded = true
    },
    /** True if it is worth trying again. Before the first success, the address is likelier to be wrong than the server away. */
    failed(error: unknown): boolean {
      underWay--
      if (!succeeded || !isUnavailable(error)) return false
      last = error
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS)
      failures++
      retryAt = performance.now() + pause * (0.5 + Math.random() / 2)
      return true
    },
  }
}

/**
 * A pool over drivers with one connection each. The driver's own pool is not used, because it goes on with a transaction
 * whose connection was lost: it writes to the closed socket, which ends the process. Here a connection that was lost, or
 * that let a deadline pass, is dropped with its driver, and never used again.
 *
 * Who needs a connection while the server is away waits for it within the deadline: a short restart is only felt as a delay.
 */
export function createPool(options: PoolOptions): Pool {
  const { maxConnections } = options
  const connections = createConnections(options)
  const queue = createQueue()
  const attempts = createAttempts()
  let idle: Connection[] = []
  let growing: NodeJS.Timeout | undefined
  let closing: Promise<void> | undefined

  function acquire(deadlineMs: number): Promise<Connection> {
    if (closing) return Promise.reject(closed())
    for (let found = idle.pop(); found; found = idle.pop()) {
      if (!found.lost) return Promise.resolve(found)
      connections.drop(found)
    }
    if (queue.length() >= MAX_WAITING) return Promise.reject(unserved(0))
    const served = queue.wait(deadlineMs, () => unserved(deadlineMs))
    grow()
    return served
  }

  /** Opens connections for those who wait. */
  function grow(): void {
    clearTimeout(growing)
    while (!closing && queue.length() > attempts.underWay() && connections.count() < maxConnections) {
      const pause = attempts.pause()
      if (pause > 0) {
        if (Number.isFinite(pause)) growing = setTimeout(grow, pause)
        return
      }
      attempts.begin()
      void connect(connections.open())
    }
  }

  async function connect(connection: Connection): Promise<void> {
    try {
      await connection.ready
      attempts.success()
      release(connection)
    } catch (error) {
      connections.drop(connection)
      if (!attempts.failed(error)) queue.refuse(error)
    }
    grow()
  }

  function release(connection: Connection): void {
    const old = performance.now() - connection.openedAt > MAX_AGE_MS
    if (connection.lost || old || closing) connections.drop(connection, CLOSE_TIMEOUT_MS / 1_000)
    if (closing) return
    if (connection.lost) return grow()
    if (!queue.serve(connection)) idle.push(connection)
  }

  /** What one dead connection shows is likely true of those that slept beside it. */
  function expire(connection: Connection): void {
    for (const dead of [connection, ...idle]) connections.drop(dead)
    idle = []
  }

  function unserved(ms: number): KernError {
    const failure = attempts.failure()
    if (failure !== undefined) return asKernError(failure)
    return new KernError('UNAVAILABLE', `all ${maxConnections} connections to the database were in use for ${ms} ms`)
  }

  async function close(): Promise<void> {
    clearTimeout(growing)
    queue.refuse(closed())
    for (const connection of idle) connections.drop(connection, CLOSE_TIMEOUT_MS / 1_000)
    await connections.ended(CLOSE_TIMEOUT_MS)
  }

  return {
    use: async ({ what, deadlineMs = options.deadlineMs }, work) => {
      const begin = performance.now()
      const connection = await acquire(Math.min(deadlineMs, options.deadlineMs))
      const ms = Math.max(0, Math.ceil(deadlineMs - (performance.now() - begin)))
      try {
        return await limited(work(connection), { ms, what, onExpired: () => expire(connection) })
      } finally {
        release(connection)
      }
    },
    expire,
    describe: () => describeServer(options),
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

const closed = () => new KernError('UNAVAILABLE', 'the database was closed')
