import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { createOwnership } from '../../src/dispatch/ownership.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { freshPostgres } from '../support/databases.ts'
import type { Place } from '../support/places.ts'
import { createCrew, type Crew } from './crew.ts'
import { readEffects } from './effects.ts'
import { readRows } from './rows.ts'
import { allEnded, breachesIn, createScene, expectSound, openKern } from './scene.ts'
import { createChance, SEED } from './seed.ts'

/** How often each race is run. */
const ROUNDS = Number(process.env['KERN_ROUNDS'] ?? 300)

let crew: Crew
beforeAll(async () => {
  crew = await createCrew({ spares: 4 })
})
afterAll(() => crew[Symbol.asyncDispose]())

async function server(): Promise<Place> {
  const url = await freshPostgres()
  return { url, text: url.kind === 'postgres' ? url.url : '', image: null }
}

async function epochOf({ db }: Database, runId: string): Promise<number> {
  const [row] = await rows<{ epoch: number }>(db, sql`select epoch from kern.runs where run_id = ${runId}::uuid`)
  return row?.epoch ?? -1
}

describe('on Postgres', () => {
  test('of fifty workers that claim one run, one has it', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects, leaseMs: 3_600_000 })
    const definitions = kern.workflows.list()
    const workers = Array.from({ length: 50 }, () =>
      createOwnership({ db: database.db, workerId: newId(), host: 'test', pid: 1, exclusive: false, definitions }),
    )
    await Promise.all(workers.map((worker) => worker.register()))
    for (let round = 0; round < 20; round++) {
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'sequence' })
      const claims = await Promise.all(workers.map((worker) => worker.claim(runId, ['sequence'], new Date())))
      expect(claims.filter(Boolean)).toHaveLength(1)
      expect(await epochOf(database, runId)).toBe(1)
    }
  })

  test('a request that is made a hundred times at once, by four processes, has one run', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const request = { key: 'the one', workflowId: 'sequence', sessionId: 'shared' }
    const members = Array.from({ length: 4 }, () =>
      scene.hire({ requests: Array.from({ length: 25 }, () => request), inFlight: 25 }),
    )
    await Promise.all(members.map(({ accepted }) => accepted))
    const { kern, database } = await openKern(place.url, { effects: scene.effects })
    await allEnded(database)
    const told = readEffects(scene.effects).flatMap((effect) => (effect.type === 'acknowledged' ? [effect.runId] : []))
    expect(told).toHaveLength(100)
    expect(new Set(told).size).toBe(1)
    const other = { workflowId: 'sequence', sessionId: 'shared', idempotencyKey: 'the one', input: 'another' }
    await expect(kern.commands.runWorkflow(SYSTEM_VIEWER, other)).rejects.toMatchObject({ code: 'CONFLICT' })
    // The same key of another user is another key.
    const theirs = await kern.commands.runWorkflow(SYSTEM_VIEWER, { ...other, sessionId: 'theirs', userId: 'somebody' })
    expect(told).not.toContain(theirs.runId)
    await allEnded(database)
    for (const member of members) member.close()
    expect(await Promise.all(members.map(({ ended }) => ended))).toEqual([0, 0, 0, 0])
    expectSound(await breachesIn(database, { effects: scene.effects, requests: [], dead: crew.dead, floor: 2 }))
  })

  test(`a cancel that races with the end gives one of the two, in ${ROUNDS} rounds`, async () => {
    const chance = createChance(SEED)
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects, concurrency: 20 })
    const outcomes = new Map<string, number>()
    const round = async () => {
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'sequence' })
      // Not to wait for something: to come at another moment each time.
      for (let turns = chance.whole(0, 12); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      const answer = await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
      outcomes.set(answer.status, (outcomes.get(answer.status) ?? 0) + 1)
      expect(await kern.getRun(runId)).toMatchObject({ status: answer.status })
    }
    for (let done = 0; done < ROUNDS; done += 10) await Promise.all(Array.from({ length: 10 }, round))
    // Some come late for certain.
    for (let done = 0; done < ROUNDS / 10; done++) {
      const { runId } = await kern.run('sequence', {})
      const { status } = await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
      outcomes.set(status, (outcomes.get(status) ?? 0) + 1)
    }
    await kern.idle()
    expect([...outcomes.keys()].sort()).toEqual(['CANCELLED', 'COMPLETED'])
    for (const count of outcomes.values()) expect(count).toBeGreaterThanOrEqual(ROUNDS / 20)
    expectSound(
      await breachesIn(database, { effects: scene.effects, requests: [], dead: crew.dead, floor: ROUNDS / 20 }),
    )
  })

  test('a run that is cancelled while it waits, or while its process is stopped, begins no body after that', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects })
    const ask = (name: string) => kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'sequence', sessionId: name })
    const [first, queued] = [await ask('one'), await ask('one')]
    expect(await kern.commands.cancelRun(SYSTEM_VIEWER, { runId: queued.runId })).toMatchObject({ status: 'CANCELLED' })
    // It stops in the first body, with the run in its hands.
    const zombie = scene.hire({ faults: [{ point: 'body', nth: 1, action: 'stop' }] })
    const began = () => readEffects(scene.effects).filter(({ type }) => type === 'began').length
    await expect.poll(began, { timeout: 20_000 }).toBe(1)
    const cancelling = kern.commands.cancelRun(SYSTEM_VIEWER, { runId: first.runId })
    const heir = scene.hire({})
    expect(await cancelling).toMatchObject({ status: 'CANCELLED' })
    zombie.signal('SIGCONT')
    for (const member of [zombie, heir]) member.close()
    expect(await Promise.all([zombie.ended, heir.ended])).toEqual([0, 0])
    expect(began()).toBe(1)
    const { runs } = await readRows(database)
    expect(runs.map(({ status }) => status)).toEqual(['CANCELLED', 'CANCELLED'])
    expectSound(await breachesIn(database, { effects: scene.effects, requests: [], dead: crew.dead, floor: 0 }))
  })

  test('a run that another takes between a claim and the first look at it is not executed here', async () => {
    const place = await server()
    const scene = await createScene(crew, place)
    const { kern, database } = await openKern(place.url, { effects: scene.effects })
    const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'sequence' })
    const other = newId()
    const robbed = Promise.withResolvers<void>()
    const { kern: slow } = await openKern(place.url, {
      effects: scene.effects,
      concurrency: 1,
      tamper: {
        ownership: (ownership) => ({
          ...ownership,
          async claim(...given) {
            const claimed = await ownership.claim(...given)
            const raised = sql`update kern.runs set epoch = epoch + 1, owner = ${other}::uuid where run_id = ${runId}::uuid`
            await database.db.execute(sql`insert into kern.workers (worker_id, host, pid) values (${other}::uuid, 'other', 1)
              on conflict do nothing`)
            await database.db.execute(raised)
            robbed.resolve()
            return claimed
          },
        }),
      },
    })
    await robbed.promise
    await slow.close()
    expect(readEffects(scene.effects).filter(({ type }) => type === 'began')).toEqual([])
    expect(await epochOf(database, runId)).toBe(2)
    const openDb = await openDatabase(place.url)
    expect((await readRows(openDb)).steps).toEqual([])
    await openDb.close()
  })
})
