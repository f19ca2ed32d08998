import { sql } from 'drizzle-orm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Database, openDatabase } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import { approval, sleep, step, Workflow } from '../../src/index.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { HasDefinition } from '../../src/workflow/definition.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, type KernSettings, PATIENCE, recorded, startKern } from '../support/kerns.ts'

/** Nobody looks at the rows by itself, and nobody is told of anything: what comes about comes about by jobs. */
const BY_JOBS_ALONE = { pollMs: 3_600_000, hints: false } satisfies KernSettings

async function openTwice(): Promise<readonly [Database, Database]> {
  const url = await freshPostgres()
  const databases = [await openDatabase(url), await openDatabase(url)] as const
  onTestFinished(async () => {
    await Promise.all(databases.map((database) => database.close()))
  })
  return databases
}

const quick = new Workflow({ name: 'Quick', steps: [step({ name: 'only', run: () => process.pid })] })

/** Its step goes on until the gate is opened, or the process stops. */
function gated() {
  const gate = createGate()
  const hold = step({
    name: 'hold',
    run: async ({ signal }) => {
      const aborted = new Promise<never>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
      await Promise.race([gate.pass(), aborted])
      return 'held'
    },
  })
  return { gate, workflow: new Workflow({ name: 'Gated', steps: [hold] }) }
}

const begin = (kern: Kern, { definition }: HasDefinition, options: { readonly sessionId?: string }) =>
  kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: definition.id, ...options })

const statusOf = async (kern: Kern, runId: string) => (await kern.getRun(runId))?.status

describe('a job has another process take a run', () => {
  test('that was accepted where nothing is executed', async () => {
    const [one, other] = await openTwice()
    await startKern(one, [quick], BY_JOBS_ALONE)
    const api = await startKern(other, [quick], { ...BY_JOBS_ALONE, role: 'api' })
    const run = await api.run(quick, {})
    expect(run).toMatchObject({ status: 'COMPLETED', output: process.pid })
  })

  test('that was accepted where all places are taken', async () => {
    const [one, other] = await openTwice()
    const { gate, workflow } = gated()
    const full = await startKern(one, [workflow, quick], { ...BY_JOBS_ALONE, concurrency: 1 })
    const held = full.run(workflow, {})
    await gate.reached
    await startKern(other, [quick], BY_JOBS_ALONE)
    expect(await full.run(quick, {})).toMatchObject({ status: 'COMPLETED' })
    gate.open()
    expect(await held).toMatchObject({ status: 'COMPLETED' })
  })

  test('that its process let go in mid-step because it stops', async () => {
    const [one, other] = await openTwice()
    const { gate, workflow } = gated()
    const stopping = await startKern(one, [workflow], { ...BY_JOBS_ALONE, drainMs: 0 })
    const going = await startKern(other, [workflow], BY_JOBS_ALONE)
    const { runId } = await begin(stopping, workflow, {})
    await gate.reached
    await stopping.drain()
    gate.open()
    await expect.poll(() => statusOf(going, runId), PATIENCE).toBe('COMPLETED')
    const [hold] = (await recorded(going, runId)).steps
    expect(hold?.attempts.map(({ error }) => error?.code)).toEqual(['INTERRUPTED', undefined])
  })

  test('that somebody answered where nothing is executed', async () => {
    const [one, other] = await openTwice()
    const asking = new Workflow({ name: 'Asking', steps: [approval('sure', { prompt: 'Sure?' })] })
    await startKern(one, [asking], BY_JOBS_ALONE)
    const api = await startKern(other, [asking], { ...BY_JOBS_ALONE, role: 'api' })
    const { runId } = await api.run(asking, {})
    const run = await api.resumeRun({ runId, data: { approved: true } })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { approved: true } })
  })

  test('that waits for somebody and was cancelled where nothing is executed', async () => {
    const [one, other] = await openTwice()
    const asking = new Workflow({ name: 'Asking', steps: [approval('sure', { prompt: 'Sure?' })] })
    await startKern(one, [asking], BY_JOBS_ALONE)
    const api = await startKern(other, [asking], { ...BY_JOBS_ALONE, role: 'api' })
    const { runId } = await api.run(asking, {})
    expect(await api.cancelRun({ runId })).toMatchObject({ status: 'CANCELLED' })
  })

  test('whose session another run had, which was cancelled where nothing is executed', async () => {
    const [one, other] = await openTwice()
    const api = await startKern(other, [quick], { ...BY_JOBS_ALONE, role: 'api' })
    const sessionId = newId()
    const first = await begin(api, quick, { sessionId })
    const second = await begin(api, quick, { sessionId })
    // What was sent for the first one is lost.
    await other.db.execute(sql`delete from kern_jobs.job`)
    expect(await api.cancelRun({ runId: first.runId })).toMatchObject({ status: 'CANCELLED' })
    const found = await other.db.execute(sql`select 1 from kern_jobs.job where data->>'runId' = ${second.runId}`)
    expect(found).toHaveLength(1)
    await startKern(one, [quick], BY_JOBS_ALONE)
    await expect.poll(() => statusOf(api, second.runId), PATIENCE).toBe('COMPLETED')
  })

  test('whose time to wait is over', async () => {
    const [one] = await openTwice()
    const sleeping = new Workflow({ name: 'Sleeping', steps: [sleep('a while', '1s')] })
    const kern = await startKern(one, [sleeping], { ...BY_JOBS_ALONE, parkMs: 0 })
    expect(await kern.run(sleeping, {})).toMatchObject({ status: 'COMPLETED' })
  })
})

test('a run that its process takes at once has no job', async () => {
  const [one] = await openTwice()
  await one.db.execute(sql`create function refuse() returns trigger language plpgsql as
    $$ begin raise exception 'a job was sent'; end $$`)
  const kern = await startKern(one, [quick], BY_JOBS_ALONE)
  await one.db.execute(
    sql`create trigger refuse before insert on kern_jobs.job_common for each row execute function refuse()`,
  )
  const sessionId = newId()
  const runs = await Promise.all([kern.run(quick, { sessionId }), kern.run(quick, { sessionId }), kern.run(quick, {})])
  expect(runs.map(({ status }) => status)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED'])
})

test('a process that executes nothing has no place among the workers', async () => {
  const [one, other] = await openTwice()
  const api = await startKern(one, [quick], { ...BY_JOBS_ALONE, role: 'api' })
  const { runId } = await begin(api, quick, {})
  expect(await other.db.execute(sql`select 1 from kern.workers`)).toEqual([])
  expect(await statusOf(api, runId)).toBe('QUEUED')
  expect(await api.cancelRun({ runId })).toMatchObject({ status: 'CANCELLED', steps: {} })
})
