import type { Clock } from '../clock.ts'
import type { DatabaseUrl, Role } from '../config.ts'
import type { Commands, EventStreams, Workflows } from '../engine/api.ts'
import type { Library } from '../engine/library.ts'
import type { ReaderFor } from '../engine/reader.ts'
import type { Log } from '../log.ts'
import type { HasDefinition } from '../workflow/definition.ts'

/** What a Kern is made of. */
export interface KernOptions {
  /** Where everything is stored: `pglite(folder)`, `pglite.memory()` or `postgres(url)`. */
  readonly db: DatabaseUrl
  /** The workflows that are served. */
  readonly workflows: readonly HasDefinition[]
  /** How many runs are executed here at the same time. @default 100 */
  readonly concurrency?: number | undefined
  /** The IANA time zone of times in generated session names. @default 'UTC' */
  readonly timeZone?: string | undefined
  /** The largest value that a step, a run or a state may hold, in bytes of its JSON text. @default 1_048_576 */
  readonly maxValueBytes?: number | undefined
  /** How long a step may go on after its run was cancelled, in milliseconds. @default 10_000 */
  readonly graceMs?: number | undefined
  /**
   * `all`; `api` accepts and answers, but executes nothing; `worker` is as `all`, for a process that serves no requests.
   * With an embedded database only `all`, as no other process could do the rest.
   *
   * @default 'all'
   */
  readonly role?: Role | undefined
  /** How long running steps may go on when Kern is closed, in milliseconds. @default 30_000 */
  readonly drainMs?: number | undefined
  /**
   * How long runs are kept after their end, in milliseconds, where their workflow does not say so itself. Older ones are
   * deleted, and their sessions with them where nothing else is left of these. A process in the role `api` deletes none.
   *
   * @default for ever
   */
  readonly retentionMs?: number | undefined
  /** @default lines on standard output, from `warn` on */
  readonly log?: Log | undefined
  /** Where time comes from. @default the machine's */
  readonly clock?: Clock | undefined
}

/** A running Kern: an open database, and a worker that executes runs. */
export interface Kern extends Library, AsyncDisposable {
  readonly commands: Commands
  readonly workflows: Workflows
  readonly streams: EventStreams
  readonly readerFor: ReaderFor
  /** What the database is, without its password. */
  readonly database: string
  /** Whether the database answers, and this process does not stop. */
  health(): Promise<boolean>
  /** Resolves when no run is being executed here: each is over, or waits for its turn elsewhere, a person or a time. */
  idle(): Promise<void>
  /**
   * Takes no more runs, lets running steps end within the drain time, and hands the rest over to other processes. What is
   * asked for in the meantime is answered, and streams go on.
   */
  drain(): Promise<void>
  /** Drains, ends streams, and closes the database. */
  close(): Promise<void>
}
