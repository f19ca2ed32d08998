import type { Hints } from '../engine/hints.ts'
import type { Dispatcher } from '../engine/ports.ts'

/** Hands runs to the workers of other processes: for one that executes none itself. */
export function createElsewhere(hints: Hints): Dispatcher {
  const ask = (runId: string) => hints.tell({ type: 'asked', runId })
  return { reserve: () => null, offer: () => hints.tell({ type: 'waiting' }), answered: ask, abort: ask }
}
