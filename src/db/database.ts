import type { Db } from './session.ts'

/** An open database. */
export interface Database extends AsyncDisposable {
  readonly kind: 'pglite' | 'postgres'
  /** The database through Drizzle: statements and transactions of all parts share its connections. */
  readonly db: Db
  /**
   * The same database on two connections of its own, for the engine only: heartbeats, and the journal of runs. However
   * many readers hold all others, a healthy process can show that it lives, and its runs are not taken over. Embedded
   * databases have one connection only: there it is `db`.
   */
  readonly reserved: Db
  /**
   * Runs `work` on a connection of its own, without the deadline that statements otherwise have: for migrations and
   * whatever else takes long. Embedded databases have one connection only, and share it: whoever else waits for it has
   * a deadline as ever.
   */
  dedicated<T>(work: (db: Db) => Promise<T>): Promise<T>
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
   * How long a statement or transaction may take before it fails as UNAVAILABLE, in milliseconds. The server itself is
   * told to give up a little earlier.
   *
   * @default 10_000
   */
  readonly deadlineMs?: number | undefined
  /** A dump of an embedded database to start from, for an embedded database in memory. */
  readonly image?: Blob | undefined
  /** Whether an embedded database is brought to the schema of this version. @default true */
  readonly migrate?: boolean | undefined
}

export const DEFAULT_DEADLINE_MS = 10_000
