import type { Db } from '../db/client.ts'
import type { Ownership } from '../dispatch/ownership.ts'
import type { CommandStore } from '../engine/commands/commandStore.ts'
import type { Overrides } from '../engine/execution.ts'
import type { Hints } from '../engine/hints.ts'
import type { Hub, Journal } from '../engine/ports.ts'

/** How a worker goes about its work; times in milliseconds. What is left out is as {@link createKern} has it. */
export interface Pace {
  readonly leaseMs?: number | undefined
  readonly heartbeatMs?: number | undefined
  readonly pollMs?: number | undefined
  /** A run is not executed any more once so many processes died while they executed it. @default 5 */
  readonly maxDeaths?: number | undefined
  /** How long a run may wait for a time before it gives its place up. */
  readonly parkMs?: number | undefined
  /** Functions that take the place of those of steps, by workflow id and the step's path in the definition. */
  readonly overrides?: ReadonlyMap<string, Overrides> | undefined
  /** Whether processes tell each other of what they do; else each looks once a second. @default true */
  readonly hints?: boolean | undefined
  /** Whether times of schedules start runs. @default true */
  readonly schedules?: boolean | undefined
  /** For tests of faults. */
  readonly tamper?: Tamper | undefined
}

/** Each is given a part when the parts are wired, and gives what is to take its place. Only tests have any. */
export interface Tamper {
  readonly db?: (db: Db) => Db
  readonly reserved?: (db: Db) => Db
  readonly heartbeats?: (db: Db) => Db
  /** The connections of the journal. */
  readonly flushes?: (db: Db) => Db
  readonly journal?: (journal: Journal) => Journal
  readonly hub?: (hub: Hub) => Hub
  readonly ownership?: (ownership: Ownership) => Ownership
  readonly store?: (store: CommandStore) => CommandStore
  readonly hints?: (hints: Hints) => Hints
}

/** What takes the place of a part that nobody tampers with. */
export const unchanged = <Part>(part: Part): Part => part
