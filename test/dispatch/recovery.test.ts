import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { systemClock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { createJournal } from '../../src/store/journal.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, createTestClock, eventLines, eventsOf, PATIENCE, runsOf, startKern } from '../support/kerns.ts'
import { createParts, endOf, newRun, writeOf } from '../support/parts.ts'
import { watchStatements } from '../support/statements.ts'

const SOON = { pollMs: 20 }

/** Waits until a run is over, and gives it. */
async function ended(kern: Kern, runId: string) {
  for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
  return await kern.getRun(runId)
}

/** A workflow whose second step waits at a gate in its first attempt. */
function gated(name: string) {
  const gate = createGate()
  const bodies: string[] = []
  const signals: AbortSignal[] = []
  const first = step('first', ({ setState }: StepContext) => {
    bodies.push('first')
    setState({ first: true })
    return 'from first'
  })
  const second = step('second', async ({ attempt, input, signal }: StepContext) => {
    bodies.push(`second ${attempt}`)
    signals.push(signal)
    if (attempt === 1) {
      await Promise.race([gate.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))])
    }
    return `${String(input)}, attempt ${attempt}`
  })
  return { workflow: new Workflow({ name, steps: [first, second] }), gate, bodies, signals }
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('closing', () => {
    test('in the middle of a run leaves it for the next process, which goes on after the last finished step', async () => {
      const { workflow, gate, bodies, signals } = gated('Left')
      const first = await startKern(database, [workflow])
      const sessionId = newId()
      const running = first.run(workflow, { sessionId }).catch((error: unknown) => error)
      await gate.reached
      await first.close()
      expect(signals[0]?.reason).toMatchObject({ code: 'UNAVAILABLE' })
      expect(await running).toMatchObject({ code: 'UNAVAILABLE' })
      const [left] = await runsOf(first, sessionId)
      expect(left).toMatchObject({ status: 'RUNNING', completedAt: null })

      const second = await startKern(database, [workflow], SOON)
      const run = await ended(second, left?.runId ?? '')
      expect(run).toMatchObject({ status: 'COMPLETED', output: 'from first, attempt 2', stateAfter: { first: true } })
      expect(run?.steps.second?.attempts).toMatchObject([
        { number: 1, error: { code: 'INTERRUPTED' } },
        { number: 2, error: null },
      ])
      expect(bodies).toEqual(['first', 'second 1', 'second 2'])
    })

    test('lets a step that ends in time end, and starts none after it', async () => {
      const { workflow, gate, bodies } = gated('Drained parts')
      const after = new Workflow({
        name: 'Drained',
        steps: [...workflow.definition.steps, step('third', () => bodies.push('third'))],
      })
      const clock = createTestClock(systemClock, { hold: (ms) => ms === 88_000 })
      const first = await startKern(database, [after], { drainMs: 88_000, clock })
      const sessionId = newId()
      const running = first.run('drained', { sessionId }).catch((error: unknown) => error)
      await gate.reached
      const closing = first.close()
      await clock.asked(88_000)
      gate.open()
      await closing
      await running
      expect(bodies).toEqual(['first', 'second 1'])
      const [left] = await runsOf(first, sessionId)
      const second = await startKern(database, [after], SOON)
      const run = await ended(second, left?.runId ?? '')
      expect(run?.steps.second).toMatchObject({ output: 'from first, attempt 1', attempts: [{ number: 1 }] })
      expect(bodies).toEqual(['first', 'second 1', 'third'])
    })

    test('tells those who read the events of a run that it is stopping', async () => {
      const { workflow, gate } = gated('Closed')
      const kern = await startKern(database, [workflow])
      const stream = kern.stream(workflow, {})
      for (let event = await stream.next(); event.value?.stepPath !== 'second'; event = await stream.next());
      const told = expect(stream.next()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      await gate.reached
      await kern.close()
      await told
      expect(await stream.next()).toEqual({ done: true, value: undefined })
    })
  })

  describe('a new process takes up', () => {
    test('a run that was accepted and never started', async () => {
      const { workflow, gate } = gated('Accepted')
      gate.open()
      const { store } = createParts(database)
      const accepted = newRun(workflow.definition, { input: 'in', stateGiven: { given: 1 } })
      await store.accept(accepted)
      const kern = await startKern(database, [workflow], SOON)
      const run = await ended(kern, accepted.runId)
      expect(run).toMatchObject({ status: 'COMPLETED', input: 'in', stateBefore: { given: 1 } })
    })

    test('a run of which nothing was written but that it was taken', async () => {
      const { workflow, gate } = gated('Taken')
      gate.open()
      const { store, ownership } = createParts(database)
      const accepted = newRun(workflow.definition, { stateGiven: { given: 1 } })
      await store.accept(accepted)
      await ownership.claim(accepted.runId, [workflow.id], new Date())
      const kern = await startKern(database, [workflow], SOON)
      const run = await ended(kern, accepted.runId)
      expect(run).toMatchObject({
        status: 'COMPLETED',
        stateBefore: { given: 1 },
        stateAfter: { given: 1, first: true },
      })
      expect((await eventLines(kern, accepted.runId))[1]).toBe('RUN_STARTED')
    })

    test('a session whose turn nobody gave on, since the process ended right after the end of a run', async () => {
      const { workflow, gate } = gated('Turns')
      gate.open()
      const { store, ownership, runOf } = createParts(database)
      const sessionId = newId()
      const [one, two] = [newRun(workflow.definition, { sessionId }), newRun(workflow.definition, { sessionId })]
      for (const run of [one, two]) await store.accept(run)
      await ownership.claim(one.runId, [workflow.id], new Date())
      const run = await runOf(one.runId)
      const died = Promise.withResolvers<null>()
      const journal = createJournal({
        flushes: database.db,
        random: () => 0.5,
        closing: new AbortController().signal,
        db: database.db,
        clock: { now: () => new Date(), sleep: async () => undefined },
        advance: () => died.promise,
      })
      const at = { runId: run.runId, at: new Date(), stepPath: null, name: null, data: undefined }
      const events = [
        { ...at, seq: 2, type: 'RUN_STARTED' as const },
        { ...at, seq: 3, type: 'RUN_COMPLETED' as const },
      ]
      void journal.write(writeOf(run, { events, start: { stateBefore: {}, historyRunIds: [] }, end: endOf(run) }))
      await expect.poll(async () => (await runOf(one.runId)).status, PATIENCE).toBe('COMPLETED')
      const kern = await startKern(database, [workflow], SOON)
      expect(await ended(kern, two.runId)).toMatchObject({ status: 'COMPLETED', number: 2 })
      died.resolve(null)
    })

    test('a run whose recorded steps are not in the definition any more, and fails it', async () => {
      const { workflow, gate } = gated('Changed')
      const first = await startKern(database, [workflow])
      const sessionId = newId()
      void first.run(workflow, { sessionId }).catch(() => undefined)
      await gate.reached
      await first.close()
      const changed = new Workflow({ name: 'Changed', steps: [step('other', () => 1)] })
      const kern = await startKern(database, [changed], SOON)
      const [left] = await runsOf(kern, sessionId)
      const run = await ended(kern, left?.runId ?? '')
      expect(run).toMatchObject({
        status: 'FAILED',
        error: { code: 'DEFINITION_CHANGED' },
        stateAfter: { first: true },
      })
      expect(run?.error?.message).toContain('"first"')
      expect(run?.steps.first).toMatchObject({ status: 'COMPLETED', output: 'from first' })
      expect(await kern.run(changed, { sessionId })).toMatchObject({ status: 'COMPLETED', number: 2 })
    })
  })

  describe('a database that fails for a while', () => {
    const lost = () => Object.assign(new Error('connection lost'), { code: 'ECONNRESET' })
    const quick = () => createTestClock(systemClock, { skip: (ms) => ms <= 2_000 && ms !== 1_000 })

    test.each([
      [
        'when a run was taken and is loaded',
        (text: string) => text.includes('"run_payloads"') && text.startsWith('select'),
      ],
      [
        'when results are written, and when the run is let go',
        (text: string) => /insert into kern\.step_results|"owner" =/.test(text),
      ],
    ])('%s delays runs, and loses none', async (title, hit) => {
      const { workflow, gate, bodies } = gated(`Failing ${title.slice(0, 30).trim()}`)
      gate.open()
      const kern = await startKern(database, [workflow], { ...SOON, clock: quick() })
      let failing = true
      let failed = 0
      const unwatch = watchStatements(database, ({ text }) => {
        if (!failing || !hit(text)) return
        failed += 1
        throw lost()
      })
      onTestFinished(unwatch)
      // One that is found waiting: what is accepted here is executed without being taken.
      const { runId } = newRun(workflow.definition)
      await createParts(database).store.accept({ ...newRun(workflow.definition), runId })
      await expect.poll(() => failed, PATIENCE).toBeGreaterThanOrEqual(3)
      failing = false
      const run = await ended(kern, runId)
      unwatch()
      expect(run).toMatchObject({ status: 'COMPLETED' })
      expect(bodies.at(-1)).toMatch(/^second/)
      expect(bodies.filter((body) => body.startsWith('second'))).toHaveLength(1)
    })
  })

  test('all runs are executed without a look at the rows in between, however few places there are', async () => {
    const { workflow, gate } = gated('Places')
    gate.open()
    const kern = await startKern(database, [workflow], { concurrency: 2, pollMs: 3_600_000 })
    const results = await Promise.all(Array.from({ length: 15 }, () => kern.run(workflow, {})))
    expect(results.map(({ status }) => status)).toEqual(results.map(() => 'COMPLETED'))
    expect(await database.db.select().from(runs).where(eq(runs.workflowId, 'places'))).toHaveLength(15)
    expect(await eventsOf(kern, results[0]?.runId ?? '')).toHaveLength(8)
  })
})
