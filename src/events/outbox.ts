import type { Hint } from '../engine/hints.ts'
import type { RunChange } from '../engine/ports.ts'
import { encodeHints } from './hintCode.ts'

/** How many runs are remembered; of more than that, only that there were too many. */
const MAX_RUNS = 2_000
/** How many messages go out at once; instead of more, one that says to look at everything. */
const MAX_MESSAGES = 20

/** Hints that wait to be sent, each but once. */
export interface Outbox {
  isEmpty(): boolean
  add(hint: Hint): void
  /** Empties it into messages. */
  take(): string[]
}

/** @param from who sends them */
export function createOutbox(from: string): Outbox {
  const changed = new Map<string, RunChange>()
  const asked = new Set<string>()
  let waiting = false
  let missed = false

  function hints(): Hint[] {
    if (missed) return [{ type: 'missed' }]
    return [
      ...(waiting ? [{ type: 'waiting' } as const] : []),
      ...[...asked].map((runId) => ({ type: 'asked', runId }) as const),
      ...[...changed.values()].map((change) => ({ ...change, type: 'changed' }) as const),
    ]
  }

  return {
    isEmpty: () => !missed && !waiting && changed.size + asked.size === 0,
    add(hint) {
      if (hint.type === 'missed') missed = true
      else if (hint.type === 'waiting') waiting = true
      else if (hint.type === 'asked') asked.add(hint.runId)
      else {
        const settled = hint.settled || (changed.get(hint.runId)?.settled ?? false)
        changed.set(hint.runId, { ...hint, settled })
      }
      if (changed.size + asked.size > MAX_RUNS) missed = true
      if (!missed) return
      changed.clear()
      asked.clear()
    },
    take() {
      const messages = encodeHints(from, hints())
      changed.clear()
      asked.clear()
      waiting = false
      missed = false
      return messages.length > MAX_MESSAGES ? encodeHints(from, [{ type: 'missed' }]) : messages
    },
  }
}
