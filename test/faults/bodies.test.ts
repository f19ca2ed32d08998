import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { freshPostgres } from '../support/databases.ts'
import type { Place } from '../support/places.ts'
import { createCrew, type Crew } from './crew.ts'
import { allEnded, breachesIn, createScene, expectSound, openKern } from './scene.ts'

let crew: Crew
beforeAll(async () => {
  crew = await createCrew({ spares: 2, execArgv: ['--max-old-space-size=96'] })
})
afterAll(() => crew[Symbol.asyncDispose]())

async function server(): Promise<Place> {
  const url = await freshPostgres()
  return { url, text: url.kind === 'postgres' ? url.url : '', image: null }
}

/** After how many deaths a run is given up here. */
const MAX_DEATHS = 3

describe('on Postgres', () => {
  test.each(['exit', 'memory'] as const)(
    'a body that ends its process each time (%s) fails its run as POISONED, and other runs come to their end',
    { timeout: 120_000 },
    async (deadly) => {
      const place = await server()
      const scene = await createScene(crew, place)
      const { kern, database } = await openKern(place.url, { effects: scene.effects })
      const bad = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'deadly', input: deadly })
      const die = async () => {
        const member = scene.hire({ maxDeaths: MAX_DEATHS })
        expect(await member.ended, 'the end of a process that had the run').not.toBe(0)
      }
      for (let deaths = 1; deaths < MAX_DEATHS; deaths++) await die()
      // A death counts for all runs of the process: these share one with it.
      const requests = ['a', 'b', 'c'].map((key) => ({ key, workflowId: 'sequence', sessionId: key }))
      for (const { key, ...request } of requests) {
        await kern.commands.runWorkflow(SYSTEM_VIEWER, { ...request, idempotencyKey: key })
      }
      await die()
      const last = scene.hire({ maxDeaths: MAX_DEATHS })
      await allEnded(database)
      expect(await kern.getRun(bad.runId)).toMatchObject({ status: 'FAILED', error: { code: 'POISONED' } })
      last.close()
      expect(await last.ended).toBe(0)
      const evidence = { effects: scene.effects, requests, dead: crew.dead }
      expectSound(await breachesIn(database, evidence))
    },
  )

  test('a body that never ends fails at its timeout, and what it returns after that counts for nothing', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects, concurrency: 5 })
    const run = await kern.run('endless', {})
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'STEP_TIMEOUT' } })
    await kern.close()
    expectSound(await breachesIn(database, { effects: scene.effects, requests: [], dead: crew.dead, floor: 0 }))
  })

  test('an error that nobody awaits is not silent: its process ends, and the run goes on in another', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects })
    const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'deadly', input: 'timer' })
    const first = scene.hire({})
    expect(await first.ended, 'the end of a process with an uncaught error').toBe(1)
    const second = scene.hire({})
    await allEnded(database)
    expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED' })
    second.close()
    expect(await second.ended).toBe(0)
    expectSound(await breachesIn(database, { effects: scene.effects, requests: [], dead: crew.dead, floor: 1 }))
  })
})
