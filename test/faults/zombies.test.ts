import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { PATIENCE } from '../support/kerns.ts'
import { freshPostgres } from '../support/databases.ts'
import type { Place } from '../support/places.ts'
import { createCrew, type Crew, type Member } from './crew.ts'
import { readEffects } from './effects.ts'
import type { Point } from './hooks.ts'
import { readRows } from './rows.ts'
import { allEnded, breachesIn, createScene, expectSound, openKern } from './scene.ts'
import type { Request } from './worker.child.ts'

let crew: Crew
beforeAll(async () => {
  crew = await createCrew({ spares: 3 })
})
afterAll(() => crew[Symbol.asyncDispose]())

async function server(): Promise<Place> {
  const url = await freshPostgres()
  return { url, text: url.kind === 'postgres' ? url.url : '', image: null }
}

/** Resolves when a process has stopped. */
async function stopped({ pid }: Member): Promise<void> {
  const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.charAt(0)
  await expect.poll(state, PATIENCE).toBe('T')
}

/** Where a process stops that owns a run and has not written the end of it. */
const STOPS: readonly Point[] = ['claim.after', 'body', 'commit.before', 'end.before']

/** Two runs of a session: the second one is claimed, and not executed from its acceptance on. */
const requestsFor = (name: string, workflowId: string): Request[] =>
  ['one', 'two'].map((which) => ({ key: `${name} ${which}`, workflowId, sessionId: name }))

describe('a process that was stopped for longer than its lease', () => {
  test('changes nothing of the runs that others have taken, whatever it was about to do, and says that it lost them', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects })
    const requests: Request[] = []
    const zombies: Member[] = []
    for (const point of STOPS) {
      const own = requestsFor(point, 'parallel')
      requests.push(...own)
      // Accepted by another process: what was about to be accepted when a process stopped would be so when it goes on.
      for (const { key, ...request } of own) {
        await kern.commands.runWorkflow(SYSTEM_VIEWER, { ...request, idempotencyKey: key })
      }
      const zombie = scene.hire({ faults: [{ point, nth: 1, action: 'stop' }] })
      await stopped(zombie)
      zombies.push(zombie)
    }
    const heir = scene.hire({})
    await allEnded(database)
    const before = await readRows(database)
    for (const zombie of zombies) zombie.signal('SIGCONT')
    await Promise.all(zombies.map(({ accepted }) => accepted))
    for (const member of [...zombies, heir]) member.close()
    expect(await Promise.all([...zombies, heir].map(({ ended }) => ended))).toEqual([0, 0, 0, 0, 0])

    expect(await readRows(database)).toEqual(before)
    expectSound(await breachesIn(database, { effects: scene.effects, requests, dead: crew.dead }))
    const lost = readEffects(scene.effects).flatMap((effect) => (effect.type === 'fenced' ? [effect.pid] : []))
    expect(new Set(lost)).toEqual(new Set(zombies.map(({ pid }) => pid)))
  })

  test.each(STOPS)('and goes on at %s while the next owner is at work gets in nobody’s way', async (point) => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { database } = await openKern(place.url, { effects: scene.effects })
    const requests = requestsFor(point, 'slow')
    const zombie = scene.hire({ requests, faults: [{ point, nth: 1, action: 'stop' }] })
    await stopped(zombie)
    const heir = scene.hire({ slowMs: 700 })
    const atWork = () => readEffects(scene.effects).some(({ type, pid }) => type === 'began' && pid === heir.pid)
    await expect.poll(atWork, PATIENCE).toBe(true)
    zombie.signal('SIGCONT')
    await allEnded(database)
    for (const member of [zombie, heir]) member.close()
    expect(await Promise.all([zombie.ended, heir.ended])).toEqual([0, 0])
    expectSound(await breachesIn(database, { effects: scene.effects, requests, dead: crew.dead }))
  })
})
