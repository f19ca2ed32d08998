import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database, Db } from '../../src/db/client.ts'
import { workers } from '../../src/db/tables.ts'
import { createHeartbeat, type HeartbeatDeps } from '../../src/dispatch/heartbeat.ts'
import type { Ownership } from '../../src/dispatch/ownership.ts'
import { createLog } from '../../src/log.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'
import { deathsOf } from '../support/ownership.ts'

const NEVER_MS = 3_600_000

describe('a heartbeat', () => {
  /** One whose beats fail while `fails.now`, and which counts how often the lease was over. */
  function beating(given: Partial<HeartbeatDeps> = {}) {
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    const fails = { now: true }
    const seen = { lost: 0, beats: 0 }
    const heartbeat = createHeartbeat({
      beat: async () => {
        if (fails.now) throw new Error('no database')
        seen.beats += 1
      },
      leaseMs: 60,
      exclusive: false,
      lost: () => void (seen.lost += 1),
      clock: systemClock,
      log: createLog({ level: 'silent' }),
      ...given,
    })
    void heartbeat.run(stop.signal)
    return { heartbeat, fails, seen }
  }

  test('that could not be given for as long as the lease says so once, and again after it was given', async () => {
    const { heartbeat, fails, seen } = beating()
    await expect.poll(() => seen.lost, PATIENCE).toBe(1)
    expect(heartbeat.alive()).toBe(false)
    fails.now = false
    await expect.poll(() => heartbeat.alive(), PATIENCE).toBe(true)
    expect(seen.lost).toBe(1)
    fails.now = true
    await expect.poll(() => seen.lost, PATIENCE).toBe(2)
  })

  test('that hangs does not hide that the lease is over', async () => {
    const { heartbeat, seen } = beating({ beat: () => new Promise(() => {}) })
    await expect.poll(() => seen.lost, PATIENCE).toBe(1)
    expect(heartbeat.alive()).toBe(false)
  })

  test('that is answered late counts from when it was sent', async () => {
    const answer = Promise.withResolvers<void>()
    const { heartbeat, seen } = beating({ beat: () => answer.promise, everyMs: 5 })
    await expect.poll(() => seen.lost, PATIENCE).toBe(1)
    answer.resolve()
    await expect.poll(() => heartbeat.alive(), PATIENCE).toBe(true)
  })

  test('is given three times in a lease where nothing else is said', async () => {
    const { heartbeat, fails, seen } = beating({ leaseMs: 3_000 })
    fails.now = false
    await expect.poll(() => seen.beats, PATIENCE).toBeGreaterThanOrEqual(2)
    expect([heartbeat.alive(), seen.lost]).toEqual([true, 0])
  })

  test('is missed by nobody where there is no other process', async () => {
    const { heartbeat, seen } = beating({ leaseMs: 1, everyMs: 1, exclusive: true })
    const gate = createGate()
    setTimeout(gate.open, 20)
    await gate.pass()
    expect([heartbeat.alive(), seen.lost]).toEqual([true, 0])
  })
})

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A workflow whose first attempt ends only by its signal. */
  function stubborn(title: string) {
    const gate = createGate()
    const aborted = Promise.withResolvers<unknown>()
    const only = step('only', async ({ signal, attempt }: StepContext) => {
      if (attempt > 1) return `attempt ${attempt}`
      await gate.pass()
      return await new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted.resolve(signal.reason)
          reject(signal.reason)
        })
      })
    })
    return { workflow: new Workflow({ name: title, steps: [only] }), gate, aborted: aborted.promise }
  }

  describe.runIf(name === 'Postgres')('a process that could not show that it lives', () => {
    test('aborts its runs by itself, takes none meanwhile, and takes them up again when it can', async () => {
      const { workflow, gate, aborted } = stubborn('Silent')
      const fails = { now: false }
      const claims = { refused: 0 }
      const ownership = (inner: Ownership): Ownership => ({
        ...inner,
        beat: () => (fails.now ? Promise.reject(new Error('no database')) : inner.beat()),
        claim: (...args) => {
          if (fails.now) claims.refused += 1
          return inner.claim(...args)
        },
      })
      const kern = await startKern(database, [workflow], { leaseMs: 400, pollMs: 20, tamper: { ownership } })
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id })
      gate.open()
      await gate.reached
      fails.now = true
      expect(await aborted).toMatchObject({ code: 'FENCED' })
      const before = claims.refused
      const late = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id })
      expect([late.status, claims.refused]).toEqual(['QUEUED', before])
      await kern.commands.cancelRun(SYSTEM_VIEWER, { runId: late.runId })
      fails.now = false
      for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
      expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: 'attempt 2' })
      expect(await deathsOf(database, runId)).toBe(0)
    })

    test('is removed once others have taken its runs, whose death they count', async () => {
      const { workflow, gate } = stubborn('Removed')
      gate.open()
      const silent = await startKern(database, [workflow], { heartbeatMs: NEVER_MS, pollMs: NEVER_MS })
      const { runId } = await silent.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id })
      await gate.reached
      const [left] = await database.db
        .select()
        .from(workers)
        .where(sql`'removed@' || ${workflow.definition.version} = any(serves)`)
      // To the second one it counts as dead.
      const kern = await startKern(database, [workflow], { leaseMs: 100, pollMs: 20 })
      for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
      expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: 'attempt 2' })
      expect(await deathsOf(database, runId)).toBe(1)
      const row = () =>
        database.db
          .select()
          .from(workers)
          .where(eq(workers.workerId, left?.workerId ?? ''))
      await expect.poll(row, PATIENCE).toEqual([])
    })
  })

  test.runIf(name === 'Postgres')('heartbeats go on while all other connections are in use', async () => {
    const kern = await startKern(database, [new Workflow({ name: 'Busy', steps: [step('only', () => 1)] })], {
      leaseMs: 300,
      pollMs: NEVER_MS,
    })
    const [gate, held] = [createGate(), [] as Promise<unknown>[]]
    const hold = (db: Db, connections: number) => {
      for (let n = 0; n < connections; n += 1) {
        held.push(
          db.transaction(async (tx) => {
            await tx.execute(sql`select 1`)
            await gate.pass()
          }),
        )
      }
    }
    hold(database.db, 10)
    hold(database.reserved, 2)
    hold(database.journal, 2)
    await gate.reached
    const beats = new Set<string>()
    await expect
      .poll(async () => {
        const [row] = await database.heartbeats
          .select({ at: workers.heartbeatAt })
          .from(workers)
          .orderBy(workers.startedAt)
        beats.add(row?.at.toISOString() ?? '')
        return beats.size
      }, PATIENCE)
      .toBeGreaterThan(3)
    gate.open()
    await Promise.all(held)
    await kern.close()
  })
})
