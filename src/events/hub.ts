import type { Hub, RunChange, Topic } from '../engine/ports.ts'

/** Wakes those in this process who wait for a change. It carries no data: they read the rows. */
export function createHub(): Hub {
  const listeners = new Map<string, Set<(change: RunChange) => void>>()

  return {
    publish(change: RunChange) {
      for (const key of keysOf(change)) {
        for (const wake of listeners.get(key) ?? []) wake(change)
      }
    },
    listen(topic, wake) {
      const key = keyOf(topic)
      const set = listeners.get(key) ?? new Set()
      listeners.set(key, set)
      // A wrapper, so that the same function can listen twice.
      const listener = (change: RunChange) => wake(change)
      set.add(listener)
      return () => {
        set.delete(listener)
        if (set.size === 0 && listeners.get(key) === set) listeners.delete(key)
      }
    },
  }
}

function keysOf({ runId, sessionId, workflowId }: RunChange): string[] {
  return [keyOf({ runId }), keyOf({ sessionId }), keyOf({ workflowId })]
}

function keyOf(topic: Topic): string {
  if ('runId' in topic) return `run:${topic.runId}`
  return 'sessionId' in topic ? `session:${topic.sessionId}` : `workflow:${topic.workflowId}`
}
