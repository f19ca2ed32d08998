/** Tells a stream when to look at the rows: at its beginning, and when it is woken. */
export interface Alarm {
  /** There may be something to read. */
  ring(): void
  /** Ends the wait that is under way, or else the next one, with nothing to read. */
  stir(): void
  /** Whether there may be something to read. */
  isRung(): boolean
  /** The same. Whoever is told so reads it. */
  answered(): boolean
  /** Resolves when it rings, at once if it has, when it stirs, and when the signal aborts. */
  wait(): Promise<void>
}

export function createAlarm(signal: AbortSignal): Alarm {
  let rung = true
  let stirred = false
  let resolve: () => void = () => undefined
  const stir = () => {
    stirred = true
    resolve()
  }
  signal.addEventListener('abort', stir, { once: true })
  return {
    ring() {
      rung = true
      stir()
    },
    stir,
    isRung: () => rung,
    answered() {
      const answer = rung
      rung = false
      return answer
    },
    async wait() {
      if (!rung && !stirred && !signal.aborted) {
        await new Promise<void>((next) => {
          resolve = next
        })
      }
      stirred = false
    },
  }
}
