import type { RunChange } from './ports.ts'

/**
 * What another process may want to look at. It carries ids only, and may be lost, doubled, late or out of order: the
 * rows are the truth, and everybody reads them once a second anyway.
 */
export type Hint =
  /** A run has new events. */
  | (RunChange & { readonly type: 'changed' })
  /** There is a run that has its turn, and no place for it where that came to light. */
  | { readonly type: 'waiting' }
  /** Somebody asked for the cancel of a run that another process executes, or answered it. */
  | { readonly type: 'asked'; readonly runId: string }
  /** Hints may have been lost: anything may have changed. */
  | { readonly type: 'missed' }

/** Carries hints between the processes that share a database. */
export interface Hints {
  /** Tells the other processes, soon and not for sure. Never throws, and keeps nobody waiting. */
  tell(hint: Hint): void
  /** Calls `take` with what other processes tell, until the returned function is called. */
  listen(take: (hint: Hint) => void): () => void
}

/** For a process that is the only one, or is told of nothing. */
export const NO_HINTS: Hints = { tell: () => undefined, listen: () => () => undefined }
