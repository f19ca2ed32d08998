import type { Clock } from '../clock.ts'
import type { Reader } from '../engine/reader.ts'

/** How often the rows are looked at although nobody told of anything, in milliseconds: another process may have written. */
const LOOK_MS = 1_000
/** How many runs or sessions are asked for in one statement. */
const CHUNK = 5_000

/** A run that is followed. */
export interface WatchedRun {
  readonly runId: string
  /** The `seq` of the newest event that is known of. */
  known(): number
  /** There are newer ones. */
  hear(): void
  /** The run was deleted. */
  gone(): void
}

/**
 * Looks once a second for all that is followed in this process whether there is more than is known of: hints may be lost.
 * A statement for all runs and one for all sessions, whoever follows them, and however many. Each of these begins with the
 * first, and ends by the function that it gives.
 */
export interface Lookout {
  run(run: WatchedRun): () => void
  /** Calls `hear` when there may be more events in the session, and after the first look. */
  session(sessionId: string, hear: () => void): () => void
  /** Calls `hear` at each look. */
  anything(hear: () => void): () => void
  /** Looks now: hints were lost. */
  soon(): void
}

export interface LookoutDeps {
  /** Sees all runs and sessions. */
  readonly reader: Pick<Reader, 'lastSeqs' | 'sessionMarks'>
  readonly clock: Clock
  /** Ends it. */
  readonly closing?: AbortSignal | undefined
}

interface WatchedSession {
  readonly sessionId: string
  mark: string | null
  readonly hear: () => void
}

export function createLookout({ reader, clock, closing }: LookoutDeps): Lookout {
  const runs = new Set<WatchedRun>()
  const sessions = new Set<WatchedSession>()
  const others = new Set<() => void>()
  let due = false
  let looking: Promise<void> | null = null
  let loop: AbortController | null = null

  function watching<Item>(items: Set<Item>, item: Item): () => void {
    items.add(item)
    begin()
    return () => {
      items.delete(item)
      if (runs.size + sessions.size + others.size > 0) return
      loop?.abort()
      loop = null
    }
  }

  function begin(): void {
    if (loop || closing?.aborted) return
    loop = new AbortController()
    const ended = closing ? AbortSignal.any([loop.signal, closing]) : loop.signal
    // Ends with a rejection of the sleep.
    lookEachSecond(ended).catch(() => undefined)
  }

  async function lookEachSecond(ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await clock.sleep(LOOK_MS, ended)
      await lookNow()
    }
  }

  /** One look after another, and none for what the one that has not begun yet will see too. */
  function lookNow(): Promise<void> {
    due = true
    looking ??= Promise.resolve().then(lookWhileDue)
    return looking
  }

  async function lookWhileDue(): Promise<void> {
    while (due) {
      due = false
      await look()
    }
    // In the same moment as it finds none due: whoever asks later begins another.
    looking = null
  }

  async function look(): Promise<void> {
    // A look that fails is made up for by the next. Who follows something is told by what they read themselves. Nothing that
    // throws here may end the loop, which looks for all.
    await Promise.allSettled([...[...others].map(async (hear) => hear()), lookAtRuns(), lookAtSessions()])
  }

  async function lookAtRuns(): Promise<void> {
    for (const some of chunks([...runs])) {
      const lastSeqs = await reader.lastSeqs([...new Set(some.map(({ runId }) => runId))])
      for (const run of some) {
        const lastSeq = lastSeqs.get(run.runId)
        if (lastSeq === undefined) run.gone()
        else if (lastSeq > run.known()) run.hear()
      }
    }
  }

  async function lookAtSessions(): Promise<void> {
    for (const some of chunks([...sessions])) {
      const marks = await reader.sessionMarks([...new Set(some.map(({ sessionId }) => sessionId))])
      for (const session of some) {
        const mark = marks.get(session.sessionId) ?? ''
        if (mark === session.mark) continue
        session.mark = mark
        session.hear()
      }
    }
  }

  return {
    run: (run) => watching(runs, run),
    session: (sessionId, hear) => watching(sessions, { sessionId, mark: null, hear }),
    // A wrapper, so that the same function can be told twice.
    anything: (hear) => watching(others, () => hear()),
    soon: () => void lookNow(),
  }
}

function* chunks<Item>(items: readonly Item[]): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += CHUNK) yield items.slice(from, from + CHUNK)
}
