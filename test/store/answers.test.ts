import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import type { RunRecord, StepRecord } from '../../src/engine/records.ts'
import { newId } from '../../src/ids.ts'
import { onEachDatabase } from '../support/databases.ts'
import { answerOf, createParts, endOf, eventOf, parkOf, stepOf, waitingStepOf, writeOf } from '../support/parts.ts'

const NOW = new Date('2030-01-01T00:00:00.000Z')

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  function parts() {
    const made = createParts(database)
    return {
      ...made,
      /** A run whose steps are written, put aside where that is wanted. */
      async waiting(steps: (run: RunRecord) => StepRecord[], park: Parameters<typeof parkOf>[0] | null = {}) {
        const run = await made.start()
        const paused = park && (park.status ?? 'PAUSED') === 'PAUSED'
        await made.journal.write(
          writeOf(run, {
            steps: steps(run),
            events: paused ? [eventOf(run, 2, { type: 'RUN_PAUSED' })] : [],
            ...(park ? { park: parkOf(park) } : {}),
          }),
        )
        return run
      },
      async answerIn({ runId }: RunRecord, path: string) {
        const [summary] = await made.reader.stepsByPath([{ runId, path }])
        return summary?.answer
      },
    }
  }

  const one = (run: RunRecord) => [waitingStepOf(run, 'one')]

  describe('an answer', () => {
    test('to a run that was put aside is kept, counted, told as an event, and lets a worker take the run', async () => {
      const { waiting, store, reader, runOf, answerIn, ownership } = parts()
      const run = await waiting(one, { wakeAt: NOW })
      const request = answerOf(run, 'one', { action: 'RETRY', userId: 'u1' })
      const outcome = await store.answer(request)
      const expected = { status: 'RUNNING', answers: 1, wakeAt: null, lastSeq: 3, epoch: run.epoch }
      expect(outcome).toMatchObject({ type: 'answered', parked: true, run: expected })
      expect(outcome).toMatchObject({ run: await runOf(run.runId) })
      expect(await answerIn(run, 'one')).toEqual(request.answer)
      expect(await reader.events(run.runId, { afterSeq: 2, limit: 9, types: null })).toEqual([
        {
          runId: run.runId,
          seq: 3,
          type: 'RUN_RESUMED',
          at: request.at,
          stepPath: 'one',
          name: null,
          data: { action: 'RETRY' },
        },
      ])
      expect(await ownership.claim(run.runId, [run.workflowId], new Date(0))).toBe(true)
    })

    test('to a run that is executed is kept and counted, and nothing else', async () => {
      const { waiting, store, runOf, answerIn } = parts()
      const run = await waiting(one, null)
      const outcome = await store.answer(answerOf(run, 'one'))
      expect(outcome).toMatchObject({ type: 'answered', parked: false, run: { status: 'RUNNING', answers: 1 } })
      expect(await runOf(run.runId)).toMatchObject({ lastSeq: run.lastSeq, epoch: run.epoch })
      expect(await answerIn(run, 'one')).toMatchObject({ number: 1 })
    })

    test('beside a time that the run waits for lets it go on now, without the event of a pause that was none', async () => {
      const { waiting, store, runOf } = parts()
      const run = await waiting(one, { status: 'RUNNING', wakeAt: NOW })
      const outcome = await store.answer(answerOf(run, 'one'))
      expect(outcome).toMatchObject({ type: 'answered', parked: true, run: { status: 'RUNNING', wakeAt: null } })
      expect(await runOf(run.runId)).toMatchObject({ lastSeq: run.lastSeq })
    })

    test('keeps JSON null as its data, and no data as none', async () => {
      const { waiting, store, answerIn } = parts()
      const { data: _none, ...withoutData } = answerOf(await waiting(one), 'one').answer
      for (const answer of [{ ...withoutData, data: null }, withoutData]) {
        const run = await waiting(one)
        await store.answer({ ...answerOf(run, 'one'), answer })
        expect(await answerIn(run, 'one')).toEqual(answer)
      }
    })

    test('is for one wait only, and for one step: a later wait of the same step takes the next', async () => {
      const { waiting, store, journal, ownership, answerIn, runOf } = parts()
      const run = await waiting((of) => [waitingStepOf(of, 'one'), waitingStepOf(of, 'two')])
      expect(await store.answer(answerOf(run, 'one'))).toMatchObject({ type: 'answered' })
      await ownership.claim(run.runId, [run.workflowId], NOW)
      const taken = await runOf(run.runId)
      await journal.write(
        writeOf(taken, { steps: [waitingStepOf(run, 'one', { number: 2 })], park: parkOf({ answers: 1 }) }),
      )
      expect(await store.answer(answerOf(run, 'one', { number: 1 }))).toMatchObject({ type: 'not-waiting' })
      const second = answerOf(run, 'one', { number: 2, data: 'second' })
      expect(await store.answer(second)).toMatchObject({ type: 'answered', run: { answers: 2 } })
      expect(await answerIn(run, 'one')).toEqual(second.answer)
      expect(await answerIn(run, 'two')).toBeNull()
    })
  })

  describe('an answer is refused, and changes nothing,', () => {
    test('by a step that has an answer, does not wait, waits for another one, or has waited long enough', async () => {
      const { waiting, store, runOf, reader } = parts()
      const until = (time: number) => ({ expiresAt: new Date(time).toISOString() })
      const cases: [string, (run: RunRecord) => StepRecord[], Parameters<typeof answerOf>[2]][] = [
        ['no such step', () => [], {}],
        ['complete', (run) => [stepOf(run, 'one')], {}],
        ['waits for a time', (run) => [{ ...waitingStepOf(run, 'one', { reason: 'time' }), status: 'RETRYING' }], {}],
        ['another wait', one, { number: 2 }],
        ['too late', (run) => [waitingStepOf(run, 'one', until(NOW.getTime()))], {}],
      ]
      for (const [title, steps, given] of cases) {
        const run = await waiting(steps)
        const before = [await runOf(run.runId), await reader.steps([run.runId])]
        const outcome = await store.answer({ ...answerOf(run, 'one', given), at: NOW })
        expect(outcome, title).toMatchObject({ type: 'not-waiting', run: { runId: run.runId, status: 'PAUSED' } })
        expect([await runOf(run.runId), await reader.steps([run.runId])], title).toEqual(before)
      }
      const inTime = await waiting((run) => [waitingStepOf(run, 'one', until(NOW.getTime() + 1))])
      const request = { ...answerOf(inTime, 'one'), at: NOW }
      expect(await store.answer(request)).toMatchObject({ type: 'answered' })
      expect(await store.answer(answerOf(inTime, 'one', { data: 'second' }))).toMatchObject({ type: 'not-waiting' })
      expect((await reader.steps([inTime.runId])).flat()).toMatchObject([{ answer: request.answer }])
    })

    test('by a run that is over, waits for its turn, or is not there', async () => {
      const { waiting, store, journal, start } = parts()
      const run = await waiting(one, null)
      const queued = await start({ sessionId: run.sessionId })
      await journal.write(writeOf(run, { end: endOf(run) }))
      for (const { runId } of [run, queued])
        expect(await store.answer(answerOf({ ...run, runId }, 'one'))).toMatchObject({ type: 'not-waiting' })
      expect(await store.answer(answerOf({ ...run, runId: newId() }, 'one'))).toEqual({ type: 'not-found' })
    })
  })
})
