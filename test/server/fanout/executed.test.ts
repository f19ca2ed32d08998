import { expect, test } from 'vitest'
import { createExecuted } from '../../../src/server/fanout/executed.ts'
import { createShelf } from '../../../src/server/fanout/recent.ts'

const FIRST = { spot: { number: 1, seq: 1 }, place: { number: 1, seq: 1, queued: 0 } }

/** Executes the first event as often as it is asked to, and counts. */
function counting(faults: readonly boolean[]) {
  let count = 0
  return {
    count: () => count,
    render: async () => {
      const isFaulty = faults[count] ?? false
      count += 1
      return { payload: Buffer.from(String(count)), isFaulty }
    },
  }
}

test('an event is executed once for those who come at the same time, and a little later', async () => {
  const executed = createExecuted(createShelf()(null))
  const { render, count } = counting([])
  const frames = await Promise.all([executed.frame(FIRST, render), executed.frame(FIRST, render)])
  frames.push(await executed.frame(FIRST, render))
  expect(frames.map(({ payload }) => String(payload))).toEqual(['1', '1', '1'])
  expect(count()).toBe(1)
})

test('a faulty result is for those who came at the same time, and not for who comes later', async () => {
  const executed = createExecuted(createShelf()(null))
  const { render } = counting([true])
  const frames = await Promise.all([executed.frame(FIRST, render), executed.frame(FIRST, render)])
  frames.push(await executed.frame(FIRST, render), await executed.frame(FIRST, render))
  expect(frames.map(({ payload }) => String(payload))).toEqual(['1', '1', '2', '2'])
})

test('what was executed too long ago is executed anew, and kept in its place', async () => {
  const recent = createShelf()(null)
  const executed = createExecuted(recent, 0)
  const { render } = counting([])
  await executed.frame(FIRST, render)
  expect(String((await executed.frame(FIRST, render)).payload)).toBe('2')
  expect(String(recent.find(FIRST.spot, FIRST.place)?.payload)).toBe('2')
})
