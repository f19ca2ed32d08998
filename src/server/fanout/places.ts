import type { Place } from '../../engine/cursor.ts'

/** Whether everything that lies behind `other` lies behind `place`, too. */
export function covers(place: Place, other: Place): boolean {
  const isThere = place.number > other.number || (place.number === other.number && place.seq >= other.seq)
  return isThere && lastQueued(place) >= other.queued
}

/** The last of the runs of which, and of all before it, event 1 lies behind the place. */
function lastQueued({ number, seq, queued }: Place): number {
  return Math.max(queued, seq > 0 ? number : number - 1)
}
