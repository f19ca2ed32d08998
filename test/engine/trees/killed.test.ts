import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import { type DatabaseUrl, pglite } from '../../../src/config.ts'
import { openDatabase } from '../../../src/db/client.ts'
import { freshPostgres } from '../../support/databases.ts'
import { steadyTrees } from './generate.ts'
import { judged, live, plantOf } from './grow.ts'
import { type Order, readPlants } from './killed.child.ts'
import { expectNone, failing, SEED } from './sample.ts'

const CHILD = join(import.meta.dirname, 'killed.child.ts')
/** How many processes are killed on each database. */
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

interface Place {
  readonly url: DatabaseUrl
  /** As a process of its own is told. */
  readonly text: string
  readonly image: string | null
}

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'kern-trees-'))
  onTestFinished(() => rm(folder, { recursive: true, maxRetries: 3 }))
  return folder
}

async function embedded(): Promise<Place> {
  const data = join(await temporary(), 'data')
  return { url: pglite(data), text: data, image: inject('image') }
}

async function server(): Promise<Place> {
  const url = await freshPostgres()
  return { url, text: url.kind === 'postgres' ? url.url : '', image: null }
}

describe.each([
  ['PGlite', embedded],
  ['Postgres', server],
])('on %s', (_name, openPlace) => {
  test('random trees come to the same end where processes are killed, and no recorded result is computed again', {
    timeout: 3_600_000,
  }, async () => {
    const { url, text, image } = await openPlace()
    const folder = await temporary()
    const files: { readonly plants: string; readonly diary: string }[] = []
    let kills = 0
    while (kills < KILLS) {
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
