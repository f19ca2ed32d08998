import { expect, test } from 'vitest'
import { createChance, SEED } from '../faults/seed.ts'
import { PATIENCE } from '../support/kerns.ts'
import { createArena, startRun } from './arena.ts'
import { faultsOf, readEvents } from './evidence.ts'
import { createGate, follow, randomFates, type Seen } from './follower.ts'
import { createWatch } from './hanging.ts'
import { themesOfRun, themesOfSession } from './themes.ts'
import { readSteps, type Witness, witness, untruths } from './witness.ts'
import { eventsOfTalk, type Talk } from './workflows.ts'

const SUBSCRIBERS = 100
/** After how long without an end it counts as hanging, in milliseconds. */
const HANGS_MS = 90_000
const TALK: Talk = { turns: 4, words: 3, ms: 15 }

test.each([
  ['where processes tell each other of them', true],
  ['where nobody tells of them', false],
])('what events tell is in the rows, and in what comes with them, %s', { timeout: 120_000 }, async (_how, hints) => {
  const chance = createChance(SEED)
  const servers = [
    { serves: true, concurrency: 3, hints },
    { serves: true, concurrency: 0, hints },
    { serves: false, concurrency: 10, hints },
  ]
  const arena = await createArena({ chance, servers, connections: 10, how: `KERN_SEED=${SEED} hints ${hints}` })
  const { sql } = arena
  const least = {
    events: eventsOfTalk(TALK),
    ends: TALK.turns,
    more: 'run { runId status } step { path status output }',
  }
  const start = async (index: number) => {
    const sessionId = `session ${index}`
    const runId = await startRun(arena, { workflowId: 'waits', input: TALK, sessionId, key: sessionId })
    return { runId, themes: [...themesOfRun(runId, least), ...themesOfSession(sessionId, least)] }
  }
  const runs = await Promise.all(Array.from({ length: 8 }, (_, index) => start(index)))
  const themes = runs.flatMap((run) => run.themes)

  const seen: Promise<Witness>[] = []
  const onEvent = (event: Seen) => void seen.push(witness(sql, event))
  const gate = createGate(20)
  const followers = Array.from({ length: SUBSCRIBERS }, (_, index) => {
    const theme = themes[index % themes.length] as (typeof themes)[number] // within the list
    const transport = chance.whole(1, 2) === 1 ? 'WebSocket' : 'SSE'
    const fates = randomFates(chance, 2, theme.followed.events)
    return {
      theme,
      follower: follow({ transport, followed: theme.followed, fates, where: arena.where, gate, onEvent }),
    }
  })
  const unhung = createWatch(
    followers.map(({ follower }) => follower),
    HANGS_MS,
  )
  const waiting = async () => {
    const [row] = await sql<{ n: number }[]>`select count(*)::int as n from kern.runs where status = 'PAUSED'`
    return row?.n
  }
  await expect.poll(waiting, PATIENCE).toBe(runs.length)
  await unhung(Promise.all(followers.map(({ follower }) => Promise.race([follower.settled, follower.done]))))
  for (const { runId } of runs) await arena.call('resumeRun', { runId, data: true })
  await expect
    .poll(async () => (await readEvents(sql)).filter(({ type }) => type === 'RUN_COMPLETED').length, PATIENCE)
    .toBe(runs.length)

  const rows = await readEvents(sql)
  for (const { theme, follower } of followers) {
    const own = rows.filter(theme.isOf)
    if (!theme.followed.ends) follower.leaveAfter(own.at(-1)?.key ?? '')
    await unhung(follower.done)
    expect(faultsOf(follower.transcript, own)).toEqual([])
  }
  const all = await Promise.all(seen)
  expect(all.length).toBeGreaterThan(SUBSCRIBERS * least.ends)
  expect(untruths(all, rows, await readSteps(sql)).slice(0, 10)).toEqual([])
  arena.sound()
})
