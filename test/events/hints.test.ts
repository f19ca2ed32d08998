import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, eventsOf, type Gate, type KernSettings } from '../support/kerns.ts'
import { doubled, lossy, reordered, startHinted, unpolled, until, watch, type Wrap } from './hintSupport.ts'

let database: Database
beforeAll(async () => {
  database = await openDatabase(await freshPostgres())
  return () => database.close()
})

/** How two processes come to know of each other. With the first, nothing but hints says when to look at rows. */
const WAYS: readonly [string, () => KernSettings & { readonly wrap?: Wrap }][] = [
  ['by hints alone', unpolled],
  ['by hints alone that are doubled', () => ({ ...unpolled(), wrap: doubled })],
  ['by hints alone that come late and in another order', () => ({ ...unpolled(), wrap: reordered })],
  ['where every second hint is lost', () => ({ wrap: lossy })],
  ['with hints switched off', () => ({ hints: false })],
]

/** Waits for the test, or for its run to be aborted. */
const holds = (name: string, gate: Gate) =>
  step(name, ({ signal }: StepContext) => {
    const aborted = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    return Promise.race([gate.pass().then(() => name), aborted])
  })

describe.each(WAYS)('another process, %s,', (_way, settings) => {
  /** Two Kerns with a workflow of which every run passes these gates. */
  async function pair(workflow: Workflow, given: KernSettings = {}) {
    const here = await startHinted(database, [workflow], { ...settings(), ...given })
    const there = await startHinted(database, [workflow], settings())
    return { here, there }
  }

  const start = async (kern: Awaited<ReturnType<typeof startHinted>>, workflow: Workflow, sessionId?: string) =>
    await kern.commands.runWorkflow(SYSTEM_VIEWER, {
      workflowId: workflow.definition.id,
      ...(sessionId ? { sessionId } : {}),
    })

  test('is given each event while the run goes on, in the streams of the run, its session and its workflow', async () => {
    const [first, second] = [createGate(), createGate()]
    const workflow = new Workflow({
      name: `Streams ${newId()}`,
      steps: [holds('first', first), holds('second', second)],
    })
    const { here, there } = await pair(workflow)
    const { runId, sessionId } = await start(there, workflow)
    await first.reached
    const streams = [
      await watch(here, runId),
      await here.streams.session(SYSTEM_VIEWER, { sessionId }),
      await here.streams.workflow(SYSTEM_VIEWER, { workflowId: workflow.definition.id }),
    ]
    // They are asked before anything happens, so each has read the rows and waits.
    const firsts = streams.map((stream) => until(stream, 'STEP_COMPLETED', 'first'))
    first.open()
    const before = await Promise.all(firsts)
    // The run cannot end before everybody has been given this.
    second.open()
    const after = await Promise.all(streams.map((stream) => until(stream, 'RUN_COMPLETED')))
    const all = await eventsOf(there, runId)
    for (const index of [0, 1]) expect([...(before[index] ?? []), ...(after[index] ?? [])]).toEqual(all)
    const late = [...(before[2] ?? []), ...(after[2] ?? [])]
    expect(late).toEqual(all.slice(-late.length))
    for (const stream of streams) await stream.return?.()
  })

  test('sees the end of a run that it waits for', async () => {
    const gate = createGate()
    const workflow = new Workflow({ name: `Waits ${newId()}`, steps: [holds('one', gate)] })
    const { here, there } = await pair(workflow)
    const idempotencyKey = newId()
    const request = { workflowId: workflow.definition.id, idempotencyKey }
    await there.commands.runWorkflow(SYSTEM_VIEWER, request)
    await gate.reached
    const ended = here.commands.runWorkflow(SYSTEM_VIEWER, { ...request, waitMs: 20_000 })
    gate.open()
    expect(await ended).toMatchObject({ status: 'COMPLETED' })
  })

  test('ends a run that is cancelled here', async () => {
    const gate = createGate()
    const workflow = new Workflow({ name: `Cancels ${newId()}`, steps: [holds('one', gate)] })
    const { here, there } = await pair(workflow)
    const { runId } = await start(there, workflow)
    await gate.reached
    const cancelled = await here.commands.cancelRun(SYSTEM_VIEWER, { runId, reason: 'enough' })
    expect(cancelled).toMatchObject({ status: 'CANCELLED', cancelReason: 'enough' })
  })

  test('heeds an answer that is given here while it executes the run', async () => {
    const gate = createGate()
    const workflow = new Workflow({
      name: `Answers ${newId()}`,
      steps: [parallel('both', [holds('busy', gate), waitForInput('asks', { prompt: 'Which?', schema: z.string() })])],
    })
    const { here, there } = await pair(workflow)
    const { runId } = await start(there, workflow)
    const events = await watch(here, runId)
    await until(events, 'STEP_PAUSED', 'both/asks')
    await here.commands.resumeRun(SYSTEM_VIEWER, { runId, stepPath: 'both/asks', data: 'this' })
    // The other branch still runs: the run was not put aside, so its owner has to hear of the answer.
    await until(events, 'STEP_COMPLETED', 'both/asks')
    gate.open()
    await until(events, 'RUN_COMPLETED')
  })

  test('takes a run for which there is no place here', async () => {
    const gates = [createGate(), createGate()]
    let count = 0
    const workflow = new Workflow({
      name: `Places ${newId()}`,
      steps: [step('one', () => gates[count++]?.pass().then(() => 1))],
    })
    const { here, there } = await pair(workflow, { concurrency: 1 })
    const both = []
    both.push(await start(here, workflow))
    await gates[0]?.reached
    both.push(await start(here, workflow))
    await gates[1]?.reached
    for (const gate of gates) gate.open()
    for (const { runId } of both) await until(await watch(there, runId), 'RUN_COMPLETED')
  })

  test('executes what is accepted here where nothing is executed, and ends it when it is cancelled here', async () => {
    const gate = createGate()
    const workflow = new Workflow({ name: `Api ${newId()}`, steps: [holds('one', gate)] })
    const { here } = await pair(workflow, { role: 'api' })
    const { runId } = await start(here, workflow)
    const events = await watch(here, runId)
    await until(events, 'STEP_STARTED')
    await gate.reached
    expect(await here.commands.cancelRun(SYSTEM_VIEWER, { runId })).toMatchObject({ status: 'CANCELLED' })
    await until(events, 'RUN_CANCELLED')
  })

  test('takes what this one leaves when it is closed', async () => {
    let count = 0
    const gate = createGate()
    const workflow = new Workflow({
      name: `Leaves ${newId()}`,
      steps: [
        step('one', ({ signal }: StepContext) => {
          count += 1
          if (count > 1) return count
          return new Promise<number>((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason), { once: true })
            void gate.pass()
          })
        }),
      ],
    })
    const { here, there } = await pair(workflow)
    const { runId } = await start(here, workflow)
    await gate.reached
    const events = await watch(there, runId)
    await until(events, 'STEP_STARTED')
    await here.close()
    await until(events, 'RUN_COMPLETED')
    expect(count).toBe(2)
  })
})

test('a cancel reaches the owner of a run also where another process is only trying to take it', async () => {
  const gate = createGate()
  const trying = createGate()
  const workflow = new Workflow({ name: `Tries ${newId()}`, steps: [holds('one', gate)] })
  const there = await startHinted(database, [workflow], unpolled())
  const { runId } = await there.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.definition.id })
  await gate.reached
  const here = await startHinted(database, [workflow], {
    ...unpolled(),
    tamper: {
      ownership: (ownership) => ({
        ...ownership,
        // As where it looked just before the other one took the run.
        waiting: async () => [runId],
        async claim(...args) {
          await trying.pass()
          return await ownership.claim(...args)
        },
      }),
    },
  })
  await trying.reached
  const cancelled = await here.commands.cancelRun(SYSTEM_VIEWER, { runId })
  trying.open()
  expect(cancelled).toMatchObject({ status: 'CANCELLED' })
})

describe('hints', () => {
  test('are not told on, and not heeded by who told them', async () => {
    const workflow = new Workflow({ name: `Once ${newId()}`, steps: [step('one', () => 1)] })
    const [first, second] = [await startHinted(database, [workflow]), await startHinted(database, [workflow])]
    const { runId } = await first.run(workflow, {})
    await expect.poll(() => second.heard.some((hint) => hint.type === 'changed' && hint.settled)).toBe(true)
    expect(second.told).toEqual([])
    // What it has told itself would come before this.
    const other = await second.run(workflow, {})
    await expect
      .poll(() => first.heard.some((hint) => hint.type === 'changed' && hint.runId === other.runId && hint.settled))
      .toBe(true)
    expect(first.heard.filter((hint) => hint.type === 'changed' && hint.runId === runId)).toEqual([])
  })

  test('reach whoever follows a session with the longest id there may be', async () => {
    const workflow = new Workflow({ name: `Long ${newId()}`, steps: [step('one', () => 1)] })
    const [here, there] = [
      await startHinted(database, [workflow], unpolled()),
      await startHinted(database, [workflow], unpolled()),
    ]
    for (const sessionId of ['😀'.repeat(200), `"${'\\'.repeat(199)}`, `'ü€ ${'x'.repeat(190)}`]) {
      await here.commands.createSession(SYSTEM_VIEWER, { workflowId: workflow.definition.id, sessionId })
      const events = await here.streams.session(SYSTEM_VIEWER, { sessionId })
      const ended = until(events, 'RUN_COMPLETED')
      await there.run(workflow, { sessionId })
      await ended
      await events.return?.()
    }
  })
})
