import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Frame } from '../../../src/server/fanout/frame.ts'
import { createRounds, type Receiver } from '../../../src/server/fanout/rounds.ts'

const FRAME: Frame = { payload: Buffer.from('{}'), spot: null, place: null }

/** Receivers that each take a twentieth of a millisecond of the processor. */
function busy(count: number, push: () => void): Receiver[] {
  return Array.from({ length: count }, () => ({
    ended: false,
    push() {
      const end = performance.now() + 0.05
      while (performance.now() < end);
      push()
    },
  }))
}

test('while a frame is sent to two thousand, the event loop does other things', async () => {
  const rounds = createRounds()
  let sent = 0
  const done = rounds.send(
    busy(2_000, () => {
      sent += 1
    }),
    FRAME,
  )
  await nextTurn()
  await nextTurn()
  expect(sent).toBeGreaterThan(0)
  expect(sent).toBeLessThan(1_000)
  await done
  expect(sent).toBe(2_000)
})

test('a small group need not wait until a large one has been sent to', async () => {
  const rounds = createRounds()
  const order: string[] = []
  const large = rounds
    .send(
      busy(2_000, () => undefined),
      FRAME,
    )
    .then(() => order.push('large'))
  const small = rounds
    .send(
      busy(150, () => undefined),
      FRAME,
    )
    .then(() => order.push('small'))
  await Promise.all([large, small])
  expect(order).toEqual(['small', 'large'])
})

test('who has left in the meantime is sent nothing', async () => {
  const rounds = createRounds()
  const receivers = Array.from({ length: 300 }, () => ({
    ended: false,
    got: 0,
    push() {
      this.got += 1
      for (const other of receivers.slice(200)) other.ended = true
    },
  }))
  await rounds.send(receivers, FRAME)
  expect(receivers.filter(({ got }) => got === 1)).toHaveLength(200)
})
