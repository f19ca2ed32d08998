import type { Clock } from '../clock.ts'
import { type Db, send } from '../db/client.ts'
import { asKernError, databaseCode, isUnavailable } from '../db/errors.ts'
import type { AcceptedRow } from '../engine/commands/commandStore.ts'
import type { Journal, RunWrite, WriteOutcome } from '../engine/ports.ts'
import { KernError } from '../errors.ts'
import type { JsonObject } from '../json.ts'
import { acceptRows } from './acceptStatement.ts'
import { encodeWrite } from './journalStatement.ts'
import { createBatches, type Entry, type WriteEntry } from './journalBatches.ts'
import { createFlushStatements, type FlushedRow } from './journalFlush.ts'
import { refusalOf } from './refusal.ts'
import { decode } from './rows.ts'

/** How many flushes are on their way at once: the database works on one while what came of the other goes on here. */
const MAX_IN_FLIGHT = 2
/** How long to wait before a write is tried again while the database is away: doubled each time, up to the longest. */
const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 1_000
/** How long a caller waits until its run is accepted, in milliseconds. */
const ACCEPT_MS = 4_500

export interface JournalDeps {
  /** For the flushes, which nothing else may hold up. */
  readonly flushes: Db
  /** For everything else. */
  readonly db: Db
  /** Gives the turn to the next run of a session whose active run is over. */
  readonly advance: (sessionId: string) => Promise<string | null>
  readonly clock: Pick<Clock, 'now' | 'sleep'>
  /** From 0 to 1, for the spread of retries. */
  readonly random: () => number
  /** Ends the retries. */
  readonly closing: AbortSignal
}

/**
 * Group commit: while flushes are on their way, what other runs hand over gathers, and the next flush writes it all, with one
 * statement and one commit. A slow database slows runs down instead of filling memory: each run has at most one write
 * here.
 *
 * A write is tried until the database has answered: whose run it is then, however late, the fence decides. A run that is
 * to be accepted is sent once; if the answer to it is lost, its outcome is unknown.
 */
export function createJournal(deps: JournalDeps): Journal {
  const batches = createBatches()
  const statements = createFlushStatements()
  /** Writes whose session somebody holds locked. */
  const blocked: WriteEntry[] = []
  let unblocking = false
  let inFlight = 0
  let scheduled = false

  /** Not at once: what the last flush has set free comes here before the next turn of the event loop, and goes together. */
  function schedule(): void {
    if (scheduled || inFlight >= MAX_IN_FLIGHT) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      while (inFlight < MAX_IN_FLIGHT) {
        const batch = batches.next(inFlight === 0)
        if (batch.length === 0) return
        inFlight += 1
        void flush(batch).finally(() => {
          inFlight -= 1
          if (!batches.isEmpty()) schedule()
        })
      }
    })
  }

  async function flush(batch: readonly Entry[]): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        const at = deps.clock.now()
        return answer(batch, await sendBatch(batch, at), at)
      } catch (error) {
        // Its outcome may be unknown, and its caller waits: it is not sent a second time.
        for (const entry of batch) if (entry.type === 'accept') entry.failed(error)
        const writes = batch.filter((entry) => entry.type === 'write')
        if (isUnavailable(error) && !isBlocked(error)) {
          const pause = Math.min(FIRST_RETRY_MS * 2 ** failures, LONGEST_RETRY_MS) * (0.5 + deps.random())
          if (writes.length > 0) await deps.clock.sleep(pause, deps.closing).catch(() => undefined)
          if (deps.closing.aborted) return writes.forEach(({ reject }) => reject(asKernError(error)))
        }
        // What was refused may have been one that is not sent again.
        const same = writes.length === batch.length
        if (writes.length > 1 && same && !isAway(error)) return await flushHalves(writes)
        if (writes.length === 1 && same && isBlocked(error)) return setAside(writes)
        if (writes.length === 1 && same && !isUnavailable(error)) return writes[0]?.reject(asKernError(error))
        if (writes.length === 0) return
        batch = writes
      }
    }
  }

  /** One whose session is locked, by a caller's transaction, say, waits for that apart from all others. */
  function setAside(writes: readonly WriteEntry[]): void {
    blocked.push(...writes)
    if (!unblocking) void unblock()
  }

  async function unblock(): Promise<void> {
    unblocking = true
    for (let entry = blocked.shift(); entry; entry = blocked.shift()) {
      await deps.clock.sleep(FIRST_RETRY_MS, deps.closing).catch(() => undefined)
      if (deps.closing.aborted) entry.reject(new KernError('UNAVAILABLE', 'this process is stopping'))
      // It is set aside again, if its session is still not to be had.
      else await flush([entry])
    }
    // In the same turn as the last look at the list: what comes after it begins anew.
    unblocking = false
  }

  /** A row that the database refuses must fail its own run, and not its neighbours'; what is too much is sent in parts. */
  async function flushHalves(batch: readonly Entry[]): Promise<void> {
    const middle = Math.ceil(batch.length / 2)
    await flush(batch.slice(0, middle))
    await flush(batch.slice(middle))
  }

  async function sendBatch(batch: readonly Entry[], at: Date): Promise<ReadonlyMap<string, FlushedRow>> {
    const { text, values } = statements.of(batch, at)
    const flushed = await send<FlushedRow>(deps.flushes, text, values)
    return new Map(flushed.map((row) => [row.run_id, row]))
  }

  function answer(batch: readonly Entry[], rows: ReadonlyMap<string, FlushedRow>, at: Date): void {
    for (const entry of batch) {
      const row = rows.get(entry.runId)
      if (entry.type === 'accept') entry.answered(row ? acceptedRow(row, at) : null)
      else if (row && !(entry.write.end && row.active_run_id === entry.runId)) entry.resolve(COMMITTED)
      // The next flush does not wait for a session that gives its turn on, nor for what did not pass.
      else void settle(entry, row)
    }
  }

  async function settle({ write, resolve, reject }: WriteEntry, row: FlushedRow | undefined): Promise<void> {
    if (row) return resolve({ type: 'committed', nextRunId: await turnAfter(write.sessionId) })
    for (;;) {
      try {
        return resolve(await refusalOf(write, { db: deps.db, advance: turnAfter }))
      } catch (error) {
        if (!isUnavailable(error) || deps.closing.aborted) return reject(asKernError(error))
        await deps.clock.sleep(LONGEST_RETRY_MS, deps.closing).catch(() => undefined)
      }
    }
  }

  /** The end is committed: a turn that cannot be given on now is found by its mark later. */
  async function turnAfter(sessionId: string): Promise<string | null> {
    return await deps.advance(sessionId).catch(() => null)
  }

  return {
    write: (write: RunWrite) =>
      new Promise<WriteOutcome>((resolve, reject) => {
        const encoded = encodeWrite(write)
        batches.add({ type: 'write', runId: write.runId, write, encoded, resolve, reject })
        schedule()
      }),
    accept: (run, owner) =>
      new Promise<AcceptedRow | null>((resolve, reject) => {
        const timer = setTimeout(() => {
          batches.remove(entry)
          reject(new KernError('UNAVAILABLE', `the run could not be accepted within ${ACCEPT_MS} ms`))
        }, ACCEPT_MS)
        const entry: Entry = {
          type: 'accept',
          runId: run.runId,
          run,
          encoded: acceptRows.encode({ run, owner }),
          answered(row) {
            clearTimeout(timer)
            resolve(row)
          },
          failed(error) {
            clearTimeout(timer)
            // What the server has undone as a whole did surely not happen.
            if (isUnavailable(error) && !isUndone(error)) reject(asKernError(error))
            else resolve(null)
          },
        }
        batches.add(entry)
        schedule()
      }),
  }
}

const COMMITTED: WriteOutcome = Object.freeze({ type: 'committed', nextRunId: null })

function acceptedRow({ number, active, state }: FlushedRow, startedAt: Date): AcceptedRow {
  // The statement writes and reads objects only.
  return { number: number ?? 0, active: active ?? false, startedAt, state: decode(state) as JsonObject }
}

/** True where the database is not there; what took too long, or too much memory, may pass in smaller parts. */
function isAway(error: unknown): boolean {
  return isUnavailable(error) && !isBlocked(error) && !['53200', '57014', undefined].includes(databaseCode(error))
}

/** True where the database itself has ended the statement, so that nothing of it was committed. */
function isUndone(error: unknown): boolean {
  return /^(40...|55P03|57014|53...)$/.test(databaseCode(error) ?? '')
}

/** True where a row that is to be changed is locked, and not for a moment only. */
function isBlocked(error: unknown): boolean {
  return databaseCode(error) === '55P03'
}
