import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { createLookout } from '../../src/events/lookout.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createTestClock } from '../support/kerns.ts'

onEachDatabase((_name, open) => {
  test('one that throws when it is told ends no look, neither for itself nor for others', async () => {
    const { db } = await open()
    const closing = new AbortController()
    onTestFinished(() => closing.abort())
    const clock = createTestClock(systemClock, { hold: (ms) => ms === 1_000 })
    const lookout = createLookout({ reader: createReaderFor(db)(SYSTEM_VIEWER), clock, closing: closing.signal })
    let thrown = 0
    lookout.anything(() => {
      thrown += 1
      throw new Error('cannot hear')
    })
    let told = Promise.withResolvers<void>()
    lookout.anything(() => told.resolve())
    lookout.soon()
    await told.promise
    for (let looks = 2; looks <= 4; looks += 1) {
      told = Promise.withResolvers()
      await clock.asked(1_000)
      clock.elapse(1_000)
      await told.promise
      expect(thrown).toBe(looks)
    }
  })

  test('whoever asks for a look while another is about to end is given one', async () => {
    const { db } = await open()
    const closing = new AbortController()
    onTestFinished(() => closing.abort())
    const clock = createTestClock(systemClock, { hold: (ms) => ms === 1_000 })
    const lookout = createLookout({ reader: createReaderFor(db)(SYSTEM_VIEWER), clock, closing: closing.signal })
    let told = Promise.withResolvers<void>()
    lookout.anything(() => told.resolve())
    lookout.soon()
    for (let later = 0; later < 50; later += 1) {
      await told.promise
      for (let tick = 0; tick < later; tick += 1) await Promise.resolve()
      told = Promise.withResolvers()
      lookout.soon()
    }
    await told.promise
  })
})
