import type { Clock } from '../clock.ts'
import type { EventStreams, LiveStream, RunSetQuery, StreamedEvent, Workflows } from '../engine/api.ts'
import { decodeEventCursor, type EventCursor } from '../engine/cursor.ts'
import type { Hub, Topic } from '../engine/ports.ts'
import type { ReaderFor } from '../engine/reader.ts'
import type { RunRecord, SessionRecord } from '../engine/records.ts'
import { KernError, shown } from '../errors.ts'
import { SYSTEM_VIEWER, type Viewer } from '../viewer.ts'
import type { Feed } from './feed.ts'
import { createFeeds, type FollowedRun } from './feeds.ts'
import { follow, type Source } from './follow.ts'
import { createLookout } from './lookout.ts'
import { createRows } from './rows.ts'
import { emptyRunSet, runSet } from './runSet.ts'
import { runSource, type SessionPlace, sessionSource, workflowSource } from './sources.ts'
import { readTypes, type Types } from './types.ts'

export interface StreamDeps {
  readonly hub: Hub
  readonly readerFor: ReaderFor
  readonly workflows: Workflows
  readonly clock: Clock
  /** Ends all streams with its reason, an UNAVAILABLE error. @default never */
  readonly closing?: AbortSignal | undefined
}

export function createEventStreams({ hub, readerFor, workflows, clock, closing }: StreamDeps): EventStreams {
  const lookout = createLookout({ reader: readerFor(SYSTEM_VIEWER), clock, closing })
  const feeds = createFeeds({ hub, lookout })
  const rows = createRows(readerFor)

  const stream = (source: Source, types: Types = null): LiveStream<StreamedEvent> =>
    follow(source, { hub, types, closing })

  /** A run, and the event after which somebody follows it. What is known of one that is followed is not read again. */
  async function runFrom(viewer: Viewer, runId: string, cursor: EventCursor | null) {
    const present = feeds.followed(viewer, runId)
    if (present && (!cursor || (cursor.runId === runId && cursor.seq <= present.tail.newest()))) {
      return { ...present, seq: cursor?.seq ?? 0 }
    }
    const run = await rows.run(viewer, runId)
    if (!run) throw new KernError('NOT_FOUND', `there is no run ${shown(runId)}`)
    const seq = cursor ? seqIn(run, cursor) : 0
    const followed: FollowedRun = feeds.run(viewer, { run, start: seq, reader: readerFor(viewer) })
    followed.tail.learn(run)
    return { ...followed, seq }
  }

  async function placeIn(viewer: Viewer, session: SessionRecord, cursor: EventCursor): Promise<SessionPlace> {
    const run = await rows.run(viewer, cursor.runId)
    if (!run) {
      const message = `run ${cursor.runId}, of which after is, is not kept any more: begin without it, at the oldest event that is`
      throw new KernError('CURSOR_EXPIRED', message)
    }
    const { sessionId, runCount } = session
    if (run.sessionId !== sessionId) {
      throw new KernError(
        'CURSOR_INVALID',
        `after is of run ${cursor.runId}: allowed is the cursor of an event of session ${shown(sessionId)}`,
      )
    }
    const { number } = run
    const seq = seqIn(run, cursor)
    const { queued = number } = cursor
    if (cursor.queued !== undefined && (queued <= number || queued > runCount)) {
      throw new KernError(
        'CURSOR_INVALID',
        `after is beyond run ${queued} of session ${shown(sessionId)}: allowed is the cursor of an event, and there are ${runCount} runs`,
      )
    }
    return { cursor, place: { number, seq, queued } }
  }

  /** Follows everything of a topic while the stream is made: until then nobody else may. */
  async function onFeed<Made>(viewer: Viewer, topic: Topic, make: (feed: Feed) => Promise<Made>): Promise<Made> {
    const feed = feeds.all(viewer, topic)
    const unfollow = feed.follow(() => undefined)
    return await make(feed).finally(unfollow)
  }

  return {
    async run(viewer, { runId, after, types = null }) {
      const cursor = after == null ? null : decodeEventCursor(after)
      const { feed, tail, seq } = await runFrom(viewer, runId, cursor)
      return stream(runSource(feed, tail, { runId, seq, types: readTypes(types) }), types)
    },
    async session(viewer, { sessionId, after, types = null }) {
      const session = await rows.session(viewer, sessionId)
      if (!session) throw new KernError('NOT_FOUND', `there is no session ${shown(sessionId)}`)
      const from = after == null ? null : await placeIn(viewer, session, decodeEventCursor(after))
      const { createdAt } = session
      const options = { sessionId, from, types: readTypes(types), reader: readerFor(viewer), createdAt }
      return stream(sessionSource(feeds.session(viewer, sessionId), options), types)
    },
    async workflow(viewer, { workflowId, types = null }) {
      if (!workflows.get(workflowId)) throw new KernError('NOT_FOUND', `no workflow ${shown(workflowId)} is served`)
      const options = { workflowId, types: readTypes(types), reader: readerFor(viewer), clock }
      return await onFeed(viewer, { workflowId }, async (feed) => stream(await workflowSource(feed, options), types))
    },
    async runs(viewer, { filter }) {
      if (filter.statuses?.length === 0) return emptyRunSet({ closing })
      const readRun = (runId: string) => rows.run(viewer, runId)
      const options = { filter, reader: readerFor(viewer), readRun, clock, closing }
      return await onFeed(viewer, topicOf({ filter }), (feed) => runSet({ ...options, feed }))
    },
    partialOutput: hub.partialOutput,
  }
}

function seqIn(run: RunRecord, cursor: EventCursor): number {
  if (cursor.runId === run.runId && cursor.seq <= run.lastSeq) return cursor.seq
  const fault =
    cursor.runId === run.runId ? `event ${cursor.seq}, but the newest is ${run.lastSeq}` : `run ${cursor.runId}`
  throw new KernError('CURSOR_INVALID', `after is of ${fault}: allowed is the cursor of an event of run ${run.runId}`)
}

/** The smallest topic to which everything belongs that a filter finds. */
function topicOf({ filter: { sessionId, workflowId } }: RunSetQuery): Topic {
  if (sessionId != null) return { sessionId }
  return workflowId != null ? { workflowId } : { everything: true }
}
