import type { Clock } from '../clock.ts'
import type { Database, Db } from '../db/client.ts'
import type { Queue } from '../dispatch/queue.ts'
import type { Workflows } from '../engine/api.ts'
import type { Hints } from '../engine/hints.ts'
import type { Hub } from '../engine/ports.ts'
import type { ReaderFor } from '../engine/reader.ts'
import type { ValueLimits } from '../json.ts'
import type { Log } from '../log.ts'
import type { KernOptions } from './options.ts'
import type { Pace, Tamper } from './pace.ts'

/** What is wired: the options of a Kern, once they are checked. */
export interface WireOptions extends Omit<KernOptions, 'db' | 'workflows' | 'log'> {
  readonly workflows: Workflows
  readonly pace?: Pace
  readonly log: Log
}

/** What the parts of one Kern have in common. */
export interface Commons {
  readonly id: string
  readonly options: WireOptions
  readonly database: Database
  readonly queue: Queue | null
  readonly pace: Pace
  readonly tamper: Tamper
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
  readonly limits: ValueLimits
  readonly graceMs: number
  readonly hints: Hints
  readonly hub: Hub
  readonly readerFor: ReaderFor
  /** Ends the waits and streams of callers, and retries. */
  readonly closing: AbortController
}
