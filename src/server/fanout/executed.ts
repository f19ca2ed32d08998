import type { EventSpot, Place } from '../../engine/cursor.ts'
import type { Frame } from './frame.ts'
import { frameKey, type RecentFrames } from './recent.ts'

/** An event where it stands, and the place that a stream comes to with it. */
export interface Standing {
  readonly spot: EventSpot
  readonly place: Place
}

/** Frames that are made once, however many come to their event at about the same time. */
export interface Executed {
  frame(at: Standing, render: () => Promise<Buffer>): Promise<Frame>
  close(): void
}

/** @param recent where they are kept for who comes a little later */
export function createExecuted(recent: RecentFrames): Executed {
  const underWay = new Map<string, Promise<Frame>>()

  async function execute(at: Standing, render: () => Promise<Buffer>): Promise<Frame> {
    const frame = { ...at, payload: await render() }
    recent.add(frame)
    return frame
  }

  return {
    async frame(at, render) {
      const found = recent.find(at.spot, at.place)
      if (found) return found
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
