import { setTimeout as delay } from 'node:timers/promises'
import type { Follower } from './follower.ts'

/** Fails as soon as a client does, and where nothing ends any more, with what those do that hang. */
export function createWatch(followers: readonly Follower[], ms: number): <T>(work: Promise<T>) => Promise<T> {
  const failed = Promise.all(followers.map(({ done }) => done)).then(() => new Promise<never>(() => undefined))
  failed.catch(() => undefined)
  const hanging = delay(ms, undefined, { ref: false }).then(() => {
    const cut = followers.filter(({ phase }) => phase === 'cut')
    const open = cut.length > 0 ? cut : followers.filter(({ phase }) => phase === 'last')
    throw new Error(
      `${open.length} clients hang:\n${open
        .slice(0, 10)
        .map((one) => one.describe())
        .join('\n')}`,
    )
  })
  hanging.catch(() => undefined)
  return (work) => Promise.race([work, failed, hanging])
}
