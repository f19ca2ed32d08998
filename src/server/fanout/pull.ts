/** A call of `next` that was made, and whether it was answered. */
export interface Pull<Item> {
  readonly result: Promise<IteratorResult<Item, undefined>>
  arrived: boolean
}

export function pullFrom<Item>(stream: AsyncIterator<Item, undefined>): Pull<Item> {
  const pull: Pull<Item> = { result: stream.next(), arrived: false }
  const arrive = () => {
    pull.arrived = true
  }
  // A rejection is for who awaits the result.
  pull.result.then(arrive, arrive)
  return pull
}

/** Watches when a stream has nothing to give for the moment. */
export interface Watch {
  /** Resolves when the stream has caught up while the call waits, or else when the call is answered: false then. */
  caughtUpBefore(pull: Pull<unknown>): Promise<boolean>
}

/** One for each stream: a promise that resolves late must not be waited for anew at each event, which it would keep. */
export function createWatch(stream: { caughtUp(): Promise<void> }): Watch {
  let isWatching = false
  let isCaughtUp = false
  let wake: () => void = () => undefined

  function watch(): void {
    if (isWatching) return
    isWatching = true
    isCaughtUp = false
    void stream.caughtUp().then(() => {
      isWatching = false
      isCaughtUp = true
      wake()
    })
  }

  return {
    async caughtUpBefore(pull) {
      watch()
      await new Promise<void>((resolve) => {
        wake = resolve
        pull.result.then(
          () => resolve(),
          () => resolve(),
        )
      })
      return isCaughtUp && !pull.arrived
    },
  }
}
