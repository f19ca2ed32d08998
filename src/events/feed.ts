import type { Hub, Topic } from '../engine/ports.ts'
import type { Lookout } from './lookout.ts'

/**
 * What those have in common who follow one topic on behalf of one viewer: they are told together, and what several of them
 * read is read once.
 */
export interface Feed {
  /** Calls `ring` whenever there may be something to read, of this run where that is known, until the returned function is called. */
  follow(ring: (runId?: string) => void): () => void
  /** There may be something to read. */
  hear(runId?: string): void
  /** How often it was told that there may be something to read, from 1. Nothing that was told before was read at 0. */
  version(): number
  /** Gives what `read` gives, or what the same read gives that another follower began after the last news. */
  share<Found>(key: string, read: () => Promise<Found>): Promise<Found>
}

export interface FeedDeps {
  readonly hub: Hub
  readonly topic: Topic
  readonly lookout: Lookout
  /** The last follower has gone: it listens no more. */
  readonly left: () => void
}

/** Makes a feed, which listens at once: whoever makes it follows it. */
export function createFeed({ hub, topic, lookout, left }: FeedDeps): Feed {
  const rings = new Set<(runId?: string) => void>()
  const reads = new Map<string, { readonly version: number; readonly result: Promise<unknown> }>()
  let version = 1

  const feed: Feed = {
    follow(ring) {
      // A wrapper, so that the same function can follow twice.
      const own = (runId?: string) => ring(runId)
      rings.add(own)
      return () => {
        if (rings.delete(own) && rings.size === 0) stop()
      }
    },
    hear(runId) {
      version += 1
      for (const ring of rings) ring(runId)
    },
    version: () => version,
    async share<Found>(key: string, read: () => Promise<Found>): Promise<Found> {
      const other = reads.get(key)
      // `as`: a key stands for one kind of read.
      if (other?.version === version) return (await other.result) as Found
      const own = { version, result: read() }
      reads.set(key, own)
      try {
        return await own.result
      } finally {
        if (reads.get(key) === own) reads.delete(key)
      }
    },
  }
  // Where nobody knows what has changed, one look at the rows tells who has something to read.
  const unlisten = hub.listen(topic, ({ runId }) => (runId === undefined ? lookout.soon() : feed.hear(runId)))
  function stop(): void {
    unlisten()
    left()
  }
  return feed
}
