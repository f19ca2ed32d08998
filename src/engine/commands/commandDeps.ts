import type { Clock } from '../../clock.ts'
import type { ValueLimits } from '../../json.ts'
import type { Workflows } from '../api.ts'
import type { CommandStore } from './commandStore.ts'
import type { Dispatcher, Hub, Journal } from '../ports.ts'
import type { ReaderFor } from '../reader.ts'

/** What the commands are made of. */
export interface CommandDeps {
  readonly workflows: Workflows
  readonly store: CommandStore
  readonly journal: Pick<Journal, 'accept'>
  readonly readerFor: ReaderFor
  readonly dispatcher: Dispatcher
  readonly hub: Hub
  readonly clock: Clock
  readonly newId: () => string
  readonly limits: ValueLimits
  /** IANA name of the zone in which generated names give the time. */
  readonly timeZone: string
  /** How long a body may go on after its run was cancelled, in milliseconds. */
  readonly graceMs: number
  /** Aborts, with an UNAVAILABLE error, when nobody may wait for anything here any more. */
  readonly closing: AbortSignal
}
