import type { Hub, Topic } from '../engine/ports.ts'
import type { Reader } from '../engine/reader.ts'
import type { RunRecord } from '../engine/records.ts'
import type { Viewer } from '../viewer.ts'
import { createFeed, type Feed } from './feed.ts'
import { keyOf } from './hub.ts'
import type { Lookout } from './lookout.ts'
import { createRunTail, type RunTail } from './runTail.ts'

/** A run that is followed, and what is kept of it. */
export interface FollowedRun {
  readonly feed: Feed
  readonly tail: RunTail
}

/** A run that was just read, and where its first follower begins. */
export interface RunToFollow {
  readonly run: RunRecord
  /** The event after which it begins. */
  readonly start: number
  /** Reads on behalf of the viewer. */
  readonly reader: Pick<Reader, 'events'>
}

/** The feeds that are followed. Whoever is given one has to follow it at once: it ends when its last follower leaves. */
export interface Feeds {
  /** Of the events of a session. */
  session(viewer: Viewer, sessionId: string): Feed
  /** Of whatever happens, which is looked at once a second. */
  all(viewer: Viewer, topic: Topic): Feed
  /** Of the events of a run, if somebody follows it. */
  followed(viewer: Viewer, runId: string): FollowedRun | undefined
  run(viewer: Viewer, run: RunToFollow): FollowedRun
}

export function createFeeds({ hub, lookout }: { readonly hub: Hub; readonly lookout: Lookout }): Feeds {
  const feeds = new Map<string, Feed>()
  const runs = new Map<string, FollowedRun>()

  /** @param watch begins to watch the rows for a new feed, and gives what ends it */
  function feedOf(key: string, topic: Topic, watch: (feed: Feed) => () => void): Feed {
    const present = feeds.get(key)
    if (present) return present
    const left = () => {
      feeds.delete(key)
      unwatch()
    }
    const feed = createFeed({ hub, topic, lookout, left })
    const unwatch = watch(feed)
    feeds.set(key, feed)
    return feed
  }

  function followedRun(key: string, { run, start, reader }: RunToFollow): FollowedRun {
    const { runId } = run
    const left = () => {
      runs.delete(key)
      unwatch()
    }
    const feed = createFeed({ hub, topic: { runId }, lookout, left })
    const tail = createRunTail({ reader, feed, run, start })
    const unwatch = lookout.run({ runId, known: tail.newest, hear: () => feed.hear(runId), gone: tail.gone })
    runs.set(key, { feed, tail })
    return { feed, tail }
  }

  return {
    session: (viewer, sessionId) =>
      feedOf(keyFor(viewer, 'events', { sessionId }), { sessionId }, (feed) =>
        lookout.session(sessionId, () => feed.hear()),
      ),
    all: (viewer, topic) => feedOf(keyFor(viewer, 'all', topic), topic, (feed) => lookout.anything(() => feed.hear())),
    followed: (viewer, runId) => runs.get(keyFor(viewer, 'events', { runId })),
    run(viewer, asked) {
      const key = keyFor(viewer, 'events', { runId: asked.run.runId })
      return runs.get(key) ?? followedRun(key, asked)
    },
  }
}

function keyFor({ userId, scopes }: Viewer, kind: 'events' | 'all', topic: Topic): string {
  return JSON.stringify([userId, scopes, kind, keyOf(topic)])
}
