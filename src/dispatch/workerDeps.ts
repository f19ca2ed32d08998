import type { Clock } from '../clock.ts'
import type { Workflows } from '../engine/api.ts'
import type { Executor } from '../engine/executor.ts'
import type { Hints } from '../engine/hints.ts'
import type { TakenRun } from '../engine/ports.ts'
import type { Log } from '../log.ts'
import type { Ownership } from './ownership.ts'

/** What a worker is made of. */
export interface WorkerDeps {
  readonly ownership: Ownership
  readonly load: (runId: string) => Promise<TakenRun | null>
  /** Gives turns on that the process which ended a run could not give on. */
  readonly giveLostTurns: () => Promise<void>
  /** Lets runs go on whose time to wait is over. */
  readonly wakeDue: (at: Date) => Promise<void>
  readonly executor: Executor
  readonly workflows: Workflows
  /** Runs at once. */
  readonly concurrency: number
  /** How long running steps may go on when the process stops, in milliseconds. */
  readonly drainMs: number
  /** How long an aborted step may go on after that, in milliseconds. */
  readonly graceMs: number
  /** After how long without a heartbeat other processes may take the runs of this one, in milliseconds. @default 15_000 */
  readonly leaseMs?: number | undefined
  /** True where there are no other processes: nobody takes runs over then. @default false */
  readonly exclusive?: boolean | undefined
  /** How often this worker says that it lives, in milliseconds. @default a third of the lease */
  readonly heartbeatMs?: number | undefined
  /** How often it looks for runs, cancels and answers, in milliseconds. @default 1_000 */
  readonly pollMs?: number | undefined
  /** A run is not executed any more once so many processes died while they executed it. @default 5 */
  readonly maxDeaths?: number | undefined
  /** Tells other processes of what this one leaves to them. @default nobody is told */
  readonly hints?: Hints | undefined
  readonly clock: Clock
  readonly log: Log
}
