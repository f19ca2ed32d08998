import { expect, test } from 'vitest'
import { createRooms } from '../../../src/server/fanout/rooms.ts'
import { createSubscription } from '../../../src/server/fanout/subscription.ts'
import type { LiveStream } from '../../../src/engine/api.ts'
import { createFeed, type FeedEvent, type Row } from './feed.ts'

const row = (seq: number): Row => ({ number: 1, seq, isLast: false, text: `event ${seq}` })

function sharing() {
  const rooms = createRooms()
  const feed = createFeed()
  return {
    feed,
    enter: () => rooms.enter('all'),
    subscribe(stream: LiveStream<FeedEvent> | null) {
      const { room, leave } = rooms.enter('all')
      const texts: string[] = []
      const take = ({ payload }: { readonly payload: Buffer }) => void texts.push(String(payload))
      const subscription = createSubscription({
        stream,
        room,
        outlet: { push: take, send: async (frame) => take(frame) },
        // As the feed gives them.
        render: async (item) => ({ payload: Buffer.from((item as FeedEvent).text), isFaulty: false }),
        mask: () => {
          throw new Error('nothing fails here')
        },
        onEnd: leave,
      })
      return { subscription, texts, room }
    },
  }
}

test('who asks for what has no order shares it from the moment on that it is opened, and is sent nothing before it begins', async () => {
  const { feed, subscribe } = sharing()
  const first = subscribe(feed.open({ isOrdered: false }))
  expect(first.room.canShare()).toBe(true)
  const ended = [first.subscription.next()]
  const second = subscribe(null)
  expect(feed.count()).toBe(1)
  feed.commit(row(1))
  await expect.poll(() => first.texts).toEqual(['event 1'])
  expect(second.texts).toEqual([])
  ended.push(second.subscription.next())
  expect(second.texts).toEqual(['event 1'])
  feed.commit(row(2))
  await expect.poll(() => second.texts).toEqual(['event 1', 'event 2'])
  feed.end()
  await Promise.all(ended)
})

test('two who open streams without an order at once keep both: what either has heard is not lost', async () => {
  const { feed, subscribe } = sharing()
  const first = subscribe(feed.open({ isOrdered: false }))
  const second = subscribe(feed.open({ isOrdered: false }))
  const ended = [first.subscription.next()]
  feed.commit(row(1))
  await expect.poll(() => first.texts).toEqual(['event 1'])
  ended.push(second.subscription.next())
  await expect.poll(() => second.texts).toEqual(['event 1'])
  feed.end()
  await Promise.all(ended)
})

test('streams are opened one after another until one is there, and then as they come', async () => {
  const { feed, subscribe, enter } = sharing()
  const { room } = enter()
  const firstIsOpen = await room.opening()
  const order: string[] = []
  const second = room.opening().then((isOpen) => {
    order.push('second')
    isOpen()
  })
  const { subscription } = subscribe(feed.open({}))
  order.push('first')
  firstIsOpen()
  await second
  expect(order).toEqual(['first', 'second'])
  const both = await Promise.all([room.opening(), room.opening()])
  for (const isOpen of both) isOpen()
  await subscription.return()
})

test('events with an order are not shared without a stream: who comes late has to catch up', async () => {
  const { feed, subscribe } = sharing()
  const { subscription, room, texts } = subscribe(feed.open({}))
  const ended = subscription.next()
  feed.commit(row(1))
  await expect.poll(() => texts).toEqual(['event 1'])
  await expect.poll(() => room.hasGroup()).toBe(true)
  expect(room.canShare()).toBe(false)
  feed.end()
  await ended
})
