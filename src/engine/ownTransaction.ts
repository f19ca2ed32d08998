/**
 * A transaction of the caller on the database of a Kern: one of Drizzle's, whichever driver and version it has, a client of
 * `pg` between `begin` and `commit`, or what {@link Kern.transaction} gives.
 */
export type CallerTransaction =
  | {
      /** Runs one statement, and resolves with its rows, or an object with them in `rows`. */
      execute(statement: string): PromiseLike<unknown>
    }
  | {
      /** As `execute`, of a statement with parameters `$1`, `$2` … */
      query(statement: string, values: unknown[]): PromiseLike<unknown>
    }

/** A transaction that a Kern has begun on its own database. */
export interface KernTransaction {
  /**
   * Runs one statement with parameters `$1`, `$2` … and gives its rows. Values of `json` columns and times come as text, and
   * those of the other types as the driver gives them.
   */
  query<Row = Readonly<Record<string, unknown>>>(statement: string, values?: readonly unknown[]): Promise<Row[]>
}

/** A run that was accepted in a transaction which is not committed yet. */
export interface AcceptedRun {
  readonly runId: string
  readonly sessionId: string
  /** 1, 2, 3 … within the session. */
  readonly number: number
  /** Whether an earlier call with the same idempotency key has started it. */
  readonly repeated: boolean
}
