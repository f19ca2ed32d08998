import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Chance, createChance, SEED } from '../faults/seed.ts'
import { PATIENCE } from '../support/kerns.ts'
import { type Arena, createArena, startRun } from './arena.ts'
import { faultsOf, readEvents, type Row } from './evidence.ts'
import { createGate, follow, type Follower, randomFates } from './follower.ts'
import { createWatch } from './hanging.ts'
import { type Theme, themesOfRun, themesOfSession } from './themes.ts'
import { eventsOfTalk, type Talk } from './workflows.ts'

/** How much is done to clients and servers. */
export interface Torture {
  readonly clients: number
  /** How often each client loses its connection. */
  readonly cuts: number
  readonly runs: number
  /** How many of the runs share sessions, four each. */
  readonly shared: number
  /** How many processes are killed. */
  readonly kills: number
  /** How long runs wait before each event, in milliseconds, on average. */
  readonly ms: number
  readonly hints: boolean
  /** After how long without an end it counts as hanging, in milliseconds. */
  readonly hangsAfterMs: number
}

const TALK = { turns: 14, words: 6 }
const SHORT = { turns: 5, words: 4 }
/** How many runs a session has that several share. */
const PER_SESSION = 4

/** A client, and what it follows. */
interface Client {
  readonly theme: Theme
  readonly follower: Follower
}

/** Lets clients follow runs while they and servers are killed; what each saw is held against the rows. */
export async function torture(given: Torture): Promise<string> {
  const { clients: count, cuts, kills, hints } = given
  const chance = createChance(SEED)
  const serving = { serves: true, concurrency: 8, hints }
  const working = { serves: false, concurrency: 20, hints }
  const servers = [serving, serving, serving, working, working]
  const arena = await createArena({ chance, servers, how: `KERN_SEED=${SEED} ${JSON.stringify(given)}` })
  const scene = await begin(arena, given)

  const all = count * cuts
  const killings = new Set(Array.from({ length: kills }, (_, index) => Math.floor((all * (index + 1)) / (kills + 1))))
  const rounds = new Map([3, 4].map((round) => [Math.floor((all * (round - 2)) / 4), round]))
  let cut = 0
  let later = Promise.resolve()
  const onCut = () => {
    cut += 1
    if (killings.has(cut)) arena.kill()
    // The rest of the sessions' runs, while their clients come and go.
    const round = rounds.get(cut)
    if (round) later = later.then(() => scene.startShared(round))
  }
  const clients = followAll(arena, { ...given, chance, scene, onCut })
  const followers = clients.map(({ follower }) => follower)
  const unhung = createWatch(followers, given.hangsAfterMs)

  await unhung(Promise.all(followers.map(({ settled, done }) => Promise.race([settled, done]))))
  await unhung(Promise.all([later, arena.quiet()]))
  await unhung(Promise.all(scene.waiting.map((runId) => answerRun(arena, runId))))
  await scene.startShared(PER_SESSION + 1)
  await expect.poll(() => countOpen(arena), PATIENCE).toBe(0)
  const rows = await readEvents(arena.sql)
  for (const { theme, follower } of clients) {
    if (theme.sessionId !== null) follower.leaveAfter(rows.findLast(theme.isOf)?.key ?? '')
  }
  await unhung(Promise.all(followers.map(({ done }) => done)))

  expectExact(clients, rows)
  expect(followers.map((follower) => follower.cuts)).toEqual(followers.map(() => cuts))
  expect(arena.killed).toBe(kills)
  arena.sound()
  return summary(clients, rows)
}

interface Scene {
  /** Runs that wait for an answer before their end. */
  readonly waiting: readonly string[]
  /** What clients follow; half of them what is in demand. */
  readonly themes: readonly Theme[]
  readonly inDemand: readonly Theme[]
  /** Starts the next run of each of the sessions that have several. */
  startShared(round: number): Promise<void>
}

async function begin(arena: Arena, { runs, shared, ms }: Torture): Promise<Scene> {
  const sessions = Array.from({ length: shared / PER_SESSION }, (_, index) => `shared ${index}`)
  const talk: Talk = { ...SHORT, ms: ms / 2 }
  const startShared = async (round: number): Promise<void> => {
    const start = (sessionId: string) =>
      startRun(arena, { workflowId: 'talks', input: talk, sessionId, key: `${sessionId} ${round}` })
    await Promise.all(sessions.map(start))
  }
  const own = Array.from({ length: runs - shared }, (_, index) => `own ${index}`)
  const waiting = await Promise.all(
    own.map((sessionId) => startRun(arena, { workflowId: 'waits', input: { ...TALK, ms }, sessionId, key: sessionId })),
  )
  for (const round of [1, 2]) await startShared(round)
  const long = { events: eventsOfTalk({ ...TALK, ms }), ends: TALK.turns }
  const four = { events: PER_SESSION * eventsOfTalk(talk), ends: PER_SESSION * SHORT.turns }
  const ofRuns = waiting.map((runId) => themesOfRun(runId, long))
  const ofSessions = sessions.map((sessionId) => themesOfSession(sessionId, four))
  const inDemand = [...ofRuns.slice(0, 2), ...ofSessions.slice(0, 1)].flat()
  return { waiting, startShared, inDemand, themes: [...ofRuns, ...ofSessions].flat() }
}

interface Following extends Torture {
  readonly chance: Chance
  readonly scene: Scene
  readonly onCut: () => void
}

function followAll(arena: Arena, { clients, cuts, chance, scene, onCut }: Following): Client[] {
  const gate = createGate(24)
  return Array.from({ length: clients }, (_, index) => {
    const list = index % 2 === 0 ? scene.inDemand : scene.themes
    const theme = list[Math.floor(index / 2) % list.length] as Theme // within the list
    const transport = chance.whole(1, 2) === 1 ? 'WebSocket' : 'SSE'
    const fates = randomFates(chance, cuts, theme.followed.events)
    return { theme, follower: follow({ transport, followed: theme.followed, fates, where: arena.where, gate, onCut }) }
  })
}

function expectExact(clients: readonly Client[], rows: readonly Row[]): void {
  for (const { theme, follower } of clients) {
    const faults = faultsOf(follower.transcript, rows.filter(theme.isOf))
    if (faults.length > 0) throw new Error(`${follower.describe()}:\n${faults.slice(0, 10).join('\n')}`)
  }
}

function summary(clients: readonly Client[], rows: readonly Row[]): string {
  const sum = (of: (follower: Follower) => number) => clients.reduce((all, { follower }) => all + of(follower), 0)
  const live = countLive(clients, rows)
  return (
    `${sum(({ cuts }) => cuts)} cuts, ${live} of them while the run went on, and ${sum(({ losses }) => losses)} losses; ` +
    `${rows.length} events, given ${sum(({ transcript }) => transcript.length)} times`
  )
}

/** Answers a run once it waits. An answer may be given twice: the server may have been killed before it said so. */
async function answerRun(arena: Arena, runId: string): Promise<void> {
  const status = async () => {
    const [row] = await arena.sql<{ status: string }[]>`select status from kern.runs where run_id = ${runId}`
    return row?.status
  }
  while ((await status()) !== 'PAUSED') await delay(50)
  await arena.call('resumeRun', { runId, data: true })
}

async function countOpen({ sql }: Arena): Promise<number> {
  const [row] = await sql<{ n: number }[]>`select count(*)::int as n from kern.runs where completed_at is null`
  return row?.n ?? 0
}

/** How many cuts fell into the time before the run of the client waited, or the last one of its session was over. */
function countLive(clients: readonly Client[], rows: readonly Row[]): number {
  return clients.reduce((live, { theme, follower }) => {
    const own = rows.filter((row) => row.number <= PER_SESSION && theme.isOf(row))
    const last = own.find(({ type }) => type === 'RUN_PAUSED') ?? own.at(-1)
    const end = Date.parse(last?.at ?? '')
    return live + follower.cutAt.filter((at) => at < end).length
  }, 0)
}
