import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { isUuid, newId } from '../../src/ids.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { allRuns, eventLines, runsOf, startKern } from '../support/kerns.ts'

const Topic = z.object({ topic: z.string().min(3) })

const pages = step({ name: 'pages', input: Topic, run: ({ input }) => ({ topic: input.topic, pages: 2 }) })
const text = step(
  'text',
  ({ input }: { input: { topic: string; pages: number } }) => `${input.topic} on ${input.pages}`,
)
const writer = new Workflow({ name: 'Writer', input: Topic, steps: [pages, text] })

const failing = new Workflow({
  name: 'Failing',
  steps: [
    step('works', () => 'done'),
    step('breaks', () => {
      throw Object.assign(new TypeError('the disk is full'), { code: 'ENOSPC' })
    }),
    step('never', () => 'not reached'),
  ],
})

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a run', () => {
    test('is recorded with its output, its steps, its previews and its counts', async () => {
      const kern = await startKern(database, [writer])
      const run = await kern.run(writer, { input: { topic: 'tea' }, metadata: { by: 'test' }, tags: ['a', 'b'] })
      expect(run).toMatchObject({
        status: 'COMPLETED',
        number: 1,
        workflowId: 'writer',
        workflowName: 'Writer',
        workflowVersion: writer.definition.version,
        input: { topic: 'tea' },
        inputPreview: '{"topic":"tea"}',
        output: 'tea on 2',
        outputPreview: 'tea on 2',
        error: null,
        stoppedBy: null,
        stateBefore: {},
        stateAfter: {},
        historyRunIds: [],
        metadata: { by: 'test' },
        tags: ['a', 'b'],
        stepCount: 2,
        attemptCount: 2,
      })
      const { createdAt, startedAt, completedAt, durationMs } = run
      expect(createdAt.getTime()).toBeLessThanOrEqual(startedAt?.getTime() ?? 0)
      expect(durationMs).toBe((completedAt?.getTime() ?? 0) - (startedAt?.getTime() ?? 0))
      expect(Object.keys(run.steps)).toEqual(['pages', 'text'])
      expect(run.steps.pages).toMatchObject({
        position: 0,
        parentPath: null,
        kind: 'step',
        status: 'COMPLETED',
        input: { topic: 'tea' },
        output: { topic: 'tea', pages: 2 },
        outputPreview: '{"topic":"tea","pages":2}',
        statePatch: undefined,
        historyUsed: false,
        maxAttempts: 1,
        attempts: [{ number: 1, error: null }],
      })
      expect(run.steps.text).toMatchObject({ position: 1, input: { topic: 'tea', pages: 2 }, output: 'tea on 2' })
      expect(await eventLines(kern, run.runId)).toEqual([
        'RUN_QUEUED',
        'RUN_STARTED',
        'STEP_STARTED pages',
        'STEP_COMPLETED pages',
        'STEP_STARTED text',
        'STEP_COMPLETED text',
        'RUN_COMPLETED',
      ])
      expect(await kern.getRun(run.runId)).toEqual(run)
    })

    test('that fails is a value, and keeps its input, its finished steps and its error', async () => {
      const kern = await startKern(database, [failing])
      const run = await kern.run(failing, { input: { given: true } })
      expect(run).toMatchObject({
        status: 'FAILED',
        input: { given: true },
        output: undefined,
        outputPreview: null,
        error: { name: 'TypeError', code: 'ENOSPC', message: 'the disk is full', stepPath: 'breaks', retryable: true },
        stepCount: 2,
        attemptCount: 2,
      })
      expect(run.steps.works).toMatchObject({ status: 'COMPLETED', output: 'done' })
      expect(run.steps.breaks).toMatchObject({ status: 'FAILED', output: undefined, error: { code: 'ENOSPC' } })
      expect(run.steps.never).toBeUndefined()
      expect((await eventLines(kern, run.runId)).slice(-2)).toEqual(['STEP_FAILED breaks', 'RUN_FAILED'])
    })

    test.each([
      ['an input that does not fit its schema', { input: { topic: 'x' } }, 'input.topic'],
      ['no input where the schema wants one', {}, 'input'],
      ['a state that is not an object', { input: { topic: 'tea' }, sessionState: [1] }, 'sessionState'],
      ['a name with a line break', { input: { topic: 'tea' }, sessionName: 'a\nb' }, 'sessionName'],
      ['an empty idempotency key', { input: { topic: 'tea' }, idempotencyKey: '' }, 'idempotencyKey'],
      ['metadata that is no JSON', { input: { topic: 'tea' }, metadata: { at: new Date() } }, 'metadata'],
      ['an empty tag', { input: { topic: 'tea' }, tags: [''] }, 'tags'],
    ])('is refused for %s, says where, and leaves no row', async (_title, options, path) => {
      const kern = await startKern(database, [writer])
      const sessionId = newId()
      const before = (await allRuns(kern, { workflowId: 'writer' })).length
      // As from JavaScript: the types would not let these through.
      const refusal: unknown = await kern.run('writer', { ...options, sessionId } as object).catch((error) => error)
      expect(refusal).toMatchObject({ code: 'INPUT_INVALID' })
      const issues = (refusal as { details: { issues: { path: string[] }[] } }).details.issues
      expect(issues.map((issue) => issue.path.join('.'))).toEqual([path])
      expect(await kern.getSession({ sessionId })).toBeNull()
      expect(await allRuns(kern, { workflowId: 'writer' })).toHaveLength(before)
    })

    test('of a workflow that is not served is refused with the ids that are', async () => {
      const kern = await startKern(database, [writer])
      const refusal = kern.run('writre', { input: { topic: 'tea' } })
      await expect(refusal).rejects.toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('"writre"') })
    })

    test('without a session gets a new one, and the first run of a session creates it', async () => {
      const kern = await startKern(database, [writer])
      const alone = await kern.run(writer, { input: { topic: 'tea' } })
      expect(isUuid(alone.sessionId)).toBe(true)
      const sessionId = `chosen ${newId()}`
      const first = await kern.run(writer, { input: { topic: 'tea' }, sessionId, userId: 'ada', sessionName: ' Mine ' })
      expect(first.sessionId).toBe(sessionId)
      expect(await kern.getSession({ sessionId })).toMatchObject({
        sessionId,
        workflowId: 'writer',
        userId: 'ada',
        name: 'Mine',
        nameSource: 'MANUAL',
        runCount: 1,
        activeRunId: null,
        lastRunId: first.runId,
        workflowData: writer.definition.data,
      })
    })

    test('has the next number of its session, also after one that failed', async () => {
      const kern = await startKern(database, [failing])
      const sessionId = newId()
      for (const number of [1, 2, 3]) {
        expect(await kern.run(failing, { sessionId })).toMatchObject({ number, status: 'FAILED' })
      }
      expect((await runsOf(kern, sessionId)).map(({ number }) => number)).toEqual([1, 2, 3])
    })

    test('of another workflow in a session is a conflict that names the session and changes nothing', async () => {
      const kern = await startKern(database, [writer, failing])
      const sessionId = newId()
      await kern.run(writer, { input: { topic: 'tea' }, sessionId })
      const before = await kern.getSession({ sessionId })
      const refusal = kern.run(failing, { sessionId })
      await expect(refusal).rejects.toMatchObject({ code: 'CONFLICT', details: { sessionId } })
      expect(await kern.getSession({ sessionId })).toEqual(before)
      expect(await runsOf(kern, sessionId)).toHaveLength(1)
    })

    test('of another owner in a session is a conflict', async () => {
      const kern = await startKern(database, [failing])
      const sessionId = newId()
      await kern.run(failing, { sessionId, userId: 'ada' })
      const refusal = kern.run(failing, { sessionId, userId: 'eve' })
      await expect(refusal).rejects.toMatchObject({ code: 'CONFLICT', details: { sessionId } })
    })
  })

  describe('stop', () => {
    const stopping = (name: string, swallow: boolean) =>
      new Workflow({
        name,
        steps: [
          step('before', () => 1),
          sequence('inner', [
            step('stops', ({ stop }) => {
              if (!swallow) stop({ why: 'enough' })
              try {
                stop({ why: 'enough' })
              } catch {
                return 'went on'
              }
            }),
            step('after', () => 2),
          ]),
          step('last', () => 3),
        ],
      })

    test.each([
      ['ends the run early, as COMPLETED with its output, through the sequence around it', false],
      ['ends the run also if the author swallows what it throws', true],
    ])('%s', async (_title, swallow) => {
      const workflow = stopping(`Stopping ${swallow}`, swallow)
      const kern = await startKern(database, [workflow])
      const run = await kern.run(workflow, {})
      expect(run).toMatchObject({ status: 'COMPLETED', output: { why: 'enough' }, stoppedBy: 'inner/stops' })
      expect(Object.keys(run.steps)).toEqual(['before', 'inner', 'inner/stops'])
      expect(run.steps['inner/stops']).toMatchObject({ status: 'COMPLETED', output: { why: 'enough' }, stopsRun: true })
      expect(run.steps.inner).toMatchObject({ status: 'COMPLETED', output: { why: 'enough' } })
      expect((await eventLines(kern, run.runId)).slice(-3)).toEqual([
        'STEP_COMPLETED inner/stops',
        'STEP_COMPLETED inner',
        'RUN_COMPLETED',
      ])
    })
  })
})
