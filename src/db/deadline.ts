import { KernError } from '../errors.ts'

/** How long to wait for a promise. */
export interface Limit {
  /** In milliseconds. */
  readonly ms: number
  /** What is awaited, for the error. */
  readonly what: string
  /** Called when the time is over. */
  readonly onExpired?: (() => void) | undefined
}

/**
 * Waits for a promise, but not for ever: a connection whose other end is gone may never answer nor fail.
 *
 * @param ms how long to wait, in milliseconds
 * @param what what is awaited, for the error
 * @throws KernError UNAVAILABLE after `ms`; what the promise does later is dropped
 */
export function deadline<T>(ms: number, promise: PromiseLike<T>, what: string): Promise<T> {
  return limited(promise, { ms, what })
}

/** As {@link deadline}, and tells when the time is over. */
export function limited<T>(promise: PromiseLike<T>, { ms, what, onExpired }: Limit): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new KernError('UNAVAILABLE', `${what} did not end within ${ms} ms`))
      onExpired?.()
    }, ms)
    promise.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}
