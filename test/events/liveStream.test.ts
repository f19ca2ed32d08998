import { expect, test } from 'vitest'
import { liveStream } from '../../src/events/liveStream.ts'

test('a stream that finds work again and again, and gives nothing, lets the process do other things', async () => {
  let turned = false
  const immediate = setImmediate(() => {
    turned = true
  })
  let steps = 0
  const stream = liveStream<object>({
    place: () => null,
    open: () => ({
      async step() {
        steps += 1
        return turned || steps === 100_000 ? 'over' : 'again'
      },
      wait: () => Promise.resolve(),
      release: () => clearImmediate(immediate),
    }),
  })
  expect(await stream.next()).toEqual({ done: true, value: undefined })
  expect(turned).toBe(true)
})

test('a stream that was woken for nothing again and again lets the process do other things', async () => {
  let turned = false
  const immediate = setImmediate(() => {
    turned = true
  })
  let steps = 0
  const stream = liveStream<object>({
    place: () => null,
    open: () => ({
      async step() {
        steps += 1
        return turned || steps === 100_000 ? 'over' : 'idle'
      },
      wait: () => Promise.resolve(),
      release: () => clearImmediate(immediate),
    }),
  })
  expect(await stream.next()).toEqual({ done: true, value: undefined })
  expect(turned).toBe(true)
})
