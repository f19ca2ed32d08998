import { expect, test } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import { createProgress, PROGRESS_MS } from '../../src/engine/progress.ts'
import type { Json } from '../../src/json.ts'

/** A clock on which time only passes when the test says so. */
function createManualClock() {
  const waits = new Set<() => void>()
  const asked: number[] = []
  const clock: Clock = {
    now: () => new Date(0),
    idle: async () => {
      throw new Error('progress waits by sleep only')
    },
    sleep: (ms, signal) => {
      asked.push(ms)
      return new Promise((resolve, reject) => {
        waits.add(resolve)
        signal?.addEventListener('abort', () => {
          waits.delete(resolve)
          reject(signal.reason)
        })
      })
    },
  }
  return {
    clock,
    asked,
    waiting: () => waits.size,
    /** Ends the waits that are under way, and lets who waited go on. */
    async tick() {
      for (const resolve of waits) resolve()
      waits.clear()
      await Promise.resolve()
      await Promise.resolve()
    },
  }
}

/** Progress of what is pushed, but for what is said to be half a value. */
function start() {
  const manual = createManualClock()
  const published: Json[] = []
  const read: unknown[] = []
  const progress = createProgress({
    clock: manual.clock,
    read: (value) => {
      read.push(value)
      return value === 'half' ? undefined : (value as Json) // as the tests push it
    },
    publish: (value) => void published.push(value),
  })
  return { ...manual, published, read, progress }
}

test('the first value is published at once', () => {
  const { progress, published } = start()
  progress.push('a')
  expect(published).toEqual(['a'])
})

test('of the values that come in between only the newest is published, and the last one is not lost', async () => {
  const { progress, published, asked, tick } = start()
  progress.push(1)
  progress.push(2)
  progress.push(3)
  expect(published).toEqual([1])
  await tick()
  expect(published).toEqual([1, 3])
  expect(asked).toEqual([PROGRESS_MS, PROGRESS_MS])
})

test('a value that comes after a pause is published at once', async () => {
  const { progress, published, waiting, tick } = start()
  progress.push(1)
  await tick()
  expect(waiting()).toBe(0)
  progress.push(2)
  expect(published).toEqual([1, 2])
})

test('no two values are published within one interval', async () => {
  const { progress, published, tick } = start()
  for (const round of [1, 2, 3]) {
    for (const value of ['a', 'b', 'c']) progress.push(`${value}${round}`)
    await tick()
  }
  expect(published).toEqual(['a1', 'c1', 'c2', 'c3'])
})

test('after the end nothing is published, and no timer is left', async () => {
  const { progress, published, waiting, tick } = start()
  progress.push(1)
  progress.push(2)
  progress.end()
  expect(waiting()).toBe(0)
  await tick()
  progress.push(3)
  await tick()
  expect(published).toEqual([1])
})

test('the newest value is known, published or not, also after the end', () => {
  const { progress } = start()
  expect(progress.newest()).toBeUndefined()
  progress.push(1)
  progress.push(null)
  expect(progress.newest()).toBeNull()
  progress.end()
  expect(progress.newest()).toBeNull()
})

test('only what is published or asked for is read', async () => {
  const { progress, read, tick } = start()
  for (let n = 1; n <= 5; n += 1) progress.push(n)
  expect(read).toEqual([1])
  await tick()
  expect(read).toEqual([1, 5])
  expect(progress.newest()).toBe(5)
  expect(read).toEqual([1, 5])
  progress.push(6)
  progress.push(7)
  expect(progress.newest()).toBe(7)
  expect(read).toEqual([1, 5, 7])
})

test('a value that cannot be read is not published, and is read no more often than others', async () => {
  const { progress, published, read, tick } = start()
  progress.push('half')
  progress.push('half')
  expect(progress.newest()).toBeUndefined()
  progress.push('whole')
  expect(published).toEqual([])
  await tick()
  expect(published).toEqual(['whole'])
  progress.push('half')
  await tick()
  expect(published).toEqual(['whole'])
  expect(read).toEqual(['half', 'half', 'whole', 'half'])
})

test('in the place of a newest value that cannot be read stands the last that was published', () => {
  const { progress } = start()
  progress.push(null)
  progress.push('half')
  expect(progress.newest()).toBeNull()
})
