import type { Clock } from '../clock.ts'
import type { Hub, Reader } from './ports.ts'
import { isFinal, type RunRecord } from './records.ts'

/** How often a waiter looks at the row although nobody woke it, in milliseconds: another process may end the run. */
const SAFETY_POLL_MS = 1_000

export interface WaitOptions {
  readonly runId: string
  readonly reader: Reader
  readonly hub: Hub
  readonly clock: Clock
  /** How long to wait at most, in milliseconds; null to wait until the end. */
  readonly timeoutMs: number | null
  /** Ends the wait with its reason. */
  readonly closing: AbortSignal
}

/** Waits until a run is over, and gives its row as it is then, or when the time is up; null if it is not there. @throws KernError UNAVAILABLE */
export async function waitForEnd(options: WaitOptions): Promise<RunRecord | null> {
  const { runId, reader, hub, clock, timeoutMs } = options
  const deadline = timeoutMs === null ? Number.POSITIVE_INFINITY : clock.now().getTime() + timeoutMs
  let wake: () => void = () => undefined
  const stop = hub.listen({ runId }, ({ over }) => {
    if (over) wake()
  })
  try {
    for (;;) {
      // Made before the row is read, so that a change after the read is not missed.
      const changed = new Promise<void>((resolve) => {
        wake = resolve
      })
      const [run] = await reader.runs([runId])
      const left = deadline - clock.now().getTime()
      if (!run || isFinal(run.status) || left <= 0) return run ?? null
      await pause(changed, Math.min(left, SAFETY_POLL_MS), options)
    }
  } finally {
    stop()
  }
}

async function pause(changed: Promise<void>, ms: number, { clock, closing }: WaitOptions): Promise<void> {
  const timer = new AbortController()
  const either = AbortSignal.any([timer.signal, closing])
  await Promise.race([changed, clock.sleep(ms, either).catch(() => undefined)])
  timer.abort()
  closing.throwIfAborted()
}
