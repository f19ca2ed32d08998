import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import { createOwnership } from '../../src/dispatch/ownership.ts'
import { createWorker, type Worker } from '../../src/dispatch/worker.ts'
import type { WorkerDeps } from '../../src/dispatch/workerDeps.ts'
import type { RunControl } from '../../src/engine/executor.ts'
import type { RunWrite } from '../../src/engine/ports.ts'
import type { RunRecord } from '../../src/engine/records.ts'
import { createRegistry } from '../../src/engine/registry.ts'
import { newId } from '../../src/ids.ts'
import { createLog } from '../../src/log.ts'
import { takenRun } from '../../src/store/takenRun.ts'
import { giveLostTurns } from '../../src/store/turns.ts'
import { wakeDue } from '../../src/store/wake.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { onEachDatabase } from '../support/databases.ts'
import { PATIENCE } from '../support/kerns.ts'
import { answerOf, createParts, endOf, newRun, parkOf, waitingStepOf, writeOf } from '../support/parts.ts'

const NEVER_MS = 3_600_000
const LATER = new Date('2099-01-01T00:00:00.000Z')

/** What a run does while the worker executes it. */
interface Executing extends ReturnType<typeof createParts> {
  readonly run: RunRecord
  readonly control: RunControl
  readonly worker: Worker
  /** How often the run was executed, this time included. */
  readonly time: number
  /** Writes for the run, and gives the run that has its turn then. */
  write(given: Partial<RunWrite>): Promise<string | null>
}

type Script = (executing: Executing) => Promise<unknown>

/** Ends the run at once. */
const ends: Script = ({ run, write }) => write({ end: endOf(run) })

/** Waits for a person in its first step. */
const waits = (run: RunRecord) => ({ steps: [waitingStepOf(run, 'one')], park: parkOf() })

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A worker for a workflow of its own, on real rows; a script says what its runs do. */
  async function working(script: Script, given: Partial<WorkerDeps> = {}) {
    const { db } = database
    const parts = createParts(database)
    const definition = defineWorkflow({ name: `W ${newId()}`, steps: [step('one', () => 1)] })
    const executed: string[] = []
    const ownership = createOwnership({ db, workerId: newId(), host: 'test', pid: 1, exclusive: false })
    const worker: Worker = createWorker({
      ownership,
      load: (runId) => takenRun(db, parts.reader, { runId, owner: ownership.workerId }),
      giveLostTurns: () => giveLostTurns(db),
      wakeDue: (at) => wakeDue(db, at),
      executor: {
        async execute({ run }, _definition, control) {
          executed.push(run.runId)
          const time = executed.filter((runId) => runId === run.runId).length
          let next: string | null = null
          const write = async (written: Partial<RunWrite>) => {
            const outcome = await parts.journal.write(writeOf(run, written))
            if (outcome.type !== 'committed') throw new Error(`the write was not committed but ${outcome.type}`)
            next = outcome.nextRunId
            return next
          }
          await script({ ...parts, run, control, worker, time, write })
          return next
        },
        endBy: () => Promise.reject(new Error('a run of this test was to be ended without being executed')),
      },
      workflows: createRegistry([{ definition }]),
      concurrency: 10,
      drainMs: 0,
      graceMs: 0,
      heartbeatMs: NEVER_MS,
      pollMs: NEVER_MS,
      clock: systemClock,
      log: createLog({ level: 'silent' }),
      ...given,
    })
    await worker.start()
    onTestFinished(() => worker.close())
    return {
      ...parts,
      worker,
      executed,
      statusOf: async (runId: string) => (await parts.runOf(runId)).status,
      /** Accepts a run without offering it. */
      async accepted(options: Parameters<typeof newRun>[1] = {}): Promise<string> {
        const { runId } = newRun(definition, options)
        await parts.store.accept({ ...newRun(definition, options), runId })
        return runId
      },
    }
  }

  describe('a run that is offered while its execution is just ending', () => {
    test('since it was answered as soon as it was put aside, is taken again, once', async () => {
      const { worker, executed, accepted, statusOf } = await working(async ({ run, time, write, ...parts }) => {
        if (time === 2) return await write({ end: endOf(run) })
        await write(waits(run))
        expect(await parts.store.answer(answerOf(run, 'one'))).toMatchObject({ parked: true })
        // Its place is still taken: this function has not ended.
        for (let offer = 1; offer <= 3; offer += 1) parts.worker.offer(run.runId)
      })
      const runId = await accepted()
      worker.offer(runId)
      await expect.poll(() => statusOf(runId), PATIENCE).toBe('COMPLETED')
      expect(executed).toEqual([runId, runId])
    })

    test('is not taken again where it is over', async () => {
      const { worker, executed, accepted, ...parts } = await working(async ({ run, write, ...executing }) => {
        executing.worker.offer(run.runId)
        return await write({ end: endOf(run) })
      })
      const runId = await accepted()
      worker.offer(runId)
      await worker.idle()
      expect(executed).toEqual([runId])
      expect(await parts.runOf(runId)).toMatchObject({ status: 'COMPLETED', epoch: 1 })
    })

    test('is left to others by a worker that is closing', async () => {
      const { worker, executed, accepted, runOf } = await working(async ({ run, write, store, ...executing }) => {
        await write(waits(run))
        await store.answer(answerOf(run, 'one'))
        executing.worker.offer(run.runId)
        void executing.worker.close()
      })
      const runId = await accepted()
      worker.offer(runId)
      await worker.close()
      expect(executed).toEqual([runId])
      expect(await runOf(runId)).toMatchObject({ status: 'RUNNING', epoch: 1 })
    })
  })

  describe('the bell of a run that is executed here', () => {
    test('rings when the run is said to be answered, and not for others', async () => {
      const rung: string[] = []
      const both = Promise.withResolvers<void>()
      const waiting: string[] = []
      const { worker, accepted } = await working(async ({ run, control, write }) => {
        const bell = control.answers.rung()
        waiting.push(run.runId)
        if (waiting.length === 2) both.resolve()
        await bell
        rung.push(run.runId)
        return await write({ end: endOf(run) })
      })
      const [one, two] = [await accepted(), await accepted()]
      worker.offer(one)
      worker.offer(two)
      await both.promise
      worker.answered(newId())
      worker.answered(two)
      await expect.poll(() => rung, PATIENCE).toEqual([two])
      worker.answered(one)
      await worker.idle()
      expect(rung).toEqual([two, one])
    })

    test('rings for an answer that was given in another process, once for each', async () => {
      const looked = { times: 0 }
      const answeredTwice = Promise.withResolvers<void>()
      const { worker, accepted, store, runOf } = await working(
        async ({ run, control, write, reader }) => {
          let rings = 0
          for (const path of ['one', 'two']) {
            const bell = control.answers.rung()
            await write({ steps: [waitingStepOf(run, path)] })
            await bell
            rings += 1
            expect(await reader.stepsByPath([{ runId: run.runId, path }])).toMatchObject([{ answer: { data: 'yes' } }])
          }
          void control.answers.rung().then(() => (rings += 1))
          await answeredTwice.promise
          return await write({ end: { ...endOf(run), output: rings } })
        },
        { pollMs: 10, giveLostTurns: async () => void (looked.times += 1) },
      )
      const runId = await accepted()
      worker.offer(runId)
      for (const path of ['one', 'two']) {
        const request = answerOf(await runOf(runId), path)
        await expect.poll(async () => (await store.answer(request)).type, PATIENCE).toBe('answered')
      }
      const before = looked.times
      await expect.poll(() => looked.times, PATIENCE).toBeGreaterThan(before + 3)
      answeredTwice.resolve()
      await worker.idle()
      const [payload] = await createParts(database).reader.payloads([runId])
      expect(payload?.output).toBe(2)
    })
  })

  describe('a worker', () => {
    test('wakes what is due, when it starts and from then on', async () => {
      // The runs are of a workflow that only this one serves: who wakes them cannot take them.
      const { accepted, statusOf, worker } = await working(ends)
      await worker.close()
      const due = async () => {
        const runId = await accepted()
        await database.db
          .update(runs)
          .set({ status: 'PAUSED', wakeAt: new Date(0) })
          .where(eq(runs.runId, runId))
        return runId
      }
      const first = await due()
      await working(ends, { pollMs: 10 })
      expect(await statusOf(first)).toBe('RUNNING')
      const second = await due()
      await expect.poll(() => statusOf(second), PATIENCE).toBe('RUNNING')
    })

    test('does not take a run before the time that it waits for, and takes it then', async () => {
      const now = { at: new Date() }
      const clock = { ...systemClock, now: () => now.at }
      const script: Script = async ({ run, time, write }) =>
        await write(time === 1 ? { park: parkOf({ status: 'RUNNING', wakeAt: LATER }) } : { end: endOf(run) })
      const { accepted, worker, statusOf, executed } = await working(script, { clock })
      const runId = await accepted()
      await worker.idle()
      expect(executed).toEqual([runId])
      worker.offer(runId)
      now.at = new Date(LATER.getTime() - 1)
      await worker.idle()
      expect(executed).toEqual([runId])
      now.at = LATER
      await worker.idle()
      expect(executed).toEqual([runId, runId])
      expect(await statusOf(runId)).toBe('COMPLETED')
    })
  })

  describe('idle', () => {
    test('resolves when all that waits was executed: later runs of a session, more than there are places', async () => {
      const { worker, accepted, executed } = await working(ends, { concurrency: 2 })
      const sessionId = newId()
      const inOrder = [await accepted({ sessionId }), await accepted({ sessionId }), await accepted({ sessionId })]
      const others = await Promise.all(Array.from({ length: 5 }, () => accepted()))
      await worker.idle()
      expect(executed.toSorted()).toEqual([...inOrder, ...others].toSorted())
      expect(executed.filter((runId) => inOrder.includes(runId))).toEqual(inOrder)
    })

    test('waits for what is executed already, and for what that makes possible', async () => {
      const gate = Promise.withResolvers<void>()
      const reached = Promise.withResolvers<void>()
      const order: string[] = []
      const { worker, accepted, executed } = await working(async ({ run, write }) => {
        reached.resolve()
        await gate.promise
        order.push('ended')
        return await write({ end: endOf(run) })
      })
      const sessionId = newId()
      const both = [await accepted({ sessionId }), await accepted({ sessionId })]
      worker.offer(both[0] ?? '')
      await reached.promise
      const idle = worker.idle().then(() => order.push('idle'))
      gate.resolve()
      await idle
      expect(order).toEqual(['ended', 'ended', 'idle'])
      expect(executed).toEqual(both)
    })

    test('wakes what is due, and does not wait for what waits for a person or a later time', async () => {
      const script: Script = async ({ run, time, write }) =>
        time === 1
          ? await write({ ...waits(run), park: parkOf({ wakeAt: new Date(0) }) })
          : await write({ end: endOf(run) })
      const { worker, accepted, executed, statusOf } = await working(script)
      const due = await accepted()
      await worker.idle()
      expect(executed).toEqual([due, due])
      expect(await statusOf(due)).toBe('COMPLETED')
    })

    test('resolves at once where there is nothing to do, and tells where the database failed', async () => {
      const fails = { now: false }
      const failing = async () => {
        if (fails.now) throw new Error('no database')
      }
      const { worker } = await working(ends, { wakeDue: failing })
      await worker.idle()
      fails.now = true
      await expect(worker.idle()).rejects.toThrow('no database')
    })
  })
})
