import fc from 'fast-check'
import { test } from 'vitest'
import { onEachDatabase } from '../../support/databases.ts'
import { trees } from './generate.ts'
import { grow, plantOf } from './grow.ts'
import { shrunk } from './shrink.ts'
import { COUNT, expectNone, failing, inBatches, type Judged, SEED } from './sample.ts'
import type { Tree } from './spec.ts'

/** How many run at the same time in one Kern. */
const BATCH = 100
const SHRINKING_MS = 20_000

onEachDatabase((name, open) => {
  test('random trees of all kinds of steps come to what the model says', { timeout: 3_600_000 }, async () => {
    const database = await open()
    // The embedded database takes several times as long for each.
    const numRuns = name === 'PGlite' ? Math.ceil(COUNT / 40) : COUNT
    const faultsOf = (batch: readonly Tree[]) => grow({ database, plants: batch.map(plantOf) })
    const failed: Judged[] = []
    await inBatches(fc.sample(trees, { seed: SEED, numRuns }), BATCH, async (batch) => {
      failed.push(...failing(batch, await faultsOf(batch)))
    })
    const [first, ...others] = failed
    if (!first) return
    const small = await shrunk(first.tree, faultsOf, Date.now() + SHRINKING_MS)
    expectNone([small ?? first, ...others])
  })
})
