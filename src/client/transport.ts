import type { Answer, KernClientError } from './errors.ts'
import type { Operation } from './http.ts'

/** Who listens to a subscription. */
export interface Sink {
  /** @param size how long the text of the answer was, in characters */
  next(answer: Answer, size: number): void
  /** Nothing more comes: the subscription is complete, or the error says why not. Called at most once. */
  end(error?: KernClientError): void
}

/** A way on which subscriptions come. */
export interface Transport {
  /**
   * Opens a subscription.
   *
   * @returns releases it; the sink may be told of what was on its way, and should not listen
   */
  open(operation: Operation, sink: Sink): () => void
}

/** How long a connection may do what. */
export interface ConnectionTimes {
  /** How long a WebSocket may take to be ready, in milliseconds. */
  readonly openTimeoutMs: number
  /** How long a connection may be silent before it is taken for dead, in milliseconds. */
  readonly silenceMs: number
}

/**
 * Looks after a connection that has to be heard from. Networks may end one without telling its ends.
 *
 * @param ask called when half of the time is over, for what may ask the other side for a sign
 * @returns `heard` starts the time anew, `stop` ends it
 */
export function watchSilence(silenceMs: number, { ask, dead }: { ask(): void; dead(): void }) {
  let silent = 0
  const timer = setInterval(() => {
    silent++
    if (silent > 2) dead()
    else if (silent > 1) ask()
  }, silenceMs / 3)
  return {
    heard: (): void => {
      silent = 0
    },
    stop: (): void => clearInterval(timer),
  }
}
