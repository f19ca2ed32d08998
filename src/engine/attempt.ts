import type { Clock } from '../clock.ts'
import { isKernError, KernError } from '../errors.ts'
import type { RetryPolicy } from '../workflow/definition.ts'

/** What came of one attempt. */
export type AttemptResult<Value> =
  | { readonly type: 'returned'; readonly value: Value }
  | { readonly type: 'threw'; readonly error: unknown }
  /** The run is to stop, and the body has ended or was left behind. */
  | { readonly type: 'aborted' }

export interface AttemptOptions<Value> {
  readonly clock: Clock
  /** Of the run. */
  readonly signal: AbortSignal
  readonly timeoutMs: number | null
  /** How long a body may go on after its run was cancelled, or the process is to stop, in milliseconds. */
  readonly graceMs: number
  readonly body: (signal: AbortSignal) => Promise<Value>
}

/**
 * Runs a body once. It ends when the body does, when the timeout strikes, or when the run's signal aborts and the body
 * has ended or its grace time has passed. What a body that was left behind returns or throws later is dropped.
 */
export async function runAttempt<Value>(options: AttemptOptions<Value>): Promise<AttemptResult<Value>> {
  const { clock, signal, timeoutMs } = options
  if (signal.aborted) return { type: 'aborted' }
  const own = new AbortController()
  const began = timeoutMs === null ? 0 : clock.now().getTime()
  const timedOut = () => timeoutMs !== null && clock.now().getTime() - began >= timeoutMs
  const settled = call(options.body, own.signal)
  const interruption = interruptionOf(options, own, settled)
  const timeout = timeoutMs === null ? null : timeoutOf<Value>({ clock, timeoutMs, own, settled })
  try {
    const result = await Promise.race([settled, interruption.aborted, ...(timeout ? [timeout.expired] : [])])
    if (signal.aborted) return { type: 'aborted' }
    // A body that blocks the process comes back before the timer gets a word in.
    return result.type === 'returned' && timedOut() ? expired<Value>(own, timeoutMs) : result
  } finally {
    interruption.disarm()
    timeout?.disarm()
  }
}

/** A reason for timers that are not needed any more. Without one, each abort would make an error with a stack. */
const OVER = Object.freeze({ over: true })

function timeoutOf<Value>({
  clock,
  timeoutMs,
  own,
  settled,
}: {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly own: AbortController
  readonly settled: Promise<AttemptResult<Value>>
}): { readonly expired: Promise<AttemptResult<Value>>; readonly disarm: () => void } {
  const over = new AbortController()
  return {
    expired: clock.sleep(timeoutMs, over.signal).then(
      () => expired<Value>(own, timeoutMs),
      () => settled,
    ),
    disarm: () => over.abort(OVER),
  }
}

function expired<Value>(own: AbortController, timeoutMs: number | null): AttemptResult<Value> {
  const error = new KernError('STEP_TIMEOUT', `the attempt took longer than its timeout of ${timeoutMs} ms`)
  own.abort(error)
  return { type: 'threw', error }
}

async function call<Value>(body: AttemptOptions<Value>['body'], signal: AbortSignal): Promise<AttemptResult<Value>> {
  try {
    return { type: 'returned', value: await body(signal) }
  } catch (error) {
    return { type: 'threw', error }
  }
}

/** A run or nested workflow whose time is over, or a run that is another's now, is not kept waiting. */
function graceOf({ reason }: AbortSignal, graceMs: number): number {
  const hurried = (['RUN_TIMEOUT', 'STEP_TIMEOUT', 'FENCED'] as const).some((code) => isKernError(reason, code))
  return hurried ? 0 : graceMs
}

/** Passes the run's abort on to the body, and gives the body its grace time. */
function interruptionOf<Value>(
  { clock, signal, graceMs }: AttemptOptions<Value>,
  own: AbortController,
  settled: Promise<AttemptResult<Value>>,
): { readonly aborted: Promise<AttemptResult<Value>>; readonly disarm: () => void } {
  const over = { abort: () => undefined as void }
  const aborted = Promise.withResolvers<AttemptResult<Value>>()
  const interrupt = () => {
    own.abort(signal.reason)
    const timer = new AbortController()
    over.abort = () => timer.abort(OVER)
    const grace = clock.sleep(graceOf(signal, graceMs), timer.signal).catch(() => undefined)
    void Promise.race([settled, grace]).then(() => aborted.resolve({ type: 'aborted' }))
  }
  signal.addEventListener('abort', interrupt, { once: true })
  return {
    aborted: aborted.promise,
    disarm() {
      signal.removeEventListener('abort', interrupt)
      over.abort()
    },
  }
}

/**
 * How long to wait after the `failures`-th failed attempt, in milliseconds. Exponential waits double each time and are
 * spread over their upper half, so that steps that failed together do not come back together.
 *
 * @param random from 0 to 1
 */
export function backoffMs(policy: RetryPolicy, failures: number, random: number): number {
  if (policy.backoff === 'fixed') return Math.min(policy.delayMs, policy.maxDelayMs)
  const full = Math.min(policy.delayMs * 2 ** (failures - 1), policy.maxDelayMs)
  return full * (0.5 + random / 2)
}
