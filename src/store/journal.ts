import type { KernError } from '../errors.ts'
import { type Db, rows } from '../db/client.ts'
import { asKernError, databaseCode, isUnavailable } from '../db/errors.ts'
import type { Journal, RunWrite, WriteOutcome } from '../engine/ports.ts'
import { type JournalRow, journalStatement } from './journalStatement.ts'

/** How many runs one statement writes at most: it bounds the size of a batch, and how long others wait for it. */
const MAX_BATCH = 200

/** How often a write is tried again while the database is not available, and how long to wait in between. */
const RETRY_DELAYS_MS = [20, 100, 500, 1_000, 2_000]

export interface JournalDeps {
  readonly db: Db
  /** Gives the turn to the next run of a session whose active run is over. */
  readonly advance: (sessionId: string) => Promise<string | null>
  readonly sleep: (ms: number) => Promise<void>
}

interface Waiting {
  readonly write: RunWrite
  readonly resolve: (outcome: WriteOutcome) => void
  readonly reject: (error: KernError) => void
}

/**
 * Group commit: while one flush is on its way, what other runs hand over gathers, and the next flush writes it all. One
 * flush at a time, so one connection is enough, and a slow database slows runs down instead of filling memory: each
 * run has at most one write here.
 */
export function createJournal({ db, advance, sleep }: JournalDeps): Journal {
  let queue: Waiting[] = []
  let running = false

  async function drain(): Promise<void> {
    while (queue.length > 0) {
      const batch = queue.slice(0, MAX_BATCH)
      queue = queue.slice(MAX_BATCH)
      await flush(batch)
    }
    running = false
  }

  async function flush(batch: readonly Waiting[]): Promise<void> {
    let written: readonly JournalRow[]
    try {
      written = await writeDurably(batch.map(({ write }) => write))
    } catch (error) {
      // Without a database there is nothing to be learnt from the writes one by one.
      if (batch.length === 1 || (isUnavailable(error) && !isTooMuch(error))) {
        for (const { reject } of batch) reject(asKernError(error))
        return
      }
      // A row that the database refuses, or that is too much for it, must fail its own run, and not its neighbours'.
      for (const one of batch) await flush([one])
      return
    }
    const passed = new Map(written.map((row) => [row.run_id, row]))
    // The next flush does not wait for the sessions that give their turn on.
    for (const one of batch) void settle(one, passed.get(one.write.runId))
  }

  /** A flush whose answer was lost may have been committed: writing it again changes nothing then. */
  async function writeDurably(writes: readonly RunWrite[]): Promise<readonly JournalRow[]> {
    for (const delay of RETRY_DELAYS_MS) {
      try {
        return await rows<JournalRow>(db, journalStatement(writes))
      } catch (error) {
        if (!isUnavailable(error) || (writes.length > 1 && isTooMuch(error))) throw error
        await sleep(delay)
      }
    }
    return await rows<JournalRow>(db, journalStatement(writes))
  }

  async function settle({ write, resolve, reject }: Waiting, row: JournalRow | undefined): Promise<void> {
    try {
      if (!row) return resolve(await refusal(write))
      const turn = write.end && row.active_run_id === write.runId ? await advance(write.sessionId) : null
      resolve({ type: 'committed', nextRunId: turn })
    } catch (error) {
      reject(asKernError(error))
    }
  }

  /** Why a write did not pass the fence: it was fenced, or gave way, or is the repetition of a committed end or park. */
  async function refusal({ runId, sessionId, epoch, end, park }: RunWrite): Promise<WriteOutcome> {
    const [row] = await db.query.runs.findMany({
      where: { runId },
      columns: { epoch: true, status: true, owner: true, cancelRequestedAt: true },
    })
    if (row?.epoch !== epoch) return { type: 'fenced' }
    // Whatever became of a run since it was parked: while its epoch stands, only the park can have taken its owner away.
    if (row.owner === null) return park ? { type: 'committed', nextRunId: null } : { type: 'fenced' }
    if (park && row.cancelRequestedAt === null) return { type: 'answered' }
    if (row.status === 'RUNNING') return { type: 'cancel-requested' }
    return row.status === end?.status ? { type: 'committed', nextRunId: await advance(sessionId) } : { type: 'fenced' }
  }

  return {
    write: (write) =>
      new Promise((resolve, reject) => {
        queue.push({ write, resolve, reject })
        if (running) return
        running = true
        void drain()
      }),
  }
}

/** True where the statement may have been too large for the server: out of memory, or over its time. */
function isTooMuch(error: unknown): boolean {
  return ['53200', '57014'].includes(databaseCode(error) ?? '')
}
