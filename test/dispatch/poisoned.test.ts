import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'
import { newId } from '../../src/ids.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { durable, type Order } from '../support/killed.child.ts'
import { createGate, eventLines, PATIENCE, runsOf, startKern } from '../support/kerns.ts'
import { deathsOf } from '../support/ownership.ts'
import { createParts, newRun } from '../support/parts.ts'
import { PLACES, temporary } from '../support/places.ts'

const CHILD = join(import.meta.dirname, '..', 'support', 'killed.child.ts')

/** Starts a process, and waits until it killed itself where it was to. */
async function dies(order: Order): Promise<void> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(order)], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [, signal] = await once(child, 'exit')
  expect(signal, 'the end of the process').toBe('SIGKILL')
}

describe.each(PLACES)('on %s', (_name, openPlace) => {
  test('a run that ends each process which executes it is failed after five, and its session goes on', async () => {
    const { url, text, image } = await openPlace()
    const effects = join(await temporary(), 'effects')
    const order = { database: text, sessionId: 'poisoned', effects, dieAt: 'body two' }
    for (let death = 1; death <= 5; death += 1) await dies({ ...order, image: death === 1 ? image : null })

    const database = await openDatabase(url)
    onTestFinished(() => database.close())
    const workflow = durable({ effects })
    const kern = await startKern(database, [workflow], { leaseMs: 300, pollMs: 20 })
    const next = await kern.run(workflow, { sessionId: 'poisoned' })
    expect(next).toMatchObject({ number: 2, status: 'COMPLETED' })
    const [found] = await runsOf(kern, 'poisoned')
    const run = await kern.getRun(found?.runId ?? '')
    expect(run).toMatchObject({ status: 'FAILED', error: { code: 'POISONED', stepPath: 'two', retryable: false } })
    expect(run?.error?.message).toContain('"two"')
    expect(run?.steps).toMatchObject({ one: { status: 'COMPLETED' }, two: { status: 'FAILED' } })
    const lines = (await readFile(effects, 'utf8')).trimEnd().split('\n')
    const ofFirst = lines.slice(0, lines.lastIndexOf('one 1'))
    expect(ofFirst.filter((line) => line.startsWith('two'))).toHaveLength(5)
    expect(ofFirst.filter((line) => line.startsWith('one'))).toHaveLength(1)
  })
})

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A workflow whose only step says that it was executed, and waits at a gate. */
  function counted(name: string) {
    const [gate, bodies] = [createGate(), [] as number[]]
    const only = step('only', async ({ attempt }: StepContext) => {
      bodies.push(attempt)
      await gate.pass()
      return attempt
    })
    return { workflow: new Workflow({ name, steps: [only] }), gate, bodies }
  }

  /** Accepts a run that a worker takes which dies at once. */
  async function takenByTheDead(workflow: Workflow): Promise<string> {
    const { store, ownership } = createParts(database)
    const { runId } = newRun(workflow.definition)
    await store.accept({ ...newRun(workflow.definition), runId })
    // It is not entered as a worker, and so has no heartbeat.
    expect(await ownership.claim(runId, [workflow.id], new Date())).toBe(true)
    return runId
  }

  test('a run that has recorded nothing is failed too, after as many deaths as are said, without being executed', async () => {
    const { workflow, gate, bodies } = counted('Fresh')
    gate.open()
    const [poisoned, other] = [await takenByTheDead(workflow), await takenByTheDead(workflow)]
    await database.db.update(runs).set({ deaths: 1 }).where(eq(runs.runId, poisoned))
    const kern = await startKern(database, [workflow], { pollMs: 20, maxDeaths: 2 })
    await expect.poll(async () => (await kern.getRun(poisoned))?.error?.code, PATIENCE).toBe('POISONED')
    expect(await eventLines(kern, poisoned)).toEqual(['RUN_QUEUED', 'RUN_STARTED', 'RUN_FAILED'])
    await expect.poll(async () => (await kern.getRun(other))?.status, PATIENCE).toBe('COMPLETED')
    expect(bodies).toEqual([1])
  })

  test('one that is to be cancelled is cancelled, however many processes died with it', async () => {
    const { workflow, bodies } = counted('Cancelled')
    const runId = await takenByTheDead(workflow)
    const { store } = createParts(database)
    await store.cancel(runId, 'enough', new Date())
    const kern = await startKern(database, [workflow], { pollMs: 20, maxDeaths: 1 })
    await expect.poll(async () => (await kern.getRun(runId))?.status, PATIENCE).toBe('CANCELLED')
    expect(bodies).toEqual([])
  })

  test('a process that stops in good order has not died, also where a step did not end in time', async () => {
    const { workflow, gate, bodies } = counted('Stopped')
    const first = await startKern(database, [workflow], { graceMs: 0 })
    const sessionId = newId()
    await first.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.id, sessionId })
    await gate.reached
    await first.close()
    gate.open()
    const kern = await startKern(database, [workflow], { pollMs: 20, maxDeaths: 1 })
    const [run] = await runsOf(kern, sessionId)
    const runId = run?.runId ?? ''
    await expect.poll(async () => (await kern.getRun(runId))?.status, PATIENCE).toBe('COMPLETED')
    expect(bodies).toEqual([1, 2])
    expect(await deathsOf(database, runId)).toBe(0)
  })
})
