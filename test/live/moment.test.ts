import { expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../src/db/client.ts'
import { createChance, SEED } from '../faults/seed.ts'
import { freshPostgres, onEachDatabase } from '../support/databases.ts'
import { onePlace, subscribeAround, twoPlaces } from './moments.ts'
import { slowAnswers } from './slowAnswers.ts'

onEachDatabase((name, open) => {
  // Most of them where it is quicker, and in runs with more events than are kept in memory.
  const rounds = name === 'Postgres' ? { events: 400, each: 13, runs: 2 } : { events: 50, each: 10, runs: 2 }

  test('who subscribes at the moment of a commit misses nothing, and is given nothing twice', {
    timeout: 180_000,
  }, async () => {
    const [database, chance] = [await open(), createChance(SEED)]
    slowAnswers(database, chance)
    const places = await onePlace(database, rounds.events)
    const count = await subscribeAround(places, { ...rounds, chance })
    expect(count).toBe(rounds.events * rounds.each * rounds.runs)
  })
})

test.each([
  ['is told of it', { events: 50, each: 10, runs: 1, hints: true }],
  ['only looks once in a while', { events: 4, each: 100, runs: 1, hints: false }],
])('the same in another process, which %s', { timeout: 120_000 }, async (_how, { hints, ...rounds }) => {
  const database = await openDatabase(await freshPostgres())
  onTestFinished(() => database.close())
  const places = await twoPlaces(database, { events: rounds.events, hints })
  const count = await subscribeAround(places, { ...rounds, chance: createChance(SEED) })
  expect(count).toBe(rounds.events * rounds.each * rounds.runs)
})
