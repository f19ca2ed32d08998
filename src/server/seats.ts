import type { Viewer } from '../viewer.ts'
import type { Refusal } from './refusal.ts'

export interface SeatLimits {
  /** How many clients may be connected. */
  readonly maxSockets: number
  /** How many times one viewer may be who is known by a `userId`. */
  readonly maxSocketsPerViewer: number
}

/** A place for one client that stays connected. */
export interface Seat {
  /** Gives it back. May be called more than once. */
  leave(): void
}

/** The places for clients that stay connected: WebSockets and event streams. */
export interface Seats {
  take(viewer: Viewer): Seat | Refusal
}

export function createSeats({ maxSockets, maxSocketsPerViewer }: SeatLimits): Seats {
  const perViewer = new Map<string, number>()
  let taken = 0

  function refusalFor({ userId }: Viewer): Refusal | null {
    const code = 'LIMIT_EXCEEDED'
    if (taken >= maxSockets) {
      const message = `${taken} WebSockets and event streams are open: allowed are ${maxSockets}`
      return { status: 503, code, message, limit: maxSockets }
    }
    const own = userId === null ? 0 : (perViewer.get(userId) ?? 0)
    if (own < maxSocketsPerViewer) return null
    const message = `The viewer has ${own} WebSockets and event streams open: allowed are ${maxSocketsPerViewer}`
    return { status: 429, code, message, limit: maxSocketsPerViewer }
  }

  function count({ userId }: Viewer, change: 1 | -1): void {
    taken += change
    if (userId === null) return
    const own = (perViewer.get(userId) ?? 0) + change
    if (own === 0) perViewer.delete(userId)
    else perViewer.set(userId, own)
  }

  return {
    take(viewer) {
      const refusal = refusalFor(viewer)
      if (refusal) return refusal
      count(viewer, 1)
      let isTaken = true
      return {
        leave() {
          if (isTaken) count(viewer, -1)
          isTaken = false
        },
      }
    },
  }
}
