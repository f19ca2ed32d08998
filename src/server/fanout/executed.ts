import type { EventSpot, Place } from '../../engine/cursor.ts'
import type { Frame } from './frame.ts'
import { frameKey, type RecentFrames } from './recent.ts'
import type { Rendered } from './render.ts'

/** How long a frame is for others too, in milliseconds: what belongs to its event may have changed since. */
const MAX_AGE_MS = 2_000

/** An event where it stands, and the place that a stream comes to with it. */
export interface Standing {
  readonly spot: EventSpot
  readonly place: Place
}

/** Frames that are made once, however many come to their event at about the same time. */
export interface Executed {
  frame(at: Standing, render: () => Promise<Rendered>): Promise<Frame>
  close(): void
}

/** @param recent where they are kept for who comes a little later, unless they are faulty */
export function createExecuted(recent: RecentFrames, maxAgeMs = MAX_AGE_MS): Executed {
  const underWay = new Map<string, Promise<Frame>>()
  const madeAt = new WeakMap<Frame, number>()

  async function execute(at: Standing, render: () => Promise<Rendered>): Promise<Frame> {
    const now = performance.now()
    const { payload, isFaulty } = await render()
    const frame = { ...at, payload }
    madeAt.set(frame, now)
    if (!isFaulty) recent.add(frame)
    return frame
  }

  return {
    async frame(at, render) {
      const found = recent.find(at.spot, at.place)
      if (found && performance.now() - (madeAt.get(found) ?? 0) < maxAgeMs) return found
      const key = frameKey(at.spot, at.place)
      const frame = underWay.get(key) ?? execute(at, render)
      underWay.set(key, frame)
      try {
        return await frame
      } finally {
        underWay.delete(key)
      }
    },
    close: recent.close,
  }
}
