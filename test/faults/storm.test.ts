import { expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../src/db/client.ts'
import { keptPostgres } from './kept.ts'
import { createCrew, type Crew, type Member } from './crew.ts'
import { readEffects } from './effects.ts'
import { type Fault, POINTS } from './hooks.ts'
import { allEnded, breachesIn, createScene, expectSound, openKern, type Scene, transcriptOf } from './scene.ts'
import { type Chance, createChance, SEED } from './seed.ts'
import type { Request } from './worker.child.ts'
import { WORKFLOW_IDS } from './workflows.ts'

/** How many processes are killed. */
const KILLS = Number(process.env['KERN_KILLS'] ?? 200)
/** How many processes serve at the same time. */
const AT_ONCE = 3
/** How many runs a process is asked to start before it dies. */
const RUNS_EACH = 6
/** How many sessions share the runs; every other run has one of its own. */
const SESSIONS = 40
/** How long a process may live that does not come to where it is to die, in milliseconds. */
const LIFE_MS = 3_000

/** Hands out requests, again those that nobody has answered. */
function createRequests(chance: Chance, effects: string) {
  const all: Request[] = []
  let underWay: readonly Request[] = []
  const make = (): Request => {
    const [index, workflowId] = [all.length, chance.one(WORKFLOW_IDS)]
    const shared = chance.whole(1, 2) === 1
    const sessionId = shared ? `${workflowId} ${chance.whole(1, SESSIONS / WORKFLOW_IDS.length)}` : `own ${index}`
    return { key: `request ${index}`, workflowId, sessionId }
  }
  return {
    all,
    next(): Request[] {
      const fresh = Array.from({ length: RUNS_EACH }, () => {
        const request = make()
        all.push(request)
        return request
      })
      return fresh
    },
    /** Those that no caller has had an answer to. */
    unanswered(): Request[] {
      const read = readEffects(effects)
      const answered = new Set(read.flatMap((effect) => (effect.type === 'acknowledged' ? [effect.request] : [])))
      underWay = all.filter(({ key }) => !answered.has(key))
      return [...underWay]
    },
  }
}

/** Where a process dies: at a point after some of its kind, or at any moment. */
function fate(chance: Chance): { readonly faults: readonly Fault[]; readonly afterMs: number } {
  if (chance.whole(1, 6) === 1) return { faults: [], afterMs: chance.whole(20, 600) }
  const point = chance.one(POINTS)
  const nth = chance.whole(1, point.startsWith('accept') ? RUNS_EACH : 12)
  return { faults: [{ point, nth, action: 'kill', ms: chance.whole(0, 3) }], afterMs: LIFE_MS }
}

/** Lets one process live and die; resolves when it is dead. */
async function life(scene: Scene, requests: readonly Request[], chance: Chance): Promise<void> {
  const { faults, afterMs } = fate(chance)
  const member = scene.hire({ requests, faults, inFlight: 4 })
  // What it throws says that it was dead before it served.
  const killed = member.serving.then(
    () => setTimeout(() => member.signal('SIGKILL'), afterMs),
    () => undefined,
  )
  expect(await member.ended, 'the end of a process').toBe('SIGKILL')
  clearTimeout(await killed)
}

async function lastOnes(scene: Scene, requests: readonly Request[]): Promise<Member[]> {
  const members = [scene.hire({ requests }), scene.hire({})]
  await Promise.all(members.map(({ accepted }) => accepted))
  return members
}

test(`after ${KILLS} kills of processes at random points nothing is lost, doubled or out of order`, {
  timeout: 3_600_000,
}, async () => {
  const chance = createChance(SEED)
  const crew: Crew = await createCrew({ spares: 2 })
  onTestFinished(() => crew[Symbol.asyncDispose]())
  const place = await keptPostgres(`KERN_SEED=${SEED} KERN_KILLS=${KILLS}`)
  const scene = await createScene(crew, place)
  const requests = createRequests(chance, scene.effects)
  const { kern } = await openKern(place.url, { effects: scene.effects })

  let begun = 0
  const transcripts: ReturnType<typeof transcriptOf>[] = []
  const followed = new Set<string>()
  const one = async () => {
    while (begun < KILLS) {
      begun += 1
      await life(scene, requests.next(), chance)
      const newest = readEffects(scene.effects).findLast((effect) => effect.type === 'acknowledged')
      if (newest && begun % 5 === 0 && !followed.has(newest.runId)) {
        followed.add(newest.runId)
        transcripts.push(transcriptOf(kern, newest.runId))
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, one))
  const members = await lastOnes(scene, requests.unanswered())
  const database = await openDatabase(place.url)
  onTestFinished(() => database.close())
  await allEnded(database)
  for (const member of members) member.close()
  expect(await Promise.all(members.map(({ ended }) => ended))).toEqual([0, 0])

  const given = { effects: scene.effects, requests: requests.all, dead: crew.dead }
  expectSound(await breachesIn(database, { ...given, transcripts: await Promise.all(transcripts) }))
  expect(crew.dead.size).toBeGreaterThanOrEqual(KILLS)
  place.sound()
})
