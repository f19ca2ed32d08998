import type { Db } from './session.ts'

/** An open database. */
export interface Database extends AsyncDisposable {
  readonly kind: 'pglite' | 'postgres'
  /** The database through Drizzle: statements and transactions of all parts share its connections. */
  readonly db: Db
  /**
   * Runs `work` on a connection of its own, without the deadline that statements otherwise have: for migrations and
   * whatever else takes long. Embedded databases have one connection only, and share it.
   */
  dedicated<T>(work: (db: Db) => Promise<T>): Promise<T>
  /** Where the database is, for logs; without a password. */
  describe(): string
  /** Ends all connections, after what is under way but at the latest after five seconds. May be called twice. */
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
