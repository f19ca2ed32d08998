import type { Frame } from './frame.ts'

/** How many members of one group are sent to before it is the turn of the next group. */
const SHARE = 100
/** How long is sent before the event loop may do something else, in milliseconds. */
const TURN_MS = 5

/** Who is sent a frame. */
export interface Receiver {
  /** True for one that has left. */
  readonly ended: boolean
  push(frame: Frame): void
}

/**
 * Sends frames of all groups, in turns: a group with many members, or a large frame, keeps neither other groups nor
 * requests waiting for long.
 */
export interface Rounds {
  /** Resolves when all of them were sent the frame who had not left. */
  send(receivers: readonly Receiver[], frame: Frame): Promise<void>
}

interface Round {
  readonly receivers: readonly Receiver[]
  readonly frame: Frame
  next: number
  readonly done: () => void
}

export function createRounds(): Rounds {
  const rounds: Round[] = []
  let isDue = false

  function turn(): void {
    const end = performance.now() + TURN_MS
    do {
      const round = rounds.shift()
      if (!round) break
      share(round, end)
      if (round.next < round.receivers.length) rounds.push(round)
      else round.done()
    } while (performance.now() < end)
    isDue = rounds.length > 0
    if (isDue) setImmediate(turn)
  }

  return {
    send: (receivers, frame) =>
      new Promise((done) => {
        rounds.push({ receivers, frame, next: 0, done })
        if (!isDue) setImmediate(turn)
        isDue = true
      }),
  }
}

function share(round: Round, end: number): void {
  const { receivers, frame } = round
  const last = Math.min(round.next + SHARE, receivers.length)
  while (round.next < last) {
    const receiver = receivers[round.next]
    round.next += 1
    if (receiver?.ended === false) receiver.push(frame)
    if (performance.now() >= end) return
  }
}
