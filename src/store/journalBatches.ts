import type { KernError } from '../errors.ts'
import type { AcceptedRow, NewRun } from '../engine/commands/commandStore.ts'
import type { RunWrite, WriteOutcome } from '../engine/ports.ts'
import type { EncodedWrite } from './journalStatement.ts'
import type { EncodedRow } from './rowSet.ts'

/** What waits for a flush: what a run has done, or a run that is to be accepted. */
export type Entry = WriteEntry | AcceptEntry

export interface WriteEntry {
  readonly type: 'write'
  readonly runId: string
  readonly write: RunWrite
  readonly encoded: EncodedWrite
  readonly resolve: (outcome: WriteOutcome) => void
  readonly reject: (error: KernError) => void
}

export interface AcceptEntry {
  readonly type: 'accept'
  readonly runId: string
  readonly run: NewRun
  readonly encoded: EncodedRow
  readonly answered: (row: AcceptedRow | null) => void
  readonly failed: (error: unknown) => void
}

/** How many runs one statement is about at most: it bounds how long others wait for it. */
const MAX_ENTRIES = 200
/** How much text one statement has at most, in UTF-16 code units, if it has more than one entry. */
const MAX_TEXT = 2_097_152
/** From this number on, a batch is split in two, so that the database and this process work at the same time. */
const SPLIT_FROM = 32

export interface Batches {
  add(entry: Entry): void
  /** Takes an entry out; false if it is not here any more. */
  remove(entry: Entry): boolean
  isEmpty(): boolean
  /** What the next flush is to write; `first` where no other is on its way. */
  next(first: boolean): readonly Entry[]
}

/**
 * The queue before the flushes, in the order of arrival, but for two rules. Of runs that are accepted together no two
 * have one key, or contradict each other about their session: the later one waits for the next flush, and others may pass
 * it. And runs for sessions that others may know go alone: they lock their sessions in the order of ids, and must not meet a
 * session in the same statement that a run's end has locked out of turn.
 */
export function createBatches(): Batches {
  let waiting: Entry[] = []
  let known: AcceptEntry[] = []
  let knownFirst = false

  const isKnown = (entry: Entry): entry is AcceptEntry => entry.type === 'accept' && !entry.run.session.isNew

  return {
    add(entry) {
      if (isKnown(entry)) known.push(entry)
      else waiting.push(entry)
    },
    remove(entry) {
      const before = waiting.length + known.length
      waiting = waiting.filter((other) => other !== entry)
      known = known.filter((other) => other !== entry)
      return waiting.length + known.length < before
    },
    isEmpty: () => waiting.length + known.length === 0,
    next(first) {
      const turn = waiting.length === 0 || (knownFirst && known.length > 0)
      knownFirst = !turn
      const queue: readonly Entry[] = turn ? known : waiting
      const half = first && queue.length >= SPLIT_FROM ? Math.ceil(queue.length / 2) : queue.length
      const { taken, left } = split(queue, Math.min(half, MAX_ENTRIES))
      if (turn) known = left.filter(isKnown)
      else waiting = left
      return taken
    },
  }
}

function split(queue: readonly Entry[], limit: number): { taken: Entry[]; left: Entry[] } {
  const taken: Entry[] = []
  const left: Entry[] = []
  const claims = new Map<string, string>()
  let text = 0
  for (const entry of queue) {
    const size = sizeOf(entry)
    const own = entry.type === 'accept' ? claimsOf(entry.run) : []
    const fits = taken.length < limit && (taken.length === 0 || text + size <= MAX_TEXT)
    if (!fits || own.some(([name, claim]) => (claims.get(name) ?? claim) !== claim)) {
      left.push(entry)
      continue
    }
    for (const [name, claim] of own) claims.set(name, claim)
    text += size
    taken.push(entry)
  }
  return { taken, left }
}

/** What runs in one statement may only share if they say the same of it. */
function claimsOf({ runId, session, userId, idempotencyKey }: NewRun): [name: string, claim: string][] {
  const { sessionId, workflowId, name } = session
  const ofSession = JSON.stringify([workflowId, session.userId, name === null ? null : runId])
  return [
    [`session ${sessionId}`, ofSession],
    ...(idempotencyKey === null ? [] : [[`key ${idempotencyKey} of ${userId}`, runId] satisfies [string, string]]),
  ]
}

function sizeOf(entry: Entry): number {
  if (entry.type === 'accept') return lengthOf(entry.encoded)
  return entry.encoded.steps.reduce((sum, step) => sum + lengthOf(step), lengthOf(entry.encoded.run))
}

function lengthOf(row: EncodedRow): number {
  let length = 0
  for (const text of row) length += text.length
  return length
}
