import { type EventSpot, isBehind, type Place } from '../../engine/cursor.ts'
import type { Frame } from './frame.ts'

/** How many of its newest frames a group keeps, and how many bytes of them. */
const MAX_FRAMES = 256
const MAX_BYTES = 1_048_576
/** How many bytes of frames all groups keep together. */
const MAX_BYTES_IN_ALL = 33_554_432
/** What a frame takes besides its payload. */
const FRAME_BYTES = 256

/** The newest frames of those who ask for the same. */
export interface RecentFrames {
  /** Who has come here, or further, finds here all that follows; null where there is no order. */
  floor(): Place | null
  /** Keeps it, in the place of an older one of the same. */
  add(frame: Frame): void
  /** The frame of the event, as one has to get it who comes to `place` with it. */
  find(spot: EventSpot, place: Place): Frame | undefined
  /** Those that somebody who has come to the place has not got, in order. */
  since(place: Place): readonly Frame[]
  /** Keeps nothing any more. */
  close(): void
}

/** Makes room for the frames of a stream that begins at the place, or of several. */
export type Shelf = (start: Place | null) => RecentFrames

interface Kept {
  readonly frame: Frame
  drop(): void
}

/** Where all groups keep frames: the oldest of any goes first. */
export function createShelf(maxBytes = MAX_BYTES_IN_ALL): Shelf {
  const all = new Set<Kept>()
  let bytesInAll = 0
  return (start) => {
    const frames = new Map<string, Kept>()
    let bytes = 0
    let floor = start
    let isClosed = false

    function remove(key: string, kept: Kept): void {
      frames.delete(key)
      all.delete(kept)
      bytes -= sizeOf(kept.frame)
      bytesInAll -= sizeOf(kept.frame)
    }

    return {
      floor: () => floor,
      add(frame) {
        if (isClosed || !frame.spot || !frame.place) return
        const key = frameKey(frame.spot, frame.place)
        const older = frames.get(key)
        if (older) remove(key, older)
        const kept: Kept = {
          frame,
          drop: () => {
            floor = frame.place
            remove(key, kept)
          },
        }
        frames.set(key, kept)
        all.add(kept)
        bytes += sizeOf(frame)
        bytesInAll += sizeOf(frame)
        while (frames.size > MAX_FRAMES || bytes > MAX_BYTES) oldest(frames.values())?.drop()
        while (bytesInAll > maxBytes) oldest(all)?.drop()
      },
      find: (spot, place) => frames.get(frameKey(spot, place))?.frame,
      since(place) {
        return [...frames.values()].flatMap(({ frame }) => (frame.spot && !isBehind(place, frame.spot) ? [frame] : []))
      },
      close() {
        isClosed = true
        for (const [key, kept] of frames) remove(key, kept)
      },
    }
  }
}

function oldest(kept: Iterable<Kept>): Kept | undefined {
  for (const first of kept) return first
  return undefined
}

/** Equal for frames that are the same to who has come to one place: the same event with the same cursor. */
export function frameKey(spot: EventSpot, place: Place): string {
  return `${spot.number}:${spot.seq}:${place.number}:${place.seq}:${place.queued}`
}

function sizeOf({ payload }: Frame): number {
  return payload.length + FRAME_BYTES
}
