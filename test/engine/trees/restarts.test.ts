import fc from 'fast-check'
import { expect, test } from 'vitest'
import { onEachDatabase } from '../../support/databases.ts'
import { steadyTrees } from './generate.ts'
import { grow, plantOf } from './grow.ts'
import { COUNT, expectNone, failing, inBatches, SEED } from './sample.ts'

/** How often a Kern is stopped under each batch of trees. */
const STOPS = 6

onEachDatabase((name, open) => {
  test('random trees come to the same end where Kern is stopped again and again, and no result is computed twice', {
    timeout: 3_600_000,
  }, async () => {
    const database = await open()
    const numRuns = Math.ceil(COUNT / (name === 'PGlite' ? 40 : 8))
    const sample = fc.sample(steadyTrees, { seed: SEED, numRuns })
    const stops = fc.sample(fc.integer({ min: 1, max: 150 }), { seed: SEED, numRuns })
    await inBatches(sample, 25, async (trees) => {
      let left = STOPS
      let moments = stops.pop() ?? 1
      const moment = () => {
        moments -= 1
        if (moments > 0 || left === 0) return false
        left -= 1
        moments = stops.pop() ?? 1
        return true
      }
      const faults = await grow({ database, plants: trees.map(plantOf), moment })
      expect(left, 'stops that are left').toBeLessThan(STOPS)
      expectNone(failing(trees, faults))
    })
  })
})
