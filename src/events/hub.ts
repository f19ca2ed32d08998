import type { Hub, RunChange, StepKey, StepProgress, Topic } from '../engine/ports.ts'
import type { Json } from '../json.ts'

/**
 * Wakes those in this process who wait for a change, which carries no data: they read the rows. And hands on the partial
 * outputs of steps, which are in no row.
 */
export function createHub(): Hub {
  const changes = createTopics<RunChange>()
  const progresses = createTopics<StepProgress>()
  const partialOutputs = new Map<string, Json>()
  const stepOf = ({ runId, path }: StepKey) => `${runId}:${path}`

  return {
    publish: changes.tell,
    listen: changes.listen,
    progress(progress) {
      const { partialOutput } = progress
      if (partialOutput === undefined) partialOutputs.delete(stepOf(progress))
      else partialOutputs.set(stepOf(progress), partialOutput)
      progresses.tell(progress)
    },
    listenToProgress: progresses.listen,
    partialOutput: (key) => partialOutputs.get(stepOf(key)),
  }
}

/** What concerns a run, and with it its session and workflow. */
interface OfRun {
  readonly runId: string
  readonly sessionId: string
  readonly workflowId: string
}

interface Topics<Message> {
  tell(message: Message): void
  listen(topic: Topic, take: (message: Message) => void): () => void
}

function createTopics<Message extends OfRun>(): Topics<Message> {
  const listeners = new Map<string, Set<(message: Message) => void>>()
  return {
    tell(message) {
      for (const key of keysOf(message)) {
        for (const take of listeners.get(key) ?? []) take(message)
      }
    },
    listen(topic, take) {
      const key = keyOf(topic)
      const set = listeners.get(key) ?? new Set()
      listeners.set(key, set)
      // A wrapper, so that the same function can listen twice.
      const listener = (message: Message) => take(message)
      set.add(listener)
      return () => {
        set.delete(listener)
        if (set.size === 0 && listeners.get(key) === set) listeners.delete(key)
      }
    },
  }
}

function keysOf({ runId, sessionId, workflowId }: OfRun): string[] {
  return [keyOf({ runId }), keyOf({ sessionId }), keyOf({ workflowId })]
}

function keyOf(topic: Topic): string {
  if ('runId' in topic) return `run:${topic.runId}`
  return 'sessionId' in topic ? `session:${topic.sessionId}` : `workflow:${topic.workflowId}`
}
