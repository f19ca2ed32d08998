import type { EventSpot, Place } from '../../engine/cursor.ts'

/** An event as clients get it: executed and serialised once, for all who asked the same. */
export interface Frame {
  /** The JSON text of the result, with `data` and perhaps `errors`. */
  readonly payload: Buffer
  /** Where the event stands; null where it has no order. */
  readonly spot: EventSpot | null
  /** The place of the stream after the event, which its cursor stands for; null where there is no order. */
  readonly place: Place | null
}

/** Where the frames of one subscription go. */
export interface Outlet {
  /**
   * Sends at once. If too much waits to be sent already, the client is too slow: its connection is closed. Never throws.
   */
  push(frame: Frame): void
  /** Sends, and resolves when it has left, or the connection is gone. */
  send(frame: Frame): Promise<void>
}
