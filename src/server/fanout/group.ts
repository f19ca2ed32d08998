import type { GraphQLError } from 'graphql'
import type { LiveStream, StreamedEvent } from '../../engine/api.ts'
import { isBehind, type Place } from '../../engine/cursor.ts'
import type { Frame } from './frame.ts'
import { covers } from './places.ts'
import { type Pull, pullFrom } from './pull.ts'
import type { RecentFrames } from './recent.ts'
import type { Receiver, Rounds } from './rounds.ts'

/** What a shared stream gives: an event, or whatever else a subscription without an order is about. */
export type Item = Partial<Pick<StreamedEvent, 'spot'>>

/** One subscription, as its group sees it. */
export interface Member extends Receiver {
  /** The stream has ended, or failed with an error that is fit for clients. */
  over(error: GraphQLError | null): void
}

/**
 * What becomes of somebody who asks to join. `live`: all that follows their place comes to them, and nothing twice.
 * `alone`: they go on with their own stream.
 */
export type Admission = 'live' | 'alone'

/** Subscriptions of the same that are live: one stream, one execution and one text for each event. */
export interface Group {
  /**
   * Asks for a member to join who has come to the place, exactly. Decided at once, unless they are ahead of the group:
   * then it is when the group has come to them.
   */
  admit(member: Member, place: Place | null): Admission | Promise<Admission>
  leave(member: Member): void
}

export interface GroupDeps {
  readonly source: LiveStream<Item>
  /** The call of the source's `next` that is under way. */
  readonly pull: Pull<Item>
  readonly recent: RecentFrames
  readonly rounds: Rounds
  /** The item as a frame, for the stream that has come to the place with it. */
  readonly frame: (item: Item, place: Place | null) => Promise<Frame>
  readonly mask: (error: unknown) => GraphQLError
  /** Called once, when nobody can join any more. */
  readonly onOver: () => void
}

/** How many bytes of frames somebody may be behind who joins: what they get at once must not make them too slow. */
const MAX_BEHIND_BYTES = 65_536

interface Waiting {
  readonly place: Place
  decide(admission: Admission): void
}

/** A group whose first member is this one. Its place must be that of the source. */
export function createGroup(first: Member, deps: GroupDeps): Group {
  const { source, recent, rounds, mask, onOver } = deps
  const members = new Set([first])
  /** Those who are ahead of the group. */
  const waiting = new Map<Member, Waiting>()
  let { pull } = deps
  /** After the newest frame. */
  let reached = source.place()
  let isOver = false

  async function pump(): Promise<void> {
    for (;;) {
      const step = await pull.result
      if (isOver || step.done) return
      const place = source.place()
      const frame = await deps.frame(step.value, place)
      if (isOver) return
      reached = place
      recent.add(frame)
      // Who joins from here on finds the frame among the recent ones, or had it before.
      await rounds.send(settle(frame), frame)
      if (isOver) return
      pull = pullFrom(source)
    }
  }

  /** Where the group is. The stream may have passed events that nobody asked for since the newest frame. */
  const here = (): Place | null => (pull.arrived ? reached : source.place())

  /** Lets in those to whom the group comes with this frame. @returns who is to get it */
  function settle({ spot, place }: Frame): readonly Member[] {
    if (!spot || !place) return [...members]
    const later: Member[] = []
    for (const [member, { place: theirs, decide }] of waiting) {
      const isNews = !isBehind(theirs, spot)
      if (covers(place, theirs)) {
        waiting.delete(member)
        if (isNews) members.add(member)
        else later.push(member)
        decide('live')
      } else if (isNews) {
        // The cursor of this frame would lead them back behind what they have.
        waiting.delete(member)
        decide('alone')
      }
    }
    const receivers = [...members]
    for (const member of later) members.add(member)
    return receivers
  }

  function end(error: GraphQLError | null): void {
    if (isOver) return
    isOver = true
    onOver()
    recent.close()
    for (const { decide } of waiting.values()) decide('alone')
    for (const member of members) member.over(error)
    members.clear()
    waiting.clear()
    // It has ended by itself, if it did not fail: this cannot.
    void source.return?.().catch(() => undefined)
  }

  pump().then(
    () => end(null),
    (error: unknown) => end(mask(error)),
  )
  return {
    admit(member, place) {
      if (isOver) return 'alone'
      const [at, floor] = [here(), recent.floor()]
      if (!place || !at || !floor) {
        if (place || at) return 'alone'
        members.add(member)
        return 'live'
      }
      if (!covers(place, floor)) return 'alone'
      if (!covers(at, place)) {
        return new Promise((decide) => {
          waiting.set(member, { place, decide })
        })
      }
      const missed = recent.since(place)
      if (!areFit(missed, place)) return 'alone'
      for (const frame of missed) member.push(frame)
      if (!member.ended) members.add(member)
      return 'live'
    },
    leave(member) {
      waiting.get(member)?.decide('alone')
      waiting.delete(member)
      members.delete(member)
      if (members.size === 0 && waiting.size === 0) end(null)
    },
  }
}

/** Whether frames may be sent at once to somebody who has come to the place: a cursor must not lead them back behind it. */
function areFit(frames: readonly Frame[], place: Place): boolean {
  const bytes = frames.reduce((sum, { payload }) => sum + payload.length, 0)
  if (frames.length > 1 && bytes > MAX_BEHIND_BYTES) return false
  return frames.every((frame) => frame.place && covers(frame.place, place))
}
