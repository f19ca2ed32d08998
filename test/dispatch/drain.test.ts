import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import { type Database, rows } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, createTestClock, eventLines, PATIENCE, startKern } from '../support/kerns.ts'

const DRAIN_MS = 88_000
/** Long enough that a machine under load does not miss all heartbeats of it. */
const LEASE_MS = 2_000

/** A workflow of one step that waits at a gate, and ends early when its signal says so. */
function gated(name: string) {
  const gate = createGate()
  const bodies: number[] = []
  const only = step('only', async ({ attempt, signal }: StepContext) => {
    bodies.push(attempt)
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    await Promise.race([gate.pass(), aborted])
    return `attempt ${attempt}`
  })
  return { workflow: new Workflow({ name, steps: [only] }), gate, bodies }
}

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A Kern that drains for as long as the test wants. */
  async function draining(workflow: Workflow) {
    const clock = createTestClock(systemClock, { hold: (ms) => ms === DRAIN_MS })
    const pace = { heartbeatMs: 20, pollMs: 20 }
    const kern = await startKern(database, [workflow], { ...pace, drainMs: DRAIN_MS, clock })
    const close = async () => {
      const closed = kern.close()
      await clock.asked(DRAIN_MS)
      return { closed }
    }
    return { kern, close }
  }

  /** The time of the owner's newest heartbeat, in milliseconds; null if its row is gone. */
  async function heartbeatOf(runId: string): Promise<number | null> {
    const [found] = await rows<{ at: number }>(
      database.db,
      sql`select extract(epoch from w.heartbeat_at)::float8 * 1000 as at
          from kern.workers w join kern.runs r on r.owner = w.worker_id where r.run_id = ${runId}::uuid`,
    )
    return found?.at ?? null
  }

  describe('a process that drains', () => {
    test.runIf(name === 'Postgres')('keeps its run however long that takes, and records the result once', async () => {
      const { workflow, gate, bodies } = gated('Kept')
      const { kern, close } = await draining(workflow)
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id })
      await gate.reached
      const { closed } = await close()
      const began = (await heartbeatOf(runId)) ?? 0
      // From now on this one takes every run whose owner does not say that it lives.
      const other = await startKern(database, [workflow], { leaseMs: LEASE_MS, pollMs: 20 })
      const beaten = async () => ((await heartbeatOf(runId)) ?? 0) - began
      await expect.poll(beaten, PATIENCE).toBeGreaterThan(LEASE_MS + 200)
      gate.open()
      await closed
      expect(bodies).toEqual([1])
      expect(await other.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: 'attempt 1', attemptCount: 1 })
      const [row] = await database.db.select({ epoch: runs.epoch }).from(runs).where(eq(runs.runId, runId))
      expect(row).toEqual({ epoch: 1 })
      expect(await eventLines(other, runId)).toEqual([
        'RUN_QUEUED',
        'RUN_STARTED',
        'STEP_STARTED only',
        'STEP_COMPLETED only',
        'RUN_COMPLETED',
      ])
    })

    test.runIf(name === 'Postgres')('obeys a cancel that was asked for in another process', async () => {
      const { workflow, gate, bodies } = gated('Cancelled while draining')
      const { kern, close } = await draining(workflow)
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id })
      await gate.reached
      const { closed } = await close()
      const other = await startKern(database, [workflow], { pollMs: 20 })
      const answer = await other.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'enough' })
      expect(answer).toMatchObject({ status: 'CANCELLED', cancelReason: 'enough' })
      await closed
      expect(bodies).toEqual([1])
    })
  })

  describe('runs of a workflow that is not served any more', () => {
    test('can be cancelled, whether they had started or not, and their session deleted', async () => {
      const { workflow, gate } = gated('Gone')
      const sessionId = newId()
      const before = await startKern(database, [workflow])
      const start = () => before.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id, sessionId })
      const started = await start()
      const waiting = await start()
      await gate.reached
      await before.close()

      const other = new Workflow({ name: 'Still served', steps: [step('only', () => 1)] })
      const { commands } = await startKern(database, [other], { pollMs: 20 })
      const remove = () => commands.deleteSession(SYSTEM_VIEWER, { sessionId })
      await expect(remove()).rejects.toMatchObject({ code: 'CONFLICT', details: { runId: started.runId } })
      for (const { runId } of [started, waiting]) {
        const answer = await commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'gone' })
        expect(answer).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED' }, cancelReason: 'gone' })
      }
      expect(await remove()).toBe(sessionId)
    })
  })
})
