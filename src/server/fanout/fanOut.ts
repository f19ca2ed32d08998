import { createSourceEventStream, type GraphQLError, type GraphQLSchema } from 'graphql'
import type { KernContext } from '../../../schema/context.ts'
import type { LiveStream } from '../../engine/api.ts'
import { nodesError } from '../depth.ts'
import type { Mask } from '../mask.ts'
import type { Outlet } from './frame.ts'
import type { Item } from './group.ts'
import { groupKey } from './key.ts'
import { type Asked, createRender } from './render.ts'
import { createRooms, type Entered } from './rooms.ts'
import { createSubscription, type Subscription } from './subscription.ts'

export interface FanOutDeps {
  readonly schema: GraphQLSchema
  readonly createContext: () => KernContext
  readonly mask: Mask
}

/** What is open now. All 0 when no client is subscribed. */
export interface FanOutCounts {
  /** Of clients. */
  readonly subscriptions: number
  /** Of subscriptions that share a stream. */
  readonly groups: number
  /** Streams of events: one a group, and one for each subscription that is in none. */
  readonly sources: number
}

/**
 * Subscriptions whose frames are executed and serialised once for all who asked the same, whatever transport they came
 * by.
 */
export interface FanOut {
  /**
   * Opens a subscription that was parsed and found valid.
   *
   * @returns the errors, not yet masked, if it is refused
   */
  open(asked: Asked, outlet: Outlet): Promise<Subscription | readonly GraphQLError[]>
  counts(): FanOutCounts
}

export function createFanOut(deps: FanOutDeps): FanOut {
  const { schema, createContext, mask } = deps
  const rooms = createRooms()
  const renderAsked = createRender(deps)
  let subscriptions = 0
  let sources = 0

  const counted = (stream: AsyncIterable<unknown>): LiveStream<Item> => {
    sources += 1
    return withEnd(asLive(stream), () => {
      sources -= 1
    })
  }

  function subscribe({ asked, outlet, entered, stream }: Opened): Subscription {
    subscriptions += 1
    return createSubscription({
      stream,
      outlet,
      room: entered?.room ?? null,
      render: (item) => renderAsked(asked, item),
      mask: (error) => mask.error(error, asked),
      onEnd: () => {
        subscriptions -= 1
        entered?.leave()
      },
    })
  }

  return {
    async open(asked, outlet) {
      const contextValue = createContext()
      const { document, operationName, variableValues } = asked
      const args = { schema, document, operationName, variableValues, contextValue }
      const refused = nodesError(args)
      if (refused) return [refused]
      const entered = rooms.enter(groupKey(asked, contextValue.viewer))
      const isOpened = await entered.room.opening()
      try {
        // What happens while a stream is opened would be lost to who hands it in, as nobody can catch up there.
        if (entered.room.canShare()) return subscribe({ asked, outlet, entered, stream: null })
        const opened = await createSourceEventStream(args)
        const isStream = Symbol.asyncIterator in opened
        if (isStream && isLive(opened)) return subscribe({ asked, outlet, entered, stream: counted(opened) })
        entered.leave()
        return isStream ? subscribe({ asked, outlet, entered: null, stream: counted(opened) }) : (opened.errors ?? [])
      } catch (error) {
        entered.leave()
        throw error
      } finally {
        isOpened()
      }
    },
    counts: () => ({ subscriptions, groups: rooms.groups(), sources }),
  }
}

interface Opened {
  readonly asked: Asked
  readonly outlet: Outlet
  readonly entered: Entered | null
  readonly stream: LiveStream<Item> | null
}

function isLive(stream: AsyncIterable<unknown>): stream is LiveStream<Item> {
  return 'place' in stream && 'caughtUp' in stream && 'next' in stream
}

/** A stream of another kind has no place, and nobody can tell when it has caught up. */
function asLive(stream: AsyncIterable<unknown>): LiveStream<Item> {
  if (isLive(stream)) return stream
  const iterator = stream[Symbol.asyncIterator]()
  return {
    // Whatever it gives is what the resolvers of the schema expect.
    next: () => iterator.next() as Promise<IteratorResult<Item, undefined>>,
    async return() {
      await iterator.return?.()
      return { done: true, value: undefined }
    },
    place: () => null,
    caughtUp: () => new Promise(() => undefined),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** Says when the stream has ended: by itself, by failing, or because nobody wants it any more. */
function withEnd(stream: LiveStream<Item>, onEnd: () => void): LiveStream<Item> {
  let hasEnded = false
  const end = (): void => {
    if (!hasEnded) onEnd()
    hasEnded = true
  }
  return {
    async next() {
      try {
        const step = await stream.next()
        if (step.done) end()
        return step
      } catch (error) {
        end()
        throw error
      }
    },
    async return() {
      end()
      await stream.return?.()
      return { done: true, value: undefined }
    },
    place: () => stream.place(),
    caughtUp: () => stream.caughtUp(),
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
