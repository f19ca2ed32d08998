import type { Clock } from '../../clock.ts'
import type { Hub, Reader } from '../ports.ts'
import { isFinal, type RunRecord } from '../records.ts'

/** How often a waiter looks at the row although nobody woke it, in milliseconds: another process may execute the run. */
const SAFETY_POLL_MS = 1_000

export interface WaitOptions {
  readonly runId: string
  readonly reader: Reader
  readonly hub: Hub
  readonly clock: Clock
  /** How long to wait at most, in milliseconds; null for as long as it takes. */
  readonly timeoutMs: number | null
  /** Ends the wait with its reason. */
  readonly closing: AbortSignal
}

/**
 * Waits until a run is over or PAUSED, which it is while it waits for a person, and gives its row as it is then, or when
 * the time is up. The row is read after the call: who has just answered a run finds it RUNNING, and waits for what comes
 * of that.
 *
 * @returns null if the run is not there
 * @throws KernError UNAVAILABLE
 */
export async function waitUntilSettled(options: WaitOptions): Promise<RunRecord | null> {
  const { runId, reader, hub, clock, timeoutMs } = options
  const deadline = timeoutMs === null ? Number.POSITIVE_INFINITY : clock.now().getTime() + timeoutMs
  let wake: () => void = () => undefined
  const stop = hub.listen({ runId }, ({ settled }) => {
    if (settled) wake()
  })
  try {
    for (;;) {
      // Made before the row is read, so that a change after the read is not missed.
      const changed = new Promise<void>((resolve) => {
        wake = resolve
      })
      const [run] = await reader.runs([runId])
      const left = deadline - clock.now().getTime()
      if (!run || isSettled(run) || left <= 0) return run ?? null
      await pause(changed, Math.min(left, SAFETY_POLL_MS), options)
    }
  } finally {
    stop()
  }
}

function isSettled({ status }: RunRecord): boolean {
  return isFinal(status) || status === 'PAUSED'
}

async function pause(changed: Promise<void>, ms: number, { clock, closing }: WaitOptions): Promise<void> {
  const timer = new AbortController()
  const either = AbortSignal.any([timer.signal, closing])
  await Promise.race([changed, clock.sleep(ms, either).catch(() => undefined)])
  timer.abort()
  closing.throwIfAborted()
}
