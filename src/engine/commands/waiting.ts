import type { Clock } from '../../clock.ts'
import type { ChangeNews, FinishedRun, Hub } from '../ports.ts'
import type { Reader } from '../reader.ts'
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
  /** Whether the run has only just begun here, so that its row need not be looked at first. @default false */
  readonly begun?: boolean
}

/** How a run is found settled, or when the time is up: its row, or all of it where that is known without reading. */
export type Settled = { readonly run: RunRecord } & Partial<FinishedRun>

/**
 * Waits until a run is over or PAUSED, which it is while it waits for a person, and gives it as it is then, or when the
 * time is up. The row is read after the call: who has just answered a run finds it RUNNING, and waits for what comes of
 * that.
 *
 * @returns null if the run is not there
 * @throws KernError UNAVAILABLE
 */
export async function waitUntilSettled(options: WaitOptions): Promise<Settled | null> {
  const { runId, reader, hub, clock, timeoutMs, begun = false } = options
  const deadline = timeoutMs === null ? Number.POSITIVE_INFINITY : clock.now().getTime() + timeoutMs
  const waiting = createWaiting(options)
  const stop = hub.listen({ runId }, waiting.hear)
  try {
    for (let look = !begun; ; look = true) {
      // Before the row is read, so that a change after the read is not missed.
      waiting.begin()
      const [run] = look ? await reader.runs([runId]) : []
      const left = deadline - clock.now().getTime()
      if (look && (!run || isSettled(run) || left <= 0)) return run ? { run } : null
      const finished = await waiting.over(Math.max(0, Math.min(left, SAFETY_POLL_MS)))
      if (finished) return finished
    }
  } finally {
    stop()
  }
}

/**
 * True for a run that was accepted as one that is executed here: nothing has become of it yet. Of a repeated request it may
 * be executed elsewhere: if it ends before the wait begins, the next look finds that.
 */
export function hasJustBegun({ status, lastSeq }: RunRecord): boolean {
  return status === 'RUNNING' && lastSeq === 1
}

function isSettled({ status }: RunRecord): boolean {
  return isFinal(status) || status === 'PAUSED'
}

/** One wait after another for news of a run. */
function createWaiting({ clock, closing }: WaitOptions) {
  let news = Promise.withResolvers<FinishedRun | null>()
  return {
    hear({ settled, finished }: ChangeNews): void {
      if (settled) news.resolve(finished ?? null)
    },
    begin(): void {
      news = Promise.withResolvers()
    },
    /** @returns the run, if the news has it */
    async over(ms: number): Promise<FinishedRun | null> {
      closing.throwIfAborted()
      const { promise, resolve } = news
      // The timer is not ended with the wait: to abort it would cost more than to let it pass. It must hold nothing then.
      let waiting: typeof resolve | null = resolve
      const end = () => waiting?.(null)
      closing.addEventListener('abort', end, { once: true })
      void clock.idle(ms).then(end)
      const finished = await promise
      waiting = null
      closing.removeEventListener('abort', end)
      closing.throwIfAborted()
      return finished
    },
  }
}
