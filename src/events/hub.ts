import { type Hints, NO_HINTS } from '../engine/hints.ts'
import type { ChangeNews, Hub, RunChange, StepProgress, Topic } from '../engine/ports.ts'
import type { StepKey } from '../engine/reader.ts'

/** What wakes everybody, where nobody knows what has changed. */
const ANYTHING: ChangeNews = { settled: true }

/**
 * Wakes those in this process who wait for a change, which carries no data: they read the rows. Changes that come to
 * pass here are told to other processes, and theirs wake those who wait here. And hands on the partial outputs of steps,
 * which are in no row and stay in their process.
 */
export function createHub(hints: Hints = NO_HINTS): Hub {
  const changes = createTopics<ChangeNews, RunChange & ChangeNews>()
  const progresses = createTopics<StepProgress, StepProgress>()
  /** The newest of each step that is under way. */
  const newest = new Map<string, StepProgress>()
  const stepOf = ({ runId, path }: StepKey) => `${runId}:${path}`

  hints.listen((hint) => {
    if (hint.type === 'changed') changes.tell(hint)
    else if (hint.type === 'missed') changes.tellEveryone(ANYTHING)
  })

  return {
    publish(change, finished) {
      changes.tell({ ...change, finished })
      hints.tell({ ...change, type: 'changed' })
    },
    listen: changes.listen,
    progress(progress) {
      if (progress.partialOutput === undefined) newest.delete(stepOf(progress))
      else newest.set(stepOf(progress), progress)
      progresses.tell(progress)
    },
    listenToProgress(topic, take) {
      const stop = progresses.listen(topic, take)
      // It is not stored: who follows a run that has begun would see nothing of it before the next one.
      if ('runId' in topic) {
        for (const progress of newest.values()) if (progress.runId === topic.runId) take(progress)
      }
      return stop
    },
    partialOutput: (key) => newest.get(stepOf(key))?.partialOutput,
  }
}

/** What concerns a run, and with it its session and workflow. */
interface OfRun {
  readonly runId: string
  readonly sessionId: string
  readonly workflowId: string
}

interface Topics<News, Message> {
  tell(message: Message): void
  tellEveryone(news: News): void
  listen(topic: Topic, take: (news: News) => void): () => void
}

function createTopics<News, Message extends News & OfRun>(): Topics<News, Message> {
  const listeners = new Map<string, Set<(news: News) => void>>()
  return {
    tell(message) {
      for (const key of keysOf(message)) {
        for (const take of listeners.get(key) ?? []) take(message)
      }
    },
    tellEveryone(news) {
      for (const set of listeners.values()) {
        for (const take of set) take(news)
      }
    },
    listen(topic, take) {
      const key = keyOf(topic)
      const set = listeners.get(key) ?? new Set()
      listeners.set(key, set)
      // A wrapper, so that the same function can listen twice.
      const listener = (news: News) => take(news)
      set.add(listener)
      return () => {
        set.delete(listener)
        if (set.size === 0 && listeners.get(key) === set) listeners.delete(key)
      }
    },
  }
}

function keysOf({ runId, sessionId, workflowId }: OfRun): string[] {
  return [keyOf({ runId }), keyOf({ sessionId }), keyOf({ workflowId }), keyOf({ everything: true })]
}

/** A text for each topic. */
export function keyOf(topic: Topic): string {
  if ('runId' in topic) return `run:${topic.runId}`
  if ('sessionId' in topic) return `session:${topic.sessionId}`
  return 'workflowId' in topic ? `workflow:${topic.workflowId}` : 'everything'
}
