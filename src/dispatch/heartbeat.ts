import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { every } from './loops.ts'

/** How many heartbeats fit into a lease: two may be lost. */
const BEATS_PER_LEASE = 3
/** How soon a heartbeat that failed is tried again, in milliseconds. */
const RETRY_MS = 1_000

export interface HeartbeatDeps {
  /** Shows the others that this process lives. */
  readonly beat: () => Promise<void>
  /** After how long without a heartbeat others may take its runs, in milliseconds. */
  readonly leaseMs: number
  /** How often it beats, in milliseconds. @default a third of the lease */
  readonly everyMs?: number | undefined
  /** True where there are no others. */
  readonly exclusive: boolean
  /** Called once each time the lease is over. */
  readonly lost: () => void
  readonly clock: Clock
  readonly log: Log
}

/**
 * Shows that this process lives, and knows when it could not for so long that others may count it as dead. That is
 * measured by the process's own clock that never jumps, from before the last heartbeat was sent: so it is never later
 * than when others may take its runs.
 */
export interface Heartbeat {
  /** Whether its runs are surely its own. */
  alive(): boolean
  /** Beats until the signal aborts. The first one was given by who entered the worker, just now. */
  run(signal: AbortSignal): Promise<void>
}

export function createHeartbeat(deps: HeartbeatDeps): Heartbeat {
  const { beat, leaseMs, everyMs = leaseMs / BEATS_PER_LEASE, exclusive, lost, clock, log } = deps
  let shownAt = performance.now()
  let told = false
  const left = () => (exclusive ? Number.POSITIVE_INFINITY : shownAt + leaseMs - performance.now())

  async function show(): Promise<number> {
    const sentAt = performance.now()
    try {
      await beat()
      shownAt = sentAt
      told = false
      return everyMs
    } catch (error) {
      log.warn({ err: error }, 'the heartbeat failed and is tried again')
      return Math.min(everyMs, RETRY_MS)
    }
  }

  /** A loop of its own: a heartbeat may be under way for as long as its deadline. */
  async function watch(): Promise<number> {
    if (left() > 0) return left()
    if (!told) lost()
    told = true
    return Math.min(everyMs, RETRY_MS)
  }

  return {
    alive: () => left() > 0,
    async run(signal) {
      shownAt = performance.now()
      const watching = exclusive ? [] : [every(leaseMs, watch, { clock, signal })]
      await Promise.all([every(everyMs, show, { clock, signal }), ...watching])
    },
  }
}
