/** Gathers calls by key into calls for many keys. */
export type Batched<Key, Value> = (key: Key) => Promise<Value | null>

/**
 * One call of `load` is under way at a time, and those that come meanwhile are answered by the next: each by a call that
 * began after it, and each key once, however many ask for it.
 *
 * @param load answers in the order of the keys
 */
export function batched<Key, Value>(
  load: (keys: readonly Key[]) => Promise<readonly (Value | null)[]>,
): Batched<Key, Value> {
  let waiting = new Map<Key, PromiseWithResolvers<Value | null>>()
  let busy = false

  async function send(): Promise<void> {
    while (waiting.size > 0) {
      const asked = waiting
      waiting = new Map()
      try {
        const values = await load([...asked.keys()])
        for (const [index, { resolve }] of [...asked.values()].entries()) resolve(values[index] ?? null)
      } catch (error) {
        for (const { reject } of asked.values()) reject(error)
      }
    }
    busy = false
  }

  return (key) => {
    const answer = waiting.get(key) ?? Promise.withResolvers<Value | null>()
    waiting.set(key, answer)
    if (!busy) {
      busy = true
      // A moment later, so that what is asked for together is one call.
      void Promise.resolve().then(send)
    }
    return answer.promise
  }
}
