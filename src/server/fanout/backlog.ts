export interface BacklogLimits {
  /** How many bytes of live events may wait to be sent to a client. */
  readonly maxBufferedBytes: number
  /** How many live events may wait to be sent to a client. */
  readonly maxBufferedEvents: number
  /** How long nothing may leave while something waits to be sent, in milliseconds. */
  readonly stalledMs: number
}

/** What waits to be sent on one connection. */
export interface Backlog {
  /** Whether so much waits that no live event may be added. */
  isFull(): boolean
  /** So many bytes of a live event are about to be sent. */
  add(bytes: number): void
  /** So many bytes are about to be sent by somebody who waits until they have left, and then says so by {@link left}. */
  addPaced(bytes: number): void
  left(bytes: number): void
  /** Whether nothing has left for too long. To be asked from time to time. */
  isStalled(): boolean
}

/** @param buffered how many bytes wait to be sent, of whatever they are */
export function createBacklog(buffered: () => number, limits: BacklogLimits): Backlog {
  const { maxBufferedBytes, maxBufferedEvents, stalledMs } = limits
  /** The sizes of live events, oldest first, that may not all have left. */
  const sizes: number[] = []
  let live = 0
  let paced = 0
  let written = 0
  let gone = 0
  /** Since when nothing has left, as far as was seen; null if nothing waited. */
  let stuckSince: number | null = null

  return {
    isFull() {
      const waiting = buffered() - paced
      if (waiting <= 0) {
        // The way of every client that keeps up.
        sizes.length = 0
        live = 0
        return false
      }
      let [first] = sizes
      while (first !== undefined && live - first >= waiting) {
        sizes.shift()
        live -= first
        first = sizes[0]
      }
      return waiting > maxBufferedBytes || sizes.length >= maxBufferedEvents
    },
    add(bytes) {
      sizes.push(bytes)
      live += bytes
      written += bytes
    },
    addPaced(bytes) {
      paced += bytes
      written += bytes
    },
    left(bytes) {
      paced -= bytes
    },
    isStalled() {
      const waiting = buffered()
      const now = performance.now()
      if (waiting === 0) stuckSince = null
      else if (stuckSince === null || written - waiting > gone) stuckSince = now
      gone = written - waiting
      return stuckSince !== null && now - stuckSince > stalledMs
    },
  }
}
