import { KernError, shown } from '../errors.ts'
import { isUuid } from '../ids.ts'

/** A place in the events of a run: after event `seq`; 0 is before the first one. */
export interface EventCursor {
  readonly runId: string
  readonly seq: number
}

/** The cursor of an event, as clients hand it back in `after`. */
export function encodeEventCursor({ runId, seq }: EventCursor): string {
  return Buffer.from(`${runId}:${seq}`).toString('base64url')
}

/** @throws KernError CURSOR_INVALID for anything that {@link encodeEventCursor} did not make */
export function decodeEventCursor(cursor: string): EventCursor {
  const [runId = '', digits = '', ...rest] = Buffer.from(cursor, 'base64url').toString().split(':')
  const seq = Number(digits)
  if (
    !isUuid(runId) ||
    !/^\d{1,10}$/.test(digits) ||
    seq > 2_147_483_647 ||
    rest.length > 0 ||
    cursor !== encodeEventCursor({ runId, seq })
  ) {
    throw new KernError(
      'CURSOR_INVALID',
      `after is ${shown(cursor)}: allowed is the cursor of an event, or a run's lastCursor`,
    )
  }
  return { runId, seq }
}
