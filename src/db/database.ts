import type { PGlite } from '@electric-sql/pglite'
import type { ListenOptions, Listener } from './listener.ts'
import type { Db } from './session.ts'

/**
 * Opens a connection of its own that is told of what is notified on a channel.
 *
 * @throws what the driver throws, KernError UNAVAILABLE if the server does not answer in time, or why it was ended
 */
export type Listen = (options: Omit<ListenOptions, 'url'>) => Promise<Listener>

/** How a library that brings statements of its own gets at the database. */
export type Driver =
  /** By connections of its own. */
  | { readonly kind: 'postgres'; readonly url: string }
  /** By the one connection that there is, which everybody shares: not inside a transaction of ours. */
  | { readonly kind: 'pglite'; readonly client: PGlite }

/** An open database. */
export interface Database extends AsyncDisposable {
  readonly kind: 'pglite' | 'postgres'
  /** The database through Drizzle: statements and transactions of all parts share its connections. */
  readonly db: Db
  /**
   * The same database on one connection of its own, for heartbeats only: nothing that is slow or stuck delays them.
   * Embedded databases have one connection only: there it is `db`.
   */
  readonly heartbeats: Db
  /**
   * The same database on two connections of its own, for the engine only: taking runs, and what else workers ask, however
   * many readers hold all others. Embedded databases have one connection only: there it is `db`.
   */
  readonly reserved: Db
  /** Connections for the flushes of the journal only, which have few statements and send each of them very often. */
  readonly journal: Db
  /**
   * Runs `work` on a connection of its own, without the deadline that statements otherwise have: for migrations and
   * whatever else takes long. Embedded databases have one connection only, and share it: whoever else waits for it has
   * a deadline as ever.
   */
  dedicated<T>(work: (db: Db) => Promise<T>): Promise<T>
  /** The database without Drizzle, for a library that brings statements of its own. */
  readonly driver: Driver
  /** Null where no other process can have the database open. */
  readonly listen: Listen | null
  /** Where the database is, for logs; without a password. */
  describe(): string
  /**
   * Ends all connections, after what is under way but at the latest after five seconds. An embedded database that has
   * not ended by then goes on until it can, and its folder stays locked as long. May be called twice.
   */
  close(): Promise<void>
}

/** How a database is opened. */
export interface OpenOptions {
  /**
   * How long a statement may take before it fails as UNAVAILABLE, the wait for a connection included, in milliseconds; a
   * transaction may take twice as long. The server itself is told to give up a little earlier. An embedded database is
   * never away, only busy: it has more time.
   *
   * @default 4_500 for Postgres, 10_000 for an embedded database
   */
  readonly deadlineMs?: number | undefined
  /** A dump of an embedded database to start from, for an embedded database in memory. */
  readonly image?: Blob | undefined
  /** Whether an embedded database is brought to the schema of this version. @default true */
  readonly migrate?: boolean | undefined
}

export const DEFAULT_DEADLINE_MS = { postgres: 4_500, pglite: 10_000, memory: 10_000 } as const
