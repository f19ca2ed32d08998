import { type Bell, createBell } from '../engine/bell.ts'

/** A place of a worker, and the run that has it. */
export interface Place {
  readonly abort: AbortController
  readonly answers: Bell
  /** Whether this process owns the run: one that it only tries to take may be executed by another. */
  owned: boolean
  /** How many answers the run had when the bell was last rung for what is in its row. */
  answersSeen: number
  /** Whether the run was offered while it had this place: it may have been put aside, and go on already. */
  offered: boolean
  /** Whether runs of its workflow may wait, because no more of them may be executed at once. */
  limited: boolean
  /** Whether it is clear that the run, which was offered, is owned here or is not to be had. */
  readonly claimed: PromiseWithResolvers<boolean>
  /** Resolves when the place is free. */
  done: Promise<void>
}

export function createPlace(): Place {
  return {
    abort: new AbortController(),
    answers: createBell(),
    owned: false,
    answersSeen: 0,
    offered: false,
    limited: false,
    claimed: Promise.withResolvers(),
    done: Promise.resolve(),
  }
}
