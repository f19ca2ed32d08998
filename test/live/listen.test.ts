import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createChance, SEED } from '../faults/seed.ts'
import { PATIENCE } from '../support/kerns.ts'
import { createArena, startRun } from './arena.ts'
import { faultsOf, readEvents } from './evidence.ts'
import { createGate, follow } from './follower.ts'
import { themesOfRun, themesOfSession } from './themes.ts'
import type { Talk } from './workflows.ts'

/** A hundred events of the author's own. */
const TALK: Talk = { turns: 10, words: 10, ms: 8 }

test('while connections that listen are terminated, a hundred events of another process are given once each, in order', async () => {
  const chance = createChance(SEED)
  // The server looks at no row by itself: after the loss of its connection it has to know that it missed something.
  const server = { serves: true, concurrency: 0, looks: false }
  const publisher = { serves: false, concurrency: 5 }
  const arena = await createArena({ chance, servers: [server, publisher], how: `KERN_SEED=${SEED}` })
  const { sql } = arena
  const listeners = async () => {
    const [row] = await sql<{ n: number }[]>`select count(*)::int as n from pg_stat_activity
      where datname = current_database() and application_name = 'kern hints'`
    return row?.n
  }
  const terminate = () => sql`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'kern hints'`
  const said = async () => {
    const [row] = await sql<{ n: number }[]>`select count(*)::int as n from kern.events where type = 'CUSTOM'`
    return row?.n ?? 0
  }
  await expect.poll(listeners, PATIENCE).toBe(2)

  const sessionId = 'listened to'
  const runId = await startRun(arena, { workflowId: 'waits', input: TALK, sessionId, key: 'one' })
  const themes = [...themesOfRun(runId), ...themesOfSession(sessionId)]
  const followers = themes.flatMap((theme) =>
    (['WebSocket', 'SSE'] as const).map((transport) => {
      const given = { transport, followed: theme.followed, fates: [], where: arena.where, gate: createGate(1) }
      return { theme, follower: follow(given) }
    }),
  )
  let terminated = 0
  while ((await said()) < 90) {
    if ((await listeners()) !== 2) continue
    await delay(chance.whole(0, 100))
    await terminate()
    terminated += 1
  }
  expect(terminated).toBeGreaterThan(1)
  // What follows is committed while nobody listens.
  await terminate()
  const stops = () => sql<{ status: string }[]>`select status from kern.runs where run_id = ${runId}`
  await expect.poll(stops, PATIENCE).toEqual([{ status: 'PAUSED' }])

  const before = await readEvents(sql)
  expect(before.filter(({ type }) => type === 'CUSTOM')).toHaveLength(100)
  for (const { theme, follower } of followers) {
    const rows = before.filter(theme.isOf)
    await expect.poll(() => follower.transcript.length, PATIENCE).toBe(rows.length)
  }
  await arena.call('resumeRun', { runId, data: true })
  await expect.poll(stops, PATIENCE).toEqual([{ status: 'COMPLETED' }])
  const rows = await readEvents(sql)
  for (const { theme, follower } of followers) {
    const own = rows.filter(theme.isOf)
    if (!theme.followed.ends) follower.leaveAfter(own.at(-1)?.key ?? '')
    await follower.done
    expect(faultsOf(follower.transcript, own)).toEqual([])
    expect(follower.losses).toBe(0)
  }
  arena.sound()
})
