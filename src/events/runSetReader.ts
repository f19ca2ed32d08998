import type { Clock } from '../clock.ts'
import type { RunSetChange } from '../engine/api.ts'
import type { LiveRun, Reader, RunFilter } from '../engine/reader.ts'
import { isFinal, type RunRecord, type RunStatus } from '../engine/records.ts'
import type { Feed } from './feed.ts'
import { LATE_MS } from './sources.ts'

/** The shortest time between two changes of one run, in milliseconds. */
const GAP_MS = 100
/** How many runs are read at once: what is read waits until it is taken, and gets old. */
const BATCH = 100
/** Of how many runs it is kept that they have changed, or that they are none of the set: of more, all are looked at. */
const MAX_IDS = 5_000

export interface RunSetReaderOptions {
  readonly filter: RunFilter
  readonly reader: Pick<Reader, 'liveRuns'>
  /** Reads a run after it is called; null if it is not there. */
  readonly readRun: (runId: string) => Promise<RunRecord | null>
  readonly share: Feed['share']
  readonly clock: Clock
}

/** Finds out what changes in the set of runs that a filter finds. */
export interface RunSetReader {
  /** What there is now is not told. */
  begin(): Promise<void>
  /** This run may have changed; left out: any. */
  hear(runId?: string): void
  /** What has changed; undefined if nothing is to be told now. */
  next(): Promise<RunSetChange | undefined>
  /** In how many milliseconds there may be something; null where nothing is known of. */
  msToNext(): number | null
}

/** A run as it was when it was looked at last. */
interface Known {
  readonly status: RunStatus
  readonly lastSeq: number
  /** In milliseconds since 1970; null for one that is not over. */
  readonly endedAt: number | null
  /** Until when it is not told of again. */
  readonly quietUntil: number
}

/**
 * Of a run only its events and its status change, and by the status alone it enters and leaves. So it is enough to remember
 * the runs that are not over, and those that ended not long ago: what others tell of them may come late.
 *
 * A run is read only when its change is about to be taken: of many changes, one who is slow is given the newest.
 */
export function createRunSetReader({ filter, reader, readRun, share, clock }: RunSetReaderOptions): RunSetReader {
  const known = new Map<string, Known>()
  const heard = new Set<string>()
  /** Runs that can never be of the set. */
  const strangers = new Set<string>()
  const found: RunSetChange[] = []
  let lookAtAll = false
  /** Runs that ended before are not known any more, and were told of. To the second, so that others ask for the same. */
  let since = late()

  const isIn = (status: RunStatus) => filter.statuses?.includes(status) ?? true

  function late(): number {
    return Math.floor((clock.now().getTime() - LATE_MS) / 1_000) * 1_000
  }

  async function liveRuns(): Promise<readonly LiveRun[]> {
    const { statuses: _statuses, ...fixed } = filter
    return await share(`${JSON.stringify(fixed)} ${since}`, () => reader.liveRuns(fixed, new Date(since)))
  }

  /** Finds the runs of which something is to be told, also where nobody told of it. */
  async function look(): Promise<void> {
    lookAtAll = false
    const next = late()
    const live = await liveRuns()
    const ids = new Set(live.map(({ runId }) => runId))
    for (const { runId, status, lastSeq } of live) {
      const before = known.get(runId)
      if (before?.status !== status || before.lastSeq !== lastSeq) heard.add(runId)
    }
    for (const [runId, { endedAt }] of known) {
      if (ids.has(runId)) continue
      if (endedAt !== null && endedAt < since) known.delete(runId)
      else heard.add(runId)
    }
    since = Math.max(since, next)
  }

  /** Reads some of the runs that were heard of, and finds out what is to be told of them. */
  async function readSome(): Promise<void> {
    const now = clock.now().getTime()
    const ids: string[] = []
    for (const runId of heard) {
      if ((known.get(runId)?.quietUntil ?? 0) <= now) ids.push(runId)
      if (ids.length === BATCH) break
    }
    // Before they are read: what is heard meanwhile is read again.
    for (const runId of ids) heard.delete(runId)
    const runs = await Promise.all(ids.map(readRun))
    for (const [index, runId] of ids.entries()) {
      const kind = learn(runId, runs[index] ?? null, now)
      if (kind) found.push({ kind, runId, run: runs[index] ?? null })
    }
  }

  function learn(runId: string, run: RunRecord | null, now: number): RunSetChange['kind'] | null {
    const before = known.get(runId)
    const wasIn = before !== undefined && isIn(before.status)
    if (!run) {
      known.delete(runId)
      return wasIn ? 'LEFT' : null
    }
    const { status, lastSeq, completedAt } = run
    const endedAt = completedAt?.getTime() ?? null
    if (!before && !isNew(run)) return null
    if (before?.status === status && before.lastSeq === lastSeq) return null
    const kind = kindOf(wasIn, isIn(status))
    known.set(runId, { status, lastSeq, endedAt, quietUntil: kind ? now + GAP_MS : (before?.quietUntil ?? 0) })
    return kind
  }

  /** Whether a run that is not known is one of the set that nobody has been told of. */
  function isNew(run: RunRecord): boolean {
    if (isOf(filter, run)) return !isFinal(run.status) || (run.completedAt?.getTime() ?? 0) >= since
    if (strangers.size >= MAX_IDS) strangers.clear()
    strangers.add(run.runId)
    return false
  }

  return {
    async begin() {
      for (const { runId, status, lastSeq, endedAt } of await liveRuns()) {
        known.set(runId, { status, lastSeq, endedAt: endedAt?.getTime() ?? null, quietUntil: 0 })
      }
    },
    hear(runId) {
      if (runId === undefined) lookAtAll = true
      else if (!strangers.has(runId)) heard.add(runId)
      if (heard.size <= MAX_IDS) return
      heard.clear()
      lookAtAll = true
    },
    async next() {
      if (found.length === 0 && lookAtAll) await look()
      if (found.length === 0) await readSome()
      return found.shift()
    },
    msToNext() {
      if (lookAtAll) return 0
      const now = clock.now().getTime()
      let ms: number | null = null
      for (const runId of heard) {
        ms = Math.min(ms ?? GAP_MS, Math.max(0, (known.get(runId)?.quietUntil ?? 0) - now))
        if (ms === 0) break
      }
      return ms
    },
  }
}

function kindOf(wasIn: boolean, isIn: boolean): RunSetChange['kind'] | null {
  if (wasIn) return isIn ? 'CHANGED' : 'LEFT'
  return isIn ? 'ENTERED' : null
}

/** Whether a filter asks for a run, whatever its status. All else of a run that a filter asks for never changes. */
function isOf({ sessionId, workflowId, tags, createdAt, retryOf }: RunFilter, run: RunRecord): boolean {
  return (
    (sessionId ?? run.sessionId) === run.sessionId &&
    (workflowId ?? run.workflowId) === run.workflowId &&
    (tags ?? []).every((tag) => run.tags.includes(tag)) &&
    (createdAt?.from ?? run.createdAt) <= run.createdAt &&
    (!createdAt?.to || run.createdAt < createdAt.to) &&
    (retryOf == null || retryOf.toLowerCase() === run.retryOf)
  )
}
