import { beforeAll, describe, expect, test } from 'vitest'
import type { Database } from '../../src/db/client.ts'
import { isReused, type RunRecord, type StepRecord } from '../../src/engine/records.ts'
import { newId } from '../../src/ids.ts'
import { previewOf } from '../../src/json.ts'
import { takenRun } from '../../src/store/takenRun.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createParts, eventOf, newRun, stepOf, still, writeOf } from '../support/parts.ts'

const DEEP = { deep: ['{"a"}', null] }

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A retry of a run, that takes steps over from it. */
  function retryOf(run: RunRecord, steps: (retry: Pick<RunRecord, 'runId' | 'createdAt'>) => StepRecord[]) {
    const retry = newRun(still, { sessionId: run.sessionId, input: 'again', retryOf: run.runId })
    return { ...retry, reused: steps({ runId: retry.runId, createdAt: retry.at }) }
  }

  const reused = (run: Pick<RunRecord, 'runId' | 'createdAt'>, path: string, given: Partial<StepRecord> = {}) =>
    ({ ...stepOf({ ...template, ...run }, path, given), attempts: [] }) satisfies StepRecord
  let template: RunRecord
  beforeAll(async () => {
    template = await createParts(database).start()
  })

  describe('a run that is accepted as a retry', () => {
    test('has the rows that it takes over from the first moment on, and no events of them', async () => {
      const { start, store, reader, runOf } = createParts(database)
      const retry = retryOf(await start(), (run) => [
        reused(run, 'one', { output: DEEP, outputPreview: previewOf(DEEP) }),
        reused(run, 'two', {
          status: 'RUNNING',
          inputFrom: 'own',
          input: [1],
          output: undefined,
          completedAt: null,
          decision: { iterations: 1, over: false },
        }),
        reused(run, 'three', { position: 2, status: 'SKIPPED', inputFrom: 'step:one', output: undefined }),
      ])
      const outcome = await store.accept(retry)
      expect(outcome).toMatchObject({
        type: 'accepted',
        run: { retryOf: retry.retryOf, stepCount: 3, attemptCount: 0 },
      })
      expect(outcome).toMatchObject({ run: await runOf(retry.runId) })
      const [steps = []] = await reader.steps([retry.runId])
      const inputs = ['again', [1], DEEP]
      expect(steps).toEqual(retry.reused.map((step, index) => ({ ...step, input: inputs[index] })))
      expect(steps.map(isReused)).toEqual([true, false, true])
      const events = await reader.events(retry.runId, { afterSeq: 0, limit: 9, types: null })
      expect(events.map(({ type }) => type)).toEqual(['RUN_QUEUED'])
      expect((await reader.retries([retry.retryOf ?? ''])).flat()).toMatchObject([{ runId: retry.runId }])
    })

    test('may take over more rows than a statement has parameters', async () => {
      const { start, store, reader } = createParts(database)
      const paths = Array.from({ length: 4_000 }, (_, index) => `each[${index}]/page`)
      const retry = retryOf(await start(), (run) => paths.map((path, position) => reused(run, path, { position })))
      await store.accept(retry)
      const [steps = []] = await reader.stepSummaries([retry.runId])
      expect(steps.map(({ path }) => path)).toEqual(paths)
    })

    test('is not there, nor any of its rows, where one of them is refused', async () => {
      const { start, store, reader } = createParts(database)
      const retry = retryOf(await start(), (run) => [reused(run, 'one'), reused(run, 'one')])
      await expect(store.accept(retry)).rejects.toThrow()
      expect(await reader.runs([retry.runId])).toEqual([null])
      expect(await reader.steps([retry.runId])).toEqual([[]])
    })

    test('gives its rows to the one who takes it, before and after it has started', async () => {
      const { start, store, reader, ownership, journal } = createParts(database)
      const run = await start({ sessionId: newId() })
      const retry = { ...retryOf(run, (of) => [reused(of, 'one')]), session: newRun(still).session }
      await store.accept(retry)
      await ownership.claim(retry.runId, [run.workflowId], new Date())
      const taken = async () => await takenRun(database.db, reader, { runId: retry.runId, owner: ownership.workerId })
      const first = await taken()
      expect(first).toMatchObject({ fresh: true, steps: [{ path: 'one', output: 'one', attempts: [] }] })
      if (!first) throw new Error('the retry is gone')
      const begin = { events: [eventOf(first.run, 2)], start: { stateBefore: {}, historyRunIds: [] } }
      await journal.write(writeOf(first.run, { ...begin, steps: [stepOf(first.run, 'two')] }))
      expect(await taken()).toMatchObject({ fresh: false, steps: [{ path: 'one' }, { path: 'two' }] })
    })

    test('keeps a result that it has taken over, and lets a container that is open go on', async () => {
      const { start, store, reader, ownership, journal, runOf } = createParts(database)
      const open = { status: 'RUNNING', output: undefined, completedAt: null } as const
      const steps = (run: Pick<RunRecord, 'runId' | 'createdAt'>) => [reused(run, 'one'), reused(run, 'two', open)]
      const retry = { ...retryOf(await start(), steps), session: newRun(still).session }
      await store.accept(retry)
      await ownership.claim(retry.runId, [still.id], new Date())
      const run = await runOf(retry.runId)
      await journal.write(writeOf(run, { steps: [stepOf(run, 'one', { output: 'new' }), stepOf(run, 'two')] }))
      expect((await reader.steps([run.runId])).flat()).toMatchObject([
        { path: 'one', output: 'one', attempts: [] },
        { path: 'two', status: 'COMPLETED', output: 'two', attempts: [{ number: 1 }] },
      ])
    })
  })

  test('nothing is read of the steps of a run that has none yet', async () => {
    const { start, reader, ownership } = createParts(database)
    const { runId } = await start()
    const unread = { ...reader, steps: () => Promise.reject(new Error('the steps were read')) }
    expect(await takenRun(database.db, unread, { runId, owner: ownership.workerId })).toMatchObject({
      fresh: true,
      steps: [],
    })
  })
})
