import { KernError, shown } from '../errors.ts'
import { isUuid } from '../ids.ts'

/** A place in the events of a run: after event `seq`; 0 is before the first one. */
export interface EventCursor {
  readonly runId: string
  readonly seq: number
  /**
   * In a session: up to which number runs were told of as queued, where that is beyond the run's own. Means nothing to who
   * follows the run alone.
   */
  readonly queued?: number | undefined
}

/** Where an event stands in its session: by the number of its run, and in that by `seq`. */
export interface EventSpot {
  readonly number: number
  readonly seq: number
}

/**
 * How far a stream has come: every event up to the spot was given, or was not asked for, and so was RUN_QUEUED, which is
 * event 1, of each run up to number `queued`. In a session a run is told of as queued before its turn has come.
 */
export interface Place extends EventSpot {
  readonly queued: number
}

/** Whether a stream that has come so far has the event behind it. */
export function isBehind({ number, seq, queued }: Place, event: EventSpot): boolean {
  if (event.seq === 1 && event.number <= queued) return true
  return event.number < number || (event.number === number && event.seq <= seq)
}

/** The cursor of an event, as clients hand it back in `after`. */
export function encodeEventCursor({ runId, seq, queued }: EventCursor): string {
  const text = queued === undefined ? `${runId}:${seq}` : `${runId}:${seq}:${queued}`
  return Buffer.from(text).toString('base64url')
}

/** @throws KernError CURSOR_INVALID for anything that {@link encodeEventCursor} did not make */
export function decodeEventCursor(cursor: string): EventCursor {
  const [runId = '', ...numbers] = Buffer.from(cursor, 'base64url').toString().split(':')
  const [seq, queued] = numbers.map(countIn)
  const read = { runId, seq: seq ?? Number.NaN, queued }
  if (!isUuid(runId) || numbers.length > 2 || Number.isNaN(read.seq) || cursor !== encodeEventCursor(read)) {
    throw new KernError(
      'CURSOR_INVALID',
      `after is ${shown(cursor)}: allowed is the cursor of an event, or a run's lastCursor`,
    )
  }
  return read
}

function countIn(digits: string): number {
  const count = /^\d{1,10}$/.test(digits) ? Number(digits) : Number.NaN
  return count <= 2_147_483_647 ? count : Number.NaN
}
