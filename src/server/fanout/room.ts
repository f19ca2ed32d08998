import type { GraphQLError } from 'graphql'
import type { LiveStream } from '../../engine/api.ts'
import type { Place } from '../../engine/cursor.ts'
import type { Desk } from './desk.ts'
import { createExecuted } from './executed.ts'
import type { Frame } from './frame.ts'
import { type Admission, createGroup, type Group, type Item, type Member } from './group.ts'
import { type Pull, pullFrom } from './pull.ts'
import type { Shelf } from './recent.ts'
import type { Rendered } from './render.ts'
import type { Rounds } from './rounds.ts'

/** Somebody with a stream of their own who would rather share one. */
export interface Applicant {
  readonly member: Member
  readonly stream: LiveStream<Item>
  readonly render: Render
  readonly mask: (error: unknown) => GraphQLError
  /** Called at once when the stream becomes that of a group. */
  readonly handOver: () => void
}

type Render = (item: Item) => Promise<Rendered>

/** `founded`: live, and the stream is that of a new group now. Else as {@link Admission}. */
export type Outcome = Admission | 'founded'

/** All who have asked for the same: a group of those who are live, and those who are on the way there. */
export interface Room {
  /**
   * Asks to join where events have an order. `pull` is the call of the stream's `next` that is under way: if it is
   * answered before it is their turn, they stay alone.
   */
  join(applicant: Applicant, pull: Pull<Item>): Promise<Outcome>
  /** Learns from a stream whether events have an order here. @returns that */
  learn(stream: LiveStream<Item>): boolean
  /** Makes the stream that of a group, where events have no order. It must not have been asked for anything. */
  found(applicant: Applicant): Outcome
  /**
   * Joins a group whose events have no order, if there is one. Only who has no stream yet may: what one that is open has
   * heard would be lost with it.
   */
  share(member: Member): boolean
  /** The event as a frame, for a stream that has come to the place with it. Executed if nobody here has done so lately. */
  frame(item: Item, place: Place | null, render: Render): Promise<Frame>
  leave(member: Member): void
  /** Drops what is kept. To be called when all have left. */
  close(): void
  /** Whether there is a group. */
  hasGroup(): boolean
  /** Whether there is one whose events have no order, so that it can be shared by {@link share}. */
  canShare(): boolean
  /**
   * Resolves when a stream may be opened, with what is to be called once it is, or has failed. As long as nobody knows
   * whether events have an order here, one is opened after another: what has none is to be shared, and not opened twice.
   */
  opening(): Promise<() => void>
}

export interface RoomDeps {
  readonly shelf: Shelf
  readonly rounds: Rounds
  readonly desk: Desk
}

export function createRoom({ shelf, rounds, desk }: RoomDeps): Room {
  const executed = createExecuted(shelf(null))
  let group: Group | null = null
  /** Null until a stream was opened. */
  let isOrdered: boolean | null = null
  let first: Promise<void> | null = null

  function found({ member, stream, render, mask, handOver }: Applicant, pull: Pull<Item>): Outcome {
    const recent = shelf(stream.place())
    const onOver = (): void => {
      group = null
    }
    handOver()
    const make = (item: Item, place: Place | null) => frame(item, place, render)
    group = createGroup(member, { source: stream, pull, recent, rounds, frame: make, mask, onOver })
    return 'founded'
  }

  async function frame(item: Item, place: Place | null, render: Render): Promise<Frame> {
    const { spot = null } = item
    if (spot && place) return await executed.frame({ spot, place }, () => render(item))
    const { payload } = await render(item)
    return { spot, place, payload }
  }

  return {
    join: (applicant, pull) =>
      new Promise((resolve) => {
        desk(() => {
          const { member, stream } = applicant
          if (pull.arrived || member.ended) resolve('alone')
          else resolve(group ? group.admit(member, stream.place()) : found(applicant, pull))
        })
      }),
    found: (applicant) => (group ? 'alone' : found(applicant, pullFrom(applicant.stream))),
    learn(stream) {
      isOrdered = stream.place() !== null
      return isOrdered
    },
    // Without an order nobody waits.
    share: (member) => group?.admit(member, null) === 'live',
    frame,
    leave: (member) => group?.leave(member),
    close: executed.close,
    hasGroup: () => group !== null,
    canShare: () => group !== null && isOrdered === false,
    async opening() {
      while (first) await first
      if (isOrdered !== null) return () => undefined
      const { promise, resolve } = Promise.withResolvers<void>()
      first = promise
      return () => {
        first = null
        resolve()
      }
    },
  }
}
