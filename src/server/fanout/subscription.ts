import { setImmediate as nextTurn } from 'node:timers/promises'
import type { GraphQLError } from 'graphql'
import type { LiveStream } from '../../engine/api.ts'
import type { Place } from '../../engine/cursor.ts'
import type { Frame, Outlet } from './frame.ts'
import type { Item, Member } from './group.ts'
import { createWatch, pullFrom } from './pull.ts'
import type { Applicant, Outcome, Room } from './room.ts'

/**
 * One subscription of one client. It begins with the first call of `next`, yields nothing itself, as frames go straight
 * to its outlet, and is done when the stream is. It fails with an error that is fit for clients. `return` ends it: nothing
 * is sent from then on.
 */
export interface Subscription extends AsyncIterableIterator<never, undefined> {
  /** Settles with the end, without beginning it. */
  readonly ended: Promise<unknown>
  return(): Promise<IteratorReturnResult<undefined>>
}

export interface SubscriptionDeps {
  readonly stream: LiveStream<Item>
  readonly outlet: Outlet
  /** Where those are who asked for the same; null for a stream that nobody else can share. */
  readonly room: Room | null
  readonly render: (item: Item) => Promise<Buffer>
  readonly mask: (error: unknown) => GraphQLError
  /** Called once, when it has ended. */
  readonly onEnd: () => void
}

/** How many events one subscription sends before the event loop may do something else. */
const SHARE = 64

const OVER = { done: true, value: undefined } as const

/**
 * First alone, at the pace of its client, so that who reads a long history is not too slow for it; then, when there is
 * nothing more to be read, in a group with others.
 */
export function createSubscription(deps: SubscriptionDeps): Subscription {
  const { outlet, room, render, mask, onEnd } = deps
  /** Null once it has ended or is that of a group: a member that stays for long should not keep it. */
  let own: LiveStream<Item> | null = deps.stream
  const ending = Promise.withResolvers<typeof OVER>()
  // Whoever asks for the end is told; nobody may.
  ending.promise.catch(() => undefined)
  let hasBegun = false
  let hasEnded = false

  const member: Member = {
    get ended() {
      return hasEnded
    },
    push: outlet.push,
    over: (error) => end(() => (error ? ending.reject(error) : ending.resolve(OVER))),
  }
  function end(settle: () => void): void {
    if (hasEnded) return
    hasEnded = true
    room?.leave(member)
    release()
    settle()
    onEnd()
  }

  function release(): void {
    // We have ended it: what it says to that changes nothing.
    void own?.return?.().catch(() => undefined)
    own = null
  }

  async function run(stream: LiveStream<Item>): Promise<void> {
    const handOver = (): void => {
      own = null
    }
    const applicant: Applicant = { member, stream, render, mask, handOver }
    const isOrdered = stream.place() !== null
    if (room && !isOrdered && isJoined(room.joinAtOnce(applicant))) return
    const watch = createWatch(stream)
    let pull = pullFrom(stream)
    for (let sent = 1; !hasEnded; sent += 1) {
      if (room && isOrdered && (await watch.caughtUpBefore(pull))) {
        if (isJoined(await room.join(applicant, pull))) return
      }
      const step = await pull.result
      if (hasEnded) return
      if (step.done) return member.over(null)
      await give(step.value, stream.place())
      if (sent % SHARE === 0) await nextTurn()
      pull = pullFrom(stream)
    }
  }

  function isJoined(outcome: Outcome): boolean {
    if (outcome === 'live') release()
    return outcome !== 'alone'
  }

  async function give(item: Item, place: Place | null): Promise<void> {
    const frame = await (room?.frame(item, place, render) ?? renderAlone(item, place))
    if (!hasEnded) await outlet.send(frame)
  }

  async function renderAlone(item: Item, place: Place | null): Promise<Frame> {
    return { payload: await render(item), spot: item.spot ?? null, place }
  }

  return {
    ended: ending.promise,
    next() {
      if (own && !hasBegun) {
        hasBegun = true
        run(own).catch((error: unknown) => member.over(mask(error)))
      }
      return ending.promise
    },
    async return() {
      end(() => ending.resolve(OVER))
      return OVER
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
