import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import type { ResumeRequest } from '../../src/engine/api.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { createTestClock } from '../../src/testing/clock.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { answer } from '../../src/store/answer.ts'
import { approval } from '../../src/workflow/approval.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, startKern } from '../support/kerns.ts'
import { after, ended, seen, start, workflowOf } from './kinds/support.ts'

const Region = z.object({ region: z.string().trim().min(2), zone: z.number().default(1) })
const asks = waitForInput('asks', { prompt: 'Which region?', schema: Region })
const agrees = approval('agrees', { prompt: 'So?' })
const passes = step('passes', ({ input }: StepContext) => input)

/** Longer than any test: nobody looks, so whoever is to do something must be told. */
const NEVER = 1_000_000_000

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** What a call is refused with. */
  async function refusal(kern: Kern, request: ResumeRequest): Promise<unknown> {
    return await kern.commands.resumeRun(SYSTEM_VIEWER, request).then(
      () => 'accepted',
      (error: unknown) => error,
    )
  }

  describe('an answer', () => {
    test('lets the run go on with what the schema makes of it', async () => {
      const workflow = workflowOf([asks, passes])
      const kern = await startKern(database, [workflow], { pollMs: NEVER })
      const paused = await kern.run(workflow.definition.id, {})
      expect(paused).toMatchObject({
        status: 'PAUSED',
        answers: 0,
        steps: { asks: { status: 'PAUSED', answer: null } },
      })
      const run = await kern.resumeRun({ runId: paused.runId, data: { region: ' EU ' } })
      const data = { region: 'EU', zone: 1 }
      expect(run).toMatchObject({ runId: paused.runId, status: 'COMPLETED', output: data, answers: 1 })
      expect(run.steps.asks).toMatchObject({
        status: 'COMPLETED',
        output: data,
        answer: { number: 1, action: 'CONTINUE', data, userId: null },
      })
      expect((await seen(kern, run.runId)).lines).toEqual([
        'RUN_QUEUED',
        'RUN_STARTED',
        'STEP_STARTED asks',
        'STEP_PAUSED asks',
        'RUN_PAUSED',
        'RUN_RESUMED asks',
        'STEP_COMPLETED asks',
        'STEP_STARTED passes',
        'STEP_COMPLETED passes',
        'RUN_COMPLETED',
      ])
    })

    test('is given by a person, who is kept with it', async () => {
      const workflow = workflowOf([agrees])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, { input: 'a draft' })
      const data = { approved: false, comment: 'not yet' }
      const viewer = { userId: 'ann', scopes: [] }
      const answered = await kern.commands.resumeRun(viewer, { runId, stepPath: 'agrees', data, action: 'CONTINUE' })
      expect(answered).toMatchObject({ runId, status: 'RUNNING', answers: 1 })
      const run = await ended(kern, runId)
      expect(run).toMatchObject({ status: 'COMPLETED', output: { ...data, input: 'a draft' } })
      expect(run.steps.agrees).toMatchObject({ answer: { data, userId: 'ann' } })
    })

    test('may be null, where the schema accepts that', async () => {
      const workflow = workflowOf([waitForInput('asks', { prompt: 'So?', schema: z.null() })])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      expect(await kern.resumeRun({ runId, data: null })).toMatchObject({ status: 'COMPLETED', output: null })
    })

    test('that is bad leaves the step waiting', async () => {
      const odd = waitForInput('odd', {
        prompt: 'Odd?',
        schema: z.string().transform((text) => (text === 'x' ? undefined : new Date())),
      })
      const workflow = workflowOf([parallel('both', [asks, agrees, odd])])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      const before = await seen(kern, runId)
      const answers: readonly [ResumeRequest, object][] = [
        [
          { runId, stepPath: 'both/asks', data: { region: 'E', zone: 'a' } },
          {
            details: {
              issues: [
                expect.objectContaining({ path: ['data', 'region'] }),
                expect.objectContaining({ path: ['data', 'zone'] }),
              ],
            },
          },
        ],
        [
          { runId, stepPath: 'both/asks', data: 'EU' },
          {
            message: expect.stringContaining('the answer does not fit step "both/asks": data: '),
            details: { issues: [{ path: ['data'], message: expect.anything() }] },
          },
        ],
        [{ runId, stepPath: 'both/asks' }, { message: 'data is missing: step "both/asks" waits for it' }],
        [
          { runId, stepPath: 'both/agrees', data: true },
          {
            message:
              'the answer does not fit step "both/agrees": data: is true: allowed is an object with approved and comment',
          },
        ],
        [
          { runId, stepPath: 'both/agrees', data: { approved: 'yes', comment: 1, more: 2 } },
          {
            details: {
              issues: [
                { path: ['data', 'approved'], message: 'is "yes": allowed are true and false' },
                { path: ['data', 'comment'], message: 'is 1: allowed is text, or no comment' },
                { path: ['data', 'more'], message: 'is not known: allowed are approved and comment' },
              ],
            },
          },
        ],
        [
          { runId, stepPath: 'both/agrees', data: {} },
          { message: expect.stringContaining('data.approved: is missing') },
        ],
        [
          { runId, stepPath: 'both/agrees', action: 'SKIP' },
          { message: 'action is "SKIP": step "both/agrees" waits for data, allowed is CONTINUE' },
        ],
        [{ runId, stepPath: 'both/odd', data: 'x' }, { message: expect.stringContaining('makes undefined of it') }],
        [{ runId, stepPath: 'both/odd', data: 'y' }, { message: expect.stringContaining('data: $ is a Date') }],
        [
          { runId, stepPath: 'both/odd', data: '\0' },
          { details: { issues: [{ path: ['data'], message: expect.anything() }] } },
        ],
        [
          { runId, data: {} },
          {
            message: `stepPath is missing, and 3 steps of run ${runId} wait: allowed are "both/asks", "both/agrees", "both/odd"`,
          },
        ],
      ]
      for (const [request, refused] of answers) {
        expect(await refusal(kern, request)).toMatchObject({ code: 'INPUT_INVALID', ...refused })
      }
      expect(await seen(kern, runId)).toEqual(before)
      const run = await kern.resumeRun({ runId, stepPath: 'both/asks', data: { region: 'EU' } })
      expect(run).toMatchObject({ status: 'PAUSED', steps: { 'both/asks': { status: 'COMPLETED' } } })
      await kern.cancelRun({ runId })
    })

    test('to a step that does not wait is a conflict that names what does', async () => {
      const workflow = workflowOf([asks, passes])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      for (const stepPath of ['passes', 'nothing']) {
        expect(await refusal(kern, { runId, stepPath, data: {} })).toMatchObject({
          code: 'CONFLICT',
          message: `step "${stepPath}" of run ${runId} does not wait for an answer: what waits is "asks"`,
          details: { runId },
        })
      }
      const run = await kern.resumeRun({ runId, data: { region: 'EU' } })
      expect(run.status).toBe('COMPLETED')
      expect(await refusal(kern, { runId, stepPath: 'asks', data: { region: 'EU' } })).toMatchObject({
        code: 'CONFLICT',
        message: `no step of run ${runId}, which is COMPLETED, waits for an answer`,
        details: { runId },
      })
    })

    test('to a run in which nothing waits, or that is not there, is refused', async () => {
      const gate = createGate()
      const workflow = workflowOf([step('busy', () => gate.pass().then(() => 'done'))])
      const kern = await startKern(database, [workflow])
      const runId = await start(kern, workflow)
      await gate.reached
      expect(await refusal(kern, { runId, data: {} })).toMatchObject({
        code: 'CONFLICT',
        message: expect.stringContaining('which is RUNNING'),
      })
      gate.open()
      await ended(kern, runId)
      const unknown = newId()
      expect(await refusal(kern, { runId: unknown, data: {} })).toMatchObject({
        code: 'NOT_FOUND',
        message: `there is no run "${unknown}"`,
      })
      expect(await refusal(kern, { runId: 'x', data: {} })).toMatchObject({
        code: 'INPUT_INVALID',
        details: { issues: [{ path: ['runId'], message: expect.stringContaining('is "x"') }] },
      })
    })

    test('is taken once, when two come at the same time', async () => {
      const workflow = workflowOf([asks])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      const regions = ['EU', 'US']
      const answers = regions.map((region) => refusal(kern, { runId, data: { region } }))
      const outcomes = await Promise.all(answers)
      expect(outcomes.filter((outcome) => outcome === 'accepted')).toHaveLength(1)
      expect(outcomes).toContainEqual(expect.objectContaining({ code: 'CONFLICT' }))
      const run = await ended(kern, runId)
      expect(run).toMatchObject({ answers: 1, output: { region: regions[outcomes.indexOf('accepted')] } })
    })
  })

  describe('several waits', () => {
    test('one after another are answered one by one', async () => {
      const body = step('body', ({ input }: StepContext) => input)
      const workflow = workflowOf([
        asks,
        loop('again', { steps: [agrees], maxIterations: 2 }),
        nested('sub', workflowOf([body, waitForInput('more', { prompt: 'More?', schema: z.number() })])),
      ])
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      const waits = async () => {
        const { status, steps } = await seen(kern, runId)
        return [status, ...Object.values(steps).flatMap((row) => (row?.status === 'PAUSED' ? [row.path] : []))]
      }
      expect(await waits()).toEqual(['PAUSED', 'asks'])
      await kern.resumeRun({ runId, data: { region: 'EU' } })
      expect(await waits()).toEqual(['PAUSED', 'again[1]/agrees'])
      await kern.resumeRun({ runId, stepPath: 'again[1]/agrees', data: { approved: true } })
      expect(await waits()).toEqual(['PAUSED', 'again[2]/agrees'])
      await kern.resumeRun({ runId, data: { approved: false } })
      expect(await waits()).toEqual(['PAUSED', 'sub/more'])
      const run = await kern.resumeRun({ runId, data: 7 })
      expect(run).toMatchObject({ status: 'COMPLETED', output: 7, answers: 4 })
      expect(run.steps['again[2]/agrees']?.output).toMatchObject({ approved: false })
    })

    test('at the same time are answered in any order, each for itself', async () => {
      const item = waitForInput('value', { prompt: ({ input }) => `Value of ${String(input)}?`, schema: z.number() })
      const workflow = workflowOf([map('each', { items: () => ['a', 'b', 'c'], steps: [item, passes] })])
      const kern = await startKern(database, [workflow])
      const { runId, steps } = await kern.run(workflow.definition.id, {})
      expect(steps['each[1]/value']?.pending).toMatchObject({ prompt: 'Value of b?' })
      const second = await kern.resumeRun({ runId, stepPath: 'each[1]/value', data: 2 })
      expect(second).toMatchObject({ status: 'PAUSED', steps: { 'each[1]/passes': { output: 2 } } })
      expect(await refusal(kern, { runId, stepPath: 'each[1]/value', data: 3 })).toMatchObject({ code: 'CONFLICT' })
      await kern.resumeRun({ runId, stepPath: 'each[2]/value', data: 3 })
      // One is left: its path may be left out.
      expect(await kern.resumeRun({ runId, data: 1 })).toMatchObject({ status: 'COMPLETED', output: [1, 2, 3] })
    })

    test('may be answered all at once', async () => {
      const item = waitForInput('value', { prompt: 'Value?', schema: z.number() })
      const workflow = workflowOf([map('each', { items: () => [0, 1, 2, 3, 4], steps: [item] })])
      const kern = await startKern(database, [workflow], { pollMs: NEVER })
      const { runId } = await kern.run(workflow.definition.id, {})
      const answers = [0, 1, 2, 3, 4].map((index) =>
        refusal(kern, { runId, stepPath: `each[${index}]/value`, data: index }),
      )
      expect(await Promise.all(answers)).toEqual(Array.from({ length: 5 }, () => 'accepted'))
      expect(await ended(kern, runId)).toMatchObject({ status: 'COMPLETED', output: [0, 1, 2, 3, 4], answers: 5 })
    })

    test('are answered while something else runs beside them', async () => {
      const gate = createGate()
      const workflow = workflowOf([
        parallel('both', [step('busy', () => gate.pass().then(() => 'done')), sequence('asked', [asks, passes])]),
      ])
      const kern = await startKern(database, [workflow], { pollMs: NEVER })
      const runId = await start(kern, workflow)
      await gate.reached
      const waiting = await after(kern, runId, 'STEP_PAUSED both/asked/asks')
      expect(waiting.status).toBe('RUNNING')
      const answered = await kern.commands.resumeRun(SYSTEM_VIEWER, { runId, data: { region: 'EU' } })
      expect(answered).toMatchObject({ status: 'RUNNING', answers: 1 })
      // The run was not put aside, so nothing is resumed.
      expect((await after(kern, runId, 'STEP_COMPLETED both/asked')).lines).not.toContain('RUN_PAUSED')
      gate.open()
      expect(await ended(kern, runId)).toMatchObject({ status: 'COMPLETED' })
    })
  })

  describe('a restart', () => {
    test('between the pause and the answer loses nothing', async () => {
      let bodies = 0
      const counted = step('counted', () => ++bodies)
      const workflow = workflowOf([counted, asks, passes])
      const first = await startKern(database, [workflow])
      const { runId } = await first.run(workflow.definition.id, {})
      await first.close()
      const second = await startKern(database, [workflow])
      expect(await second.getRun(runId)).toMatchObject({ status: 'PAUSED' })
      const run = await second.resumeRun({ runId, data: { region: 'EU' } })
      expect(run).toMatchObject({ status: 'COMPLETED', output: { region: 'EU' } })
      expect(bodies).toBe(1)
    })

    test('with another definition, where nothing waits for data in that place, is a conflict that says so', async () => {
      const workflow = workflowOf([asks], { id: 'reworked' })
      const first = await startKern(database, [workflow])
      const { runId } = await first.run('reworked', {})
      await first.close()
      const reworked = workflowOf([step('asks', () => 1)], { id: 'reworked' })
      const second = await startKern(database, [reworked])
      const { version } = workflow.definition
      expect(await refusal(second, { runId, data: { region: 'EU' } })).toMatchObject({
        code: 'CONFLICT',
        message: `run ${runId} was started with version ${version} of workflow "reworked" and waits at step "asks", where version ${reworked.definition.version} has nothing that waits for data`,
      })
      await second.close()
      const third = await startKern(database, [workflowOf([passes])])
      expect(await refusal(third, { runId, data: { region: 'EU' } })).toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringContaining('no workflow "reworked" is served'),
      })
      expect(await third.getRun(runId)).toMatchObject({ status: 'PAUSED', answers: 0 })
      await third.cancelRun({ runId })
    })
  })

  describe('a timeout', () => {
    const asksFor = (hours: number, onTimeout?: z.input<typeof Region>) =>
      waitForInput('asks', { prompt: 'Which region?', schema: Region, timeout: `${hours}h`, onTimeout })

    test('that passes without an answer gives the default, as the schema makes it', async () => {
      const clock = createTestClock(new Date())
      const workflow = workflowOf([asksFor(2, { region: 'EU' }), passes])
      const kern = await startKern(database, [workflow], { clock })
      const { runId, wakeAt, steps } = await kern.run(workflow.definition.id, {})
      expect(wakeAt?.toISOString()).toBe(steps.asks?.pending?.expiresAt)
      clock.advance('1h')
      await kern.idle()
      expect(await kern.getRun(runId)).toMatchObject({ status: 'PAUSED' })
      clock.advance('1h')
      await kern.idle()
      const run = await seen(kern, runId)
      expect(run).toMatchObject({ status: 'COMPLETED', output: { region: 'EU', zone: 1 }, answers: 0 })
      expect(run.lines).toContain('RUN_RESUMED')
    })

    test('without a default fails the step', async () => {
      const clock = createTestClock(new Date())
      const workflow = workflowOf([approval('agrees', { prompt: 'So?', timeout: '1d' })])
      const kern = await startKern(database, [workflow], { clock })
      const { runId } = await kern.run(workflow.definition.id, {})
      clock.advance('1d')
      await kern.idle()
      expect(await kern.getRun(runId)).toMatchObject({
        status: 'FAILED',
        error: { code: 'STEP_TIMEOUT', stepPath: 'agrees' },
        steps: { agrees: { status: 'FAILED' } },
      })
    })

    test('that passes while no process is there counts when one comes', async () => {
      const clock = createTestClock(new Date())
      const workflow = workflowOf([asksFor(2, { region: 'EU' })])
      const first = await startKern(database, [workflow], { clock })
      const { runId } = await first.run(workflow.definition.id, {})
      await first.close()
      clock.advance('3h')
      const second = await startKern(database, [workflow], { clock })
      await second.idle()
      expect(await second.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: { region: 'EU', zone: 1 } })
    })

    test('that has passed cannot be answered any more', async () => {
      const clock = createTestClock(new Date())
      const workflow = workflowOf([asksFor(2, { region: 'EU' })])
      const kern = await startKern(database, [workflow], { clock, pollMs: NEVER })
      const { runId } = await kern.run(workflow.definition.id, {})
      clock.advance('2h')
      expect(await refusal(kern, { runId, data: { region: 'US' } })).toMatchObject({
        code: 'CONFLICT',
        message: `step "asks" of run ${runId}, which is PAUSED, was answered already, or its time is over`,
      })
      await kern.idle()
      expect(await kern.getRun(runId)).toMatchObject({ status: 'COMPLETED', output: { region: 'EU' } })
    })

    test('that reads the answer to another branch while the run is taken up lets that go on too', async () => {
      const clock = createTestClock(new Date())
      let takenUp: () => Promise<unknown> = async () => undefined
      const input = z.string().refine(async () => {
        // Called between what the process reads of the run when it takes it, and its first step.
        const once = takenUp
        takenUp = async () => undefined
        await once()
        return true
      })
      const late = waitForInput('late', { prompt: 'Which?', schema: z.string(), timeout: '1h', onTimeout: 'none' })
      const workflow = new Workflow({ name: `W ${newId()}`, input, steps: [parallel('both', [agrees, late])] })
      const kern = await startKern(database, [workflow], { clock, pollMs: NEVER })
      const { runId } = await kern.run(workflow.definition.id, { input: 'in' })
      const given = { number: 1, action: 'CONTINUE', data: { approved: true }, userId: null, at: '' } as const
      takenUp = () => answer(database.db, { runId, path: 'both/agrees', answer: given, at: clock.now() })
      clock.advance('1h')
      await kern.idle()
      const run = await kern.getRun(runId)
      expect(run).toMatchObject({
        status: 'COMPLETED',
        output: { agrees: { approved: true, input: 'in' }, late: 'none' },
        answers: 1,
      })
    })

    test('does nothing to a step that was answered before', async () => {
      const clock = createTestClock(new Date())
      const workflow = workflowOf([asksFor(2, { region: 'EU' }), agrees])
      const kern = await startKern(database, [workflow], { clock })
      const { runId } = await kern.run(workflow.definition.id, {})
      const run = await kern.resumeRun({ runId, data: { region: 'US' } })
      expect(run).toMatchObject({ status: 'PAUSED', wakeAt: null, steps: { asks: { output: { region: 'US' } } } })
      clock.advance('3h')
      await kern.idle()
      expect(await kern.getRun(runId)).toMatchObject({ status: 'PAUSED', steps: { agrees: { status: 'PAUSED' } } })
      await kern.cancelRun({ runId })
    })
  })

  describe('a cancel', () => {
    test('of a paused run ends it, and the session goes on', async () => {
      const workflow = workflowOf([sequence('outer', [asks])])
      const kern = await startKern(database, [workflow], { pollMs: NEVER })
      const { runId, sessionId } = await kern.run(workflow.definition.id, {})
      const next = kern.run(workflow.definition.id, { sessionId })
      const run = await kern.cancelRun({ runId, reason: 'not needed' })
      expect(run).toMatchObject({
        status: 'CANCELLED',
        cancelReason: 'not needed',
        error: { code: 'CANCELLED', message: expect.stringContaining('not needed') },
        steps: { 'outer/asks': { status: 'CANCELLED' }, outer: { status: 'CANCELLED' } },
      })
      const { lines } = await seen(kern, runId)
      expect(lines.slice(lines.indexOf('RUN_PAUSED'))).toEqual([
        'RUN_PAUSED',
        'STEP_CANCELLED outer/asks',
        'STEP_CANCELLED outer',
        'RUN_CANCELLED',
      ])
      expect(await refusal(kern, { runId, data: { region: 'EU' } })).toMatchObject({
        code: 'CONFLICT',
        message: expect.stringContaining('which is CANCELLED'),
      })
      const second = await next
      expect(second).toMatchObject({ number: 2, status: 'PAUSED' })
      await kern.cancelRun({ runId: second.runId })
    })

    test('by a newer run of the session interrupts a paused one', async () => {
      const workflow = workflowOf([asks])
      const kern = await startKern(database, [workflow], { pollMs: NEVER })
      const { runId, sessionId } = await kern.run(workflow.definition.id, {})
      const second = await kern.run(workflow.definition.id, { sessionId, onBusy: 'INTERRUPT' })
      expect(second.status).toBe('PAUSED')
      expect(await kern.getRun(runId)).toMatchObject({ status: 'CANCELLED' })
      await kern.cancelRun({ runId: second.runId })
    })
  })

  describe('a step that failed and waits', () => {
    /** A step that fails while `broken` is set. */
    function fragile() {
      const world = { broken: true, bodies: 0 }
      const node = step({
        name: 'fragile',
        onError: 'pause',
        retry: { maxAttempts: 2, delay: 0 },
        run: ({ input }: StepContext) => {
          world.bodies += 1
          if (world.broken) throw new Error('it broke')
          return `mended ${String(input)}`
        },
      })
      return { world, workflow: workflowOf([node, passes]) }
    }

    test('is tried again with RETRY, and waits again when that fails', async () => {
      const { world, workflow } = fragile()
      const kern = await startKern(database, [workflow])
      const paused = await kern.run(workflow.definition.id, { input: 'in' })
      expect(paused).toMatchObject({
        status: 'PAUSED',
        steps: {
          fragile: { status: 'PAUSED', pending: { reason: 'error', number: 2 }, error: { message: 'it broke' } },
        },
      })
      expect(world.bodies).toBe(2)
      const { runId } = paused
      const again = await kern.resumeRun({ runId, action: 'RETRY' })
      expect(again.steps.fragile).toMatchObject({
        status: 'PAUSED',
        attempts: { length: 4 },
        answer: { action: 'RETRY' },
      })
      expect(again.status).toBe('PAUSED')
      world.broken = false
      const run = await kern.resumeRun({ runId, stepPath: 'fragile', action: 'RETRY' })
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'mended in', answers: 2 })
      expect(run.steps.fragile).toMatchObject({ attempts: { length: 5 }, error: null })
    })

    test('is left out with SKIP: the next one gets its input', async () => {
      const { workflow } = fragile()
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, { input: 'in' })
      const run = await kern.resumeRun({ runId, action: 'SKIP' })
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'in' })
      expect(run.steps.fragile).toMatchObject({ status: 'SKIPPED', error: { message: 'it broke' } })
    })

    test('fails the run with FAIL', async () => {
      const { workflow, world } = fragile()
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, { input: 'in' })
      const run = await kern.resumeRun({ runId, action: 'FAIL' })
      expect(run).toMatchObject({ status: 'FAILED', error: { message: 'it broke', stepPath: 'fragile' } })
      expect(run.steps.passes).toBeUndefined()
      expect(world.bodies).toBe(2)
    })

    test('takes no data, and nothing but these', async () => {
      const { workflow } = fragile()
      const kern = await startKern(database, [workflow])
      const { runId } = await kern.run(workflow.definition.id, {})
      expect(await refusal(kern, { runId, data: 'so' })).toMatchObject({
        code: 'INPUT_INVALID',
        message: 'action is missing: step "fragile" has failed and waits for a decision, allowed is RETRY, SKIP, FAIL',
      })
      expect(await refusal(kern, { runId, action: 'SKIP', data: 'so' })).toMatchObject({
        code: 'INPUT_INVALID',
        message: 'data is "so": allowed is none with action SKIP',
      })
      // As from JavaScript.
      const unknown = 'GO' as 'RETRY'
      expect(await refusal(kern, { runId, action: unknown })).toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringContaining('action is "GO"'),
      })
      await kern.cancelRun({ runId })
    })

    test('goes on after a restart, by a process that knows its answer only', async () => {
      const { world, workflow } = fragile()
      const first = await startKern(database, [workflow])
      const { runId } = await first.run(workflow.definition.id, { input: 'in' })
      await first.close()
      world.broken = false
      const second = await startKern(database, [workflow])
      expect(await second.resumeRun({ runId, action: 'RETRY' })).toMatchObject({
        status: 'COMPLETED',
        output: 'mended in',
      })
    })
  })
})
