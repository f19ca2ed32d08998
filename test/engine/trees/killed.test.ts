import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../../src/db/client.ts'
import { steadyTrees } from './generate.ts'
import { judged, live, plantOf } from './grow.ts'
import { type Order, readPlants } from './killed.child.ts'
import { expectNone, failing, SEED } from './sample.ts'
import { PLACES, temporary } from '../../support/places.ts'

const CHILD = join(import.meta.dirname, 'killed.child.ts')
/** How many processes are killed. */
const KILLS = Number(process.env['KERN_KILLS'] ?? 20)
/** How many trees a process serves, and how many processes in turn are killed while they serve the same trees. */
const TREES = 8
const KILLS_EACH = 4

/** Starts a process that serves trees. True if it killed itself where it was to, false if it served all to their end. */
async function dies(order: Order): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(order)], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [code, signal] = await once(child, 'exit')
  expect([code, signal], `the end of the process that was to die at ${order.dieAt}`).toBeOneOf([
    [null, 'SIGKILL'],
    [0, null],
  ])
  return signal === 'SIGKILL'
}

describe.each(PLACES)('on %s', (name, openPlace) => {
  // An embedded database takes seconds to open.
  const enough = name === 'PGlite' ? KILLS / 4 : KILLS
  test('random trees come to the same end where processes are killed, and no recorded result is computed again', {
    timeout: 3_600_000,
  }, async () => {
    const { url, text, image } = await openPlace()
    const folder = await temporary()
    const files: { readonly plants: string; readonly diary: string }[] = []
    let kills = 0
    while (kills < enough) {
      const seed = SEED + kills
      const file = { plants: join(folder, `plants ${kills}`), diary: join(folder, `diary ${kills}`) }
      const plants = fc.sample(steadyTrees, { seed, numRuns: TREES }).map(plantOf)
      await writeFile(file.plants, JSON.stringify(plants.map(({ diary: _empty, ...plant }) => plant)))
      const order = { ...file, database: text }
      const places = fc.sample(fc.integer({ min: 1, max: 90 }), { seed, numRuns: KILLS_EACH })
      files.push(file)
      for (const [turn, dieAt] of places.entries()) {
        // Only the first process of all makes the database.
        const first = files.length === 1 && turn === 0
        if (!(await dies({ ...order, dieAt, image: first ? image : null }))) break
        kills += 1
      }
    }

    const database = await openDatabase(url)
    onTestFinished(() => database.close())
    const plants = files.flatMap(readPlants)
    const driven = await live({ database, plants })
    const faults = await Promise.all(
      plants.map((plant, index) => judged(database, plant, { driven: driven?.[index] ?? [], lives: 2 })),
    )
    expectNone(
      failing(
        plants.map(({ tree }) => tree),
        faults,
      ),
    )
  })
})
