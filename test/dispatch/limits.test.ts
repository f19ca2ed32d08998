import { beforeAll, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { approval } from '../../src/workflow/approval.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'
import { createParts, newRun } from '../support/parts.ts'

const SOON = { pollMs: 20 }

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A workflow that knows how many of its runs are executed, and were at most. */
  function limited(title: string, concurrency: number) {
    const [gate, seen] = [createGate(), { now: 0, most: 0 }]
    const counts = step('counts', async () => {
      seen.now += 1
      seen.most = Math.max(seen.most, seen.now)
      await gate.pass()
      // Others that should not run would get a chance here.
      await new Promise((resolve) => setImmediate(resolve))
      seen.now -= 1
      return null
    })
    return { workflow: new Workflow({ name: title, concurrency, steps: [counts] }), gate, seen }
  }

  test('no more runs of a workflow are executed at once than it allows, over all processes, and all are', async () => {
    const { workflow, gate, seen } = limited('Two at once', 2)
    // An embedded database has one process.
    const kerns = [await startKern(database, [workflow], SOON)]
    if (name === 'Postgres')
      kerns.push(await startKern(database, [workflow], SOON), await startKern(database, [workflow], SOON))
    const all = Promise.all(
      Array.from({ length: 12 }, async (_, n) => await kerns[n % kerns.length]?.run(workflow, {})),
    )
    await expect.poll(() => seen.now, PATIENCE).toBe(2)
    gate.open()
    expect((await all).map((run) => run?.status)).toEqual(Array(12).fill('COMPLETED'))
    expect(seen.most).toBe(2)
  })

  test('a workflow that is full, however many of its runs wait first, keeps no other from being executed', async () => {
    const { workflow, gate, seen } = limited('Full', 1)
    const other = new Workflow({ name: 'Beside', steps: [step('one', () => 1)] })
    const kern = await startKern(database, [workflow, other], { ...SOON, concurrency: 2 })
    const { store } = createParts(database)
    await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'full' })
    await gate.reached
    for (let n = 0; n < 20; n += 1)
      await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'full', priority: 100 })
    // One that only a look at the rows finds.
    const { runId } = newRun(other.definition)
    await store.accept({ ...newRun(other.definition), runId })
    await expect.poll(async () => (await kern.getRun(runId))?.status, PATIENCE).toBe('COMPLETED')
    gate.open()
    await kern.idle()
    expect(seen).toEqual({ now: 0, most: 1 })
  })

  test('a run that waits for a person does not count', async () => {
    const steps = [approval('ask', { prompt: 'Go on?' }), step('last', () => 'done')]
    const workflow = new Workflow({ name: 'Asking', concurrency: 1, steps })
    const kern = await startKern(database, [workflow], SOON)
    const [one, two] = [await kern.run(workflow, {}), await kern.run(workflow, {})]
    expect([one.status, two.status]).toEqual(['PAUSED', 'PAUSED'])
    const ended = [one, two].map(({ runId }) => kern.resumeRun({ runId, data: { approved: true } }))
    expect((await Promise.all(ended)).map(({ output }) => output)).toEqual(['done', 'done'])
  })

  test('a run that a dead process held is taken in the place that it has, also where the workflow is full', async () => {
    const { workflow, gate, seen } = limited('Inherited', 1)
    gate.open()
    const { store, ownership } = createParts(database)
    const [held, waits] = [newRun(workflow.definition), newRun(workflow.definition)]
    for (const run of [held, waits]) await store.accept(run)
    expect(await ownership.claim(held.runId, [workflow.id], new Date())).toBe(true)
    const kern = await startKern(database, [workflow], SOON)
    for (const { runId } of [held, waits]) {
      await expect.poll(async () => (await kern.getRun(runId))?.status, PATIENCE).toBe('COMPLETED')
    }
    expect(seen.most).toBe(1)
  })
})
