/** An async iterator of which more can be asked for at once, and that can be ended while it waits. */
export interface Watch<Item> extends AsyncIterableIterator<Item, undefined> {
  [Symbol.asyncIterator](): Watch<Item>
  next(): Promise<IteratorResult<Item, undefined>>
  /** Ends it, also while a `next` is waiting, which then resolves as done. `break` in a `for await` calls this. */
  return(): Promise<IteratorResult<Item, undefined>>
}

/** What a queue tells to whoever fills it. */
export interface QueueOwner {
  /** The first item is asked for. Not called if there is nobody who wants one. */
  start(): void
  /**
   * An item was taken that had waited.
   *
   * @param size as it was pushed with
   */
  taken(size: number): void
  /** Nobody wants any more. Called once if it was started, however it ended. */
  stop(): void
}

/** An item that waits. */
export interface Waiting<Item> {
  readonly item: Item
  /** How long its text was, in characters. */
  readonly size: number
}

/** Items between a connection that pushes and a loop that pulls. */
export interface Queue<Item> {
  /** What waits to be taken, oldest first. */
  readonly items: Waiting<Item>[]
  readonly watch: Watch<Item>
  /** @returns by how much that makes more wait: nothing if a loop was there to take it */
  push(item: Item, size: number): number
  /** Nothing more comes: what waits is still given, then the end, or the error. */
  end(error?: unknown): void
  /** Ends it at once, without what waits. */
  abort(error: unknown): void
}

interface Waiter<Item> {
  resolve(result: IteratorResult<Item, undefined>): void
  reject(error: unknown): void
}

/**
 * Not a generator: `return` of a generator waits for its pending `next`, which may be waiting for an event that never
 * comes.
 */
export function createQueue<Item>(owner: QueueOwner): Queue<Item> {
  const items: Waiting<Item>[] = []
  const waiters: Waiter<Item>[] = []
  let state: 'new' | 'open' | 'over' = 'new'
  let failure: { readonly error: unknown } | undefined

  /** Gives the end to one who asked. An error is told once. */
  const finish = ({ resolve, reject }: Waiter<Item>): void => {
    const failed = failure
    failure = undefined
    if (failed) reject(failed.error)
    else resolve({ done: true, value: undefined })
  }
  const end = (error?: unknown): void => {
    if (state === 'over') return
    const started = state === 'open'
    state = 'over'
    if (error !== undefined) failure = { error }
    for (const waiter of waiters.splice(0)) finish(waiter)
    if (started) owner.stop()
  }
  const abort = (error?: unknown): void => {
    items.length = 0
    end(error)
  }
  const next = () =>
    new Promise<IteratorResult<Item, undefined>>((resolve, reject) => {
      const oldest = items.shift()
      if (oldest) {
        resolve({ done: false, value: oldest.item })
        return owner.taken(oldest.size)
      }
      if (state === 'over') return finish({ resolve, reject })
      waiters.push({ resolve, reject })
      if (state === 'open') return
      state = 'open'
      owner.start()
    })
  const watch: Watch<Item> = {
    [Symbol.asyncIterator]: () => watch,
    next,
    return: async () => {
      failure = undefined
      abort()
      return { done: true, value: undefined }
    },
  }
  const push = (item: Item, size: number): number => {
    const waiter = waiters.shift()
    if (waiter) waiter.resolve({ done: false, value: item })
    else items.push({ item, size })
    return waiter ? 0 : size
  }
  return { items, watch, push, end, abort }
}
