import type { Clock } from '../clock.ts'
import type { Listener } from '../db/client.ts'
import type { Log } from '../log.ts'

/** How often the server is asked for an answer, in milliseconds. */
const PROBE_MS = 10_000
/** The waits before the connection is opened again, in milliseconds: twice as long each time, between these. */
const RETRY_MS = { first: 100, last: 5_000 }

export interface ListeningOptions {
  readonly open: () => Promise<Listener>
  /** Called whenever it listens anew: what came before was missed. */
  readonly ready: () => void
  /** Ends it. */
  readonly closing: AbortSignal
  readonly clock: Clock
  readonly log: Log
  /** From 0 to below 1. */
  readonly random: () => number
}

/** Listens, and opens the connection again whenever it is lost, until it is closed. */
export async function keepListening({ open, ready, closing, clock, log, random }: ListeningOptions): Promise<void> {
  let lost = false
  let failures = 0
  while (!closing.aborted) {
    const listener = await open().catch((error: unknown) => {
      if (!lost && !closing.aborted) log.warn({ err: error }, LOST)
      lost = true
      return null
    })
    if (listener) {
      if (lost) log.info({}, 'this process is told again of what other processes do')
      lost = false
      if (!closing.aborted) ready()
      if (await watch(listener, { closing, clock })) failures = 0
      if (closing.aborted) return
      log.warn({}, LOST)
      lost = true
    }
    const ms = Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.last)
    failures += 1
    // By chance earlier or later than the other processes, which may have lost theirs at the same moment.
    await clock.idle(ms * (0.5 + random()), closing).catch(() => undefined)
  }
}

const LOST =
  'no connection listens to other processes: until there is one again, what they do is seen up to a second later'

/**
 * Waits until the connection is lost, or no longer wanted, and ends it.
 *
 * @returns whether it has lived for a while
 */
async function watch(
  listener: Listener,
  { closing, clock }: Pick<ListeningOptions, 'closing' | 'clock'>,
): Promise<boolean> {
  const over = AbortSignal.any([closing, listener.lost])
  let lived = false
  for (;;) {
    await clock.idle(PROBE_MS, over).catch(() => undefined)
    if (over.aborted) break
    lived = await listener.probe().then(
      () => true,
      () => false,
    )
    if (!lived) break
  }
  await listener.close()
  return lived
}
