import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { runs, stepResults } from '../../src/db/tables.ts'
import type { RunRecord } from '../../src/engine/records.ts'
import { wakeDue } from '../../src/store/wake.ts'
import { onEachDatabase } from '../support/databases.ts'
import { answerOf, createParts, endOf, eventOf, parkOf, stepOf, waitingStepOf, writeOf } from '../support/parts.ts'

/** So far away that no test lives to see it. */
const LATER = new Date('2099-01-01T00:00:00.000Z')

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  async function rowOf({ runId }: RunRecord) {
    const { status, owner, epoch, wakeAt, answers } = runs
    const [row] = await database.db
      .select({ status, owner, epoch, wakeAt, answers })
      .from(runs)
      .where(eq(runs.runId, runId))
    return row
  }

  /** What puts a run aside whose step `one` waits for a person. */
  const parking = (run: RunRecord, given: Parameters<typeof parkOf>[0] = {}) =>
    writeOf(run, {
      steps: [waitingStepOf(run, 'one')],
      events: [eventOf(run, 2, { type: 'RUN_PAUSED', data: { waiting: ['one'] } })],
      park: parkOf(given),
    })

  describe('a write that puts a run aside', () => {
    test('frees it of its owner, keeps its epoch and its turn in the session, and is stored with its steps', async () => {
      const { start, runOf, reader, ownership, journal } = createParts(database)
      const run = await start()
      const next = await start({ sessionId: run.sessionId })
      const before = await rowOf(run)
      expect(before).toMatchObject({ status: 'RUNNING', owner: ownership.workerId, wakeAt: null })
      const write = parking(run, { wakeAt: LATER })
      expect(await journal.write(write)).toEqual({ type: 'committed', nextRunId: null })
      expect(await rowOf(run)).toEqual({ ...before, status: 'PAUSED', owner: null, wakeAt: LATER })
      expect(await runOf(run.runId)).toMatchObject({ status: 'PAUSED', wakeAt: LATER, lastSeq: 2, completedAt: null })
      const [steps] = await reader.steps([run.runId])
      expect(steps).toMatchObject([{ path: 'one', status: 'PAUSED', pending: { number: 1, reason: 'input' } }])
      expect(await runOf(next.runId)).toMatchObject({ status: 'QUEUED' })
      const [session] = await reader.sessions([run.sessionId])
      expect(session?.activeRunId).toBe(run.runId)
    })

    test('changes nothing while the run has answers that its writer has not seen, and then passes', async () => {
      const { start, store, reader, journal } = createParts(database)
      const run = await start()
      await journal.write(writeOf(run, { steps: [waitingStepOf(run, 'one'), waitingStepOf(run, 'two')] }))
      expect(await store.answer(answerOf(run, 'one'))).toMatchObject({ type: 'answered', parked: false })
      const before = await rowOf(run)
      const write = writeOf(run, { steps: [stepOf(run, 'three')], events: [eventOf(run, 2)], park: parkOf() })
      expect(await journal.write(write)).toEqual({ type: 'answered' })
      expect(await rowOf(run)).toEqual(before)
      expect((await reader.steps([run.runId])).flat().map(({ path }) => path)).toEqual(['one', 'two'])
      expect(await reader.events(run.runId, { afterSeq: 1, limit: 9, types: null })).toEqual([])
      const seen = { ...write, park: parkOf({ answers: 1 }) }
      expect(await journal.write(seen)).toEqual({ type: 'committed', nextRunId: null })
      expect(await rowOf(run)).toMatchObject({ status: 'PAUSED', owner: null })
    })

    test('gives way to a cancel that was accepted before, also where there are answers too', async () => {
      const { start, store, journal } = createParts(database)
      for (const answered of [false, true]) {
        const run = await start()
        await journal.write(writeOf(run, { steps: [waitingStepOf(run, 'one')] }))
        if (answered) await store.answer(answerOf(run, 'one'))
        expect(await store.cancel(run.runId, null, new Date())).toMatchObject({ type: 'requested', owned: true })
        const before = await rowOf(run)
        expect(await journal.write(parking(run))).toEqual({ type: 'cancel-requested' })
        expect(await rowOf(run)).toEqual(before)
      }
    })

    test('of an epoch that is over is fenced', async () => {
      const { start, ownership, journal } = createParts(database)
      const run = await start()
      await ownership.release(run.runId, run.epoch)
      await ownership.claim(run.runId, [run.workflowId], new Date())
      const before = await rowOf(run)
      expect(await journal.write(parking(run))).toEqual({ type: 'fenced' })
      expect(await rowOf(run)).toEqual(before)
    })

    test.each([
      ['nothing else', async () => undefined],
      ['an answer', async ({ store }, run) => void (await store.answer(answerOf(run, 'one')))],
      ['a cancel', async ({ store }, run) => void (await store.cancel(run.runId, null, new Date()))],
      ['the end of the wait', () => wakeDue(database.db, new Date(LATER.getTime() + 1))],
    ] as const satisfies [string, (parts: ReturnType<typeof createParts>, run: RunRecord) => Promise<void>][])(
      'that comes twice, since the answer to it was lost, is committed and changes nothing more, with %s in between',
      async (_title, between) => {
        const parts = createParts(database)
        for (const status of ['PAUSED', 'RUNNING'] as const) {
          const run = await parts.start()
          const write = parking(run, { status, wakeAt: LATER })
          await parts.journal.write(write)
          await between(parts, run)
          const before = [await rowOf(run), await parts.runOf(run.runId), await parts.reader.steps([run.runId])]
          expect(await parts.journal.write(write)).toEqual({ type: 'committed', nextRunId: null })
          expect([await rowOf(run), await parts.runOf(run.runId), await parts.reader.steps([run.runId])]).toEqual(
            before,
          )
        }
      },
    )
  })

  describe('a run that was put aside', () => {
    test.each(['PAUSED', 'RUNNING'] as const)(
      'is written by nobody while it is %s without an owner',
      async (status) => {
        const { start, reader, journal } = createParts(database)
        const run = await start()
        await journal.write(parking(run, { status, wakeAt: LATER }))
        const before = await rowOf(run)
        for (const write of [
          writeOf(run, { steps: [stepOf(run, 'two')], events: [eventOf(run, 3)] }),
          writeOf(run, { end: endOf(run) }),
        ]) {
          expect(await journal.write(write)).toEqual({ type: 'fenced' })
        }
        expect(await rowOf(run)).toEqual(before)
        expect((await reader.steps([run.runId])).flat().map(({ path }) => path)).toEqual(['one'])
      },
    )

    test('is not taken while it is PAUSED, nor before its time has come', async () => {
      const { start, ownership, runOf, journal } = createParts(database)
      const [paused, sleeping] = [await start(), await start()]
      await journal.write(parking(paused, { wakeAt: new Date(0) }))
      await journal.write(writeOf(sleeping, { park: parkOf({ status: 'RUNNING', wakeAt: LATER }) }))
      const served = [paused.workflowId]
      const take = (run: RunRecord, at: Date) => ownership.claim(run.runId, served, at)
      const early = new Date(LATER.getTime() - 1)
      for (const run of [paused, sleeping]) expect(await take(run, early)).toBe(false)
      const waiting = await ownership.waiting(served, 1_000)
      for (const { runId } of [paused, sleeping]) expect(waiting).not.toContain(runId)
      expect(await take(paused, LATER)).toBe(false)
      expect(await take(sleeping, LATER)).toBe(true)
      expect(await runOf(sleeping.runId)).toMatchObject({ status: 'RUNNING', wakeAt: null, epoch: sleeping.epoch + 1 })
    })
  })

  describe('a row of a step', () => {
    test('keeps what was decided, what it waits for, what it had and what it used, and is read back so', async () => {
      const { start, reader, journal } = createParts(database)
      const run = await start({ input: 'in' })
      const usage = { inputTokens: 1, outputTokens: 2, totalTokens: 3 }
      const steps = [
        waitingStepOf(run, 'one', { prompt: 'Go on?', expiresAt: LATER.toISOString(), attempts: 2 }),
        stepOf(run, 'two', { inputFrom: 'own', input: { a: [1] }, decision: null, partialOutput: 'so f', usage }),
        stepOf(run, 'three', { position: 2, decision: { iterations: 2, over: false }, usage }),
      ]
      await journal.write(writeOf(run, { steps }))
      const expected = steps.map((step) => ({ ...step, input: step.inputFrom === 'own' ? step.input : 'in' }))
      expect(await reader.steps([run.runId])).toEqual([expected])
      const keys = steps.map(({ runId, path }) => ({ runId, path }))
      expect(await reader.stepValues(keys)).toMatchObject(
        expected.map(({ input, output, partialOutput }) => ({ input, output, partialOutput })),
      )
      const [summaries = []] = await reader.stepSummaries([run.runId])
      for (const summary of summaries) {
        for (const value of ['input', 'output', 'partialOutput', 'decision']) expect(summary).not.toHaveProperty(value)
      }
      expect(summaries.map((summary) => summary.pending)).toEqual(steps.map(({ pending }) => pending))
    })

    test('takes over what changes of it until it is complete', async () => {
      const { start, reader, journal } = createParts(database)
      const run = await start()
      const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }
      const changed = waitingStepOf(run, 'one', { number: 2, reason: 'error' })
      const step = { ...changed, decision: ['a'], partialOutput: 'p', usage }
      for (const steps of [[stepOf(run, 'one', { completedAt: null })], [step]])
        await journal.write(writeOf(run, { steps }))
      const [[read] = []] = await reader.steps([run.runId])
      const { decision, partialOutput, pending } = step
      expect(read).toMatchObject({ status: 'PAUSED', decision, partialOutput, pending, usage })
    })

    test('does not store an input that is stored elsewhere', async () => {
      const { start, reader, journal } = createParts(database)
      const run = await start({ input: 'of the run' })
      // A writer that is wrong about such a value does not make the reader wrong.
      const steps = [
        stepOf(run, 'one', { inputFrom: 'run', input: 'another' }),
        stepOf(run, 'two', { inputFrom: 'step:one', input: 'another' }),
      ]
      await journal.write(writeOf(run, { steps }))
      const inputs = await database.db
        .select({ input: stepResults.input })
        .from(stepResults)
        .where(eq(stepResults.runId, run.runId))
      expect(inputs).toEqual([{ input: null }, { input: null }])
      expect((await reader.steps([run.runId])).flat().map(({ input }) => input)).toEqual(['of the run', 'one'])
    })

    test('keeps an answer that its writer has not seen', async () => {
      const { start, store, reader, journal } = createParts(database)
      const run = await start()
      await journal.write(writeOf(run, { steps: [waitingStepOf(run, 'one')] }))
      const request = answerOf(run, 'one')
      await store.answer(request)
      await journal.write(writeOf(run, { steps: [stepOf(run, 'one')] }))
      const [[step] = []] = await reader.steps([run.runId])
      expect(step).toMatchObject({ status: 'COMPLETED', answer: request.answer })
    })
  })

  describe('what a run used', () => {
    test('is the sum of its steps while it runs, and what its end says afterwards', async () => {
      const { start, runOf, journal } = createParts(database)
      const run = await start()
      const usageOf = async () => (await runOf(run.runId)).usage
      await journal.write(writeOf(run, { steps: [stepOf(run, 'one')] }))
      expect(await usageOf()).toBeNull()
      const used = (n: number) => ({ inputTokens: n, outputTokens: 2 * n, totalTokens: 3 * n })
      const steps = [stepOf(run, 'two', { usage: used(1) }), stepOf(run, 'three', { position: 2, usage: used(10) })]
      await journal.write(writeOf(run, { steps, usage: used(11) }))
      expect(await usageOf()).toEqual(used(11))
      await journal.write(writeOf(run, { end: endOf(run), usage: used(12) }))
      expect(await usageOf()).toEqual(used(12))
    })

    test('is null for a run without a call of a model, and for one whose end tells of none', async () => {
      const { start, runOf, journal } = createParts(database)
      const run = await start()
      await journal.write(writeOf(run, { steps: [stepOf(run, 'one')] }))
      expect((await runOf(run.runId)).usage).toBeNull()
      // Once a run is over, what its end says counts, and nobody sums.
      const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }
      await journal.write(writeOf(run, { steps: [stepOf(run, 'two', { usage })], end: endOf(run) }))
      expect((await runOf(run.runId)).usage).toBeNull()
    })
  })
})
