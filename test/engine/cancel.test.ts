import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, createTestClock, eventLines, PATIENCE, runsOf, startKern } from '../support/kerns.ts'
import { createParts } from '../support/parts.ts'

const quick = step('quick', ({ setState }: StepContext) => {
  setState({ quick: true })
  return 1
})

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a cancel', () => {
    test('of a running run aborts its signal, keeps what is finished, and lets the session go on', async () => {
      const gate = createGate()
      let reason: unknown
      const waits = step('waits', async ({ signal, setState, runInput }: StepContext) => {
        if (runInput === 'short') return 'short'
        setState({ waits: true })
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => resolve())
          void gate.pass()
        })
        reason = signal.reason
        return 'not kept'
      })
      const workflow = new Workflow({
        name: 'Cancelled',
        steps: [quick, sequence('outer', [waits]), step('never', () => 3)],
      })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const running = kern.run(workflow, { sessionId })
      const next = kern.run(workflow, { sessionId, input: 'short' })
      await gate.reached
      const [run] = await runsOf(kern, sessionId)
      const { runId = '' } = run ?? {}
      const answer = await kern.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'not needed' })
      expect(answer).toMatchObject({ runId, status: 'CANCELLED' })
      const result = await running
      expect(result).toMatchObject({
        status: 'CANCELLED',
        output: undefined,
        error: { code: 'CANCELLED', message: expect.stringContaining('not needed'), stepPath: 'outer/waits' },
        stateAfter: { quick: true },
        cancelReason: 'not needed',
      })
      expect(reason).toMatchObject({ code: 'CANCELLED' })
      expect(result.steps.quick).toMatchObject({ status: 'COMPLETED', output: 1 })
      expect(result.steps['outer/waits']).toMatchObject({ status: 'CANCELLED', output: undefined })
      expect(result.steps.outer).toMatchObject({ status: 'CANCELLED' })
      expect(result.steps.never).toBeUndefined()
      const last = ['STEP_STARTED outer/waits', 'STEP_CANCELLED outer/waits', 'STEP_CANCELLED outer', 'RUN_CANCELLED']
      expect((await eventLines(kern, runId)).slice(-4)).toEqual(last)
      expect(await next).toMatchObject({ status: 'COMPLETED', number: 2, stateBefore: { quick: true } })
    })

    test('leaves a body behind that does not end within the grace time, and drops what it does later', async () => {
      const [gate, ended] = [createGate(), Promise.withResolvers<void>()]
      let refused: unknown
      const deaf = step('deaf', async ({ setState }: StepContext) => {
        await gate.pass()
        try {
          setState({ late: true })
        } catch (error) {
          refused = error
        }
        ended.resolve()
        return 'late'
      })
      const workflow = new Workflow({ name: 'Deaf', steps: [deaf] })
      const clock = createTestClock(systemClock, { skip: (ms) => ms === 77_000 })
      const kern = await startKern(database, [workflow], { clock, graceMs: 77_000 })
      const running = kern.run(workflow, {})
      await gate.reached
      const [run] = (await kern.readerFor(SYSTEM_VIEWER).liveRuns({ workflowId: 'deaf' }, new Date())) ?? []
      await kern.commands.cancelRun(SYSTEM_VIEWER, { runId: run?.runId ?? '' })
      const result = await running
      expect(result).toMatchObject({ status: 'CANCELLED', stateAfter: {} })
      gate.open()
      await ended.promise
      expect(refused).toMatchObject({ code: 'CANCELLED' })
      expect(await kern.getRun(result.runId)).toEqual(result)
    })

    test('of a queued run ends it before it starts, and the queue goes on without it', async () => {
      const gate = createGate()
      const started: unknown[] = []
      const waits = step('waits', async ({ input }: StepContext) => {
        started.push(input)
        await gate.pass()
        return input
      })
      const workflow = new Workflow({ name: 'Queued', steps: [waits] })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const runs = ['a', 'b', 'c'].map((input) => kern.run(workflow, { sessionId, input }))
      await gate.reached
      await expect.poll(async () => (await runsOf(kern, sessionId)).length, PATIENCE).toBe(3)
      const second = (await runsOf(kern, sessionId)).find(({ number }) => number === 2)
      const { runId = '', inputPreview } = second ?? {}
      const answer = await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
      expect(answer).toMatchObject({ status: 'CANCELLED', startedAt: null, stepCount: 0, lastSeq: 2 })
      expect(await eventLines(kern, runId)).toEqual(['RUN_QUEUED', 'RUN_CANCELLED'])
      gate.open()
      const results = await Promise.all(runs)
      expect(results.map(({ status }) => status).sort()).toEqual(['CANCELLED', 'COMPLETED', 'COMPLETED'])
      expect(started).toHaveLength(2)
      expect(started).not.toContain(inputPreview)
    })

    test('after the end answers with the final state and changes nothing', async () => {
      const workflow = new Workflow({ name: 'Over', steps: [quick] })
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      const answer = await kern.commands.cancelRun(SYSTEM_VIEWER, { runId: run.runId, reason: 'too late' })
      expect(answer).toMatchObject({ status: 'COMPLETED', cancelRequestedAt: null, cancelReason: null })
      expect(await kern.getRun(run.runId)).toEqual(run)
    })

    test('that was accepted before a timeout struck wins over it', async () => {
      const gate = createGate()
      const waits = step('waits', async ({ signal }: StepContext) => {
        const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
        await Promise.race([gate.pass(), aborted])
      })
      const steps = [sequence('outer', [waits])] as const
      const workflow = new Workflow({ name: 'Overtaken', timeout: 90_000, steps })
      const lengths = Promise.withResolvers<number>()
      const hold = (ms: number) => {
        if (ms > 60_000) lengths.resolve(ms)
        return ms > 60_000
      }
      const clock = createTestClock(systemClock, { hold })
      // Nobody tells the worker, and it does not look.
      const kern = await startKern(database, [workflow], { clock, pollMs: 50_000 })
      const running = kern.run(workflow, {})
      await gate.reached
      const [live] = await kern.readerFor(SYSTEM_VIEWER).liveRuns({ workflowId: 'overtaken' }, new Date())
      await createParts(database).store.cancel(live?.runId ?? '', 'enough', new Date())
      clock.elapse(await lengths.promise)
      const run = await running
      expect(run).toMatchObject({ status: 'CANCELLED', error: { code: 'CANCELLED', stepPath: 'outer/waits' } })
      expect(run.error?.message).toContain('enough')
      const last = ['STEP_CANCELLED outer/waits', 'STEP_CANCELLED outer', 'RUN_CANCELLED']
      expect((await eventLines(kern, run.runId)).slice(-3)).toEqual(last)
    })

    test('of a run that is not there, or of no id at all, says so', async () => {
      const kern = await startKern(database, [new Workflow({ name: 'None', steps: [quick] })])
      const missing = kern.commands.cancelRun(SYSTEM_VIEWER, { runId: newId() })
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const malformed = kern.commands.cancelRun(SYSTEM_VIEWER, { runId: 'x' })
      await expect(malformed).rejects.toMatchObject({ code: expect.stringMatching('INPUT_INVALID|NOT_FOUND') })
    })

    test('that races with the end gives exactly one final status and event, and the session goes on', async () => {
      const workflow = new Workflow({ name: 'Racing', steps: [quick, step('two', () => 2)] })
      const kern = await startKern(database, [workflow])
      const sessionId = newId()
      const rounds = name === 'PGlite' ? 40 : 160
      const statuses = new Map<string, number>()
      for (let round = 0; round < rounds; round += 1) {
        const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'racing', sessionId })
        let seen = 0
        let answer: Promise<{ readonly status: string }> | undefined
        // At each event of the run in turn, so that the cancel meets it at every point of its life.
        for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
          if (seen === round % 7) answer = kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
          seen += 1
        }
        const result = await kern.getRun(runId)
        if (answer) expect((await answer).status).toBe(result?.status)
        statuses.set(result?.status ?? '', (statuses.get(result?.status ?? '') ?? 0) + 1)
        const session = await kern.getSession({ sessionId })
        // A run that never started has no state.
        if (result?.startedAt) expect(result.stateAfter).toEqual(session?.state)
        expect(session?.activeRunId).toBeNull()
      }
      // Both ends have to occur, else there was no race.
      expect([...statuses.keys()].sort()).toEqual(['CANCELLED', 'COMPLETED'])
      const runs = await runsOf(kern, sessionId)
      expect(runs.map(({ number }) => number)).toEqual(Array.from({ length: rounds }, (_, index) => index + 1))
      expect(await kern.getSession({ sessionId })).toMatchObject({ activeRunId: null, runCount: rounds })
    })
  })
})
