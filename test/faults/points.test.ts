import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Place, PLACES } from '../support/places.ts'
import { createCrew, type Crew } from './crew.ts'
import { readEffects } from './effects.ts'
import { type Point, POINTS } from './hooks.ts'
import { allEnded, breachesIn, createScene, expectSound, openKern, type Scene } from './scene.ts'
import type { Request } from './worker.child.ts'
import { WORKFLOW_IDS } from './workflows.ts'

let crew: Crew
beforeAll(async () => {
  crew = await createCrew()
})
afterAll(() => crew[Symbol.asyncDispose]())

/** Two runs of each workflow in one session. */
const requestsFor = (sessions: string): Request[] =>
  WORKFLOW_IDS.flatMap((workflowId) =>
    ['one', 'two'].map((name) => ({
      key: `${sessions} ${workflowId} ${name}`,
      workflowId,
      sessionId: `${sessions} ${workflowId}`,
    })),
  )

/** Has a process start runs, and die. What its callers were not told is asked for again by the next one. */
async function dies(scene: Scene, requests: readonly Request[], { point, nth }: { point: Point; nth: number }) {
  const effects = readEffects(scene.effects)
  const told = new Set(effects.flatMap((effect) => (effect.type === 'acknowledged' ? [effect.request] : [])))
  const untold = requests.filter(({ key }) => !told.has(key))
  const member = scene.hire({ requests: untold, faults: [{ point, nth, action: 'kill' }], leaseMs: 300 })
  expect(await member.ended, `the end of a process that is to die at ${point} ${nth}`).toBe('SIGKILL')
}

/** Starts once more whatever was asked for, lets it end, and looks for what was lost or doubled. */
async function expectAllKept({ url }: Place, { effects }: Scene, requests: readonly Request[]): Promise<void> {
  const { kern, database } = await openKern(url, { effects, concurrency: 10 })
  const runs = requests.map(({ key, ...request }) => kern.run(request.workflowId, { ...request, idempotencyKey: key }))
  await Promise.all(runs)
  await allEnded(database)
  expectSound(await breachesIn(database, { effects, requests, dead: crew.dead }))
}

/** Opening an embedded database after a crash takes seconds: there, each kind of moment once. */
const FEW: readonly Point[] = ['accept.during', 'claim.after', 'commit.during', 'announce.before', 'end.during']

describe.each(PLACES)('on %s', (name, openPlace) => {
  test.runIf(name === 'Postgres').each(POINTS)(
    'runs of a process that is killed at %s go on, and nothing is lost or doubled',
    async (point) => {
      const place = await openPlace()
      const scene = await createScene(crew, place)
      const requests = requestsFor('here')
      for (const nth of [1, 3]) await dies(scene, requests, { point, nth })
      await expectAllKept(place, scene, requests)
    },
  )

  test('runs go on after processes that were killed at one point after another', async () => {
    const place = await openPlace()
    const scene = await createScene(crew, place)
    const requests: Request[] = []
    for (const point of name === 'PGlite' ? FEW : POINTS) {
      requests.push(...requestsFor(point))
      await dies(scene, requests, { point, nth: 2 })
    }
    await expectAllKept(place, scene, requests)
  })
})
