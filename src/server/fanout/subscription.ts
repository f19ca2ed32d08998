import { setImmediate as nextTurn } from 'node:timers/promises'
import type { GraphQLError } from 'graphql'
import type { LiveStream } from '../../engine/api.ts'
import type { Place } from '../../engine/cursor.ts'
import type { Frame, Outlet } from './frame.ts'
import type { Item, Member } from './group.ts'
import { createWatch, pullFrom } from './pull.ts'
import type { Rendered } from './render.ts'
import type { Applicant, Outcome, Room } from './room.ts'

/**
 * One subscription of one client. It begins with the first call of `next`, yields nothing itself, as frames go straight
 * to its outlet, and is done when the stream is. It fails with an error that is fit for clients. `return` ends it: nothing
 * is sent from then on.
 */
export interface Subscription extends AsyncIterableIterator<never, undefined> {
  /** Settles with the end, without beginning it. */
  readonly ended: Promise<unknown>
  /** The same, to be asked: a client may leave one and ask for another in one turn. */
  readonly hasEnded: boolean
  return(): Promise<IteratorReturnResult<undefined>>
}

export interface SubscriptionDeps {
  /** Null if it is to share that of a group from the beginning. */
  readonly stream: LiveStream<Item> | null
  readonly outlet: Outlet
  /** Where those are who asked for the same; null for a stream that nobody else can share. */
  readonly room: Room | null
  readonly render: (item: Item) => Promise<Rendered>
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
  /** What came before the first call of `next`, when nothing may be sent yet; null from then on. */
  let early: Frame[] | null = []
  let hasEnded = false

  const member: Member = {
    get ended() {
      return hasEnded
    },
    push: (frame) => (early ? void early.push(frame) : outlet.push(frame)),
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

  function applicantWith(stream: LiveStream<Item>): Applicant {
    const handOver = (): void => {
      own = null
    }
    return { member, stream, render, mask, handOver }
  }

  async function run(stream: LiveStream<Item>): Promise<void> {
    const applicant = applicantWith(stream)
    const watch = createWatch(stream)
    let pull = pullFrom(stream)
    for (let sent = 1; !hasEnded; sent += 1) {
      if (room && stream.place() !== null && (await watch.caughtUpBefore(pull))) {
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
    const { payload } = await render(item)
    return { payload, spot: item.spot ?? null, place }
  }

  // At once: until somebody has, nobody else can share it.
  if (own && room?.learn(own) === false) room.found(applicantWith(own))
  else if (!own && !room?.share(member)) throw new Error('there is no group to share the stream of')
  return {
    ended: ending.promise,
    get hasEnded() {
      return hasEnded
    },
    next() {
      const waiting = early
      early = null
      if (waiting && own) run(own).catch((error: unknown) => member.over(mask(error)))
      for (const frame of waiting ?? []) if (!hasEnded) outlet.push(frame)
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
