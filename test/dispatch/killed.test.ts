import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../src/db/client.ts'
import { durable, type Order } from '../support/killed.child.ts'
import { runsOf, startKern } from '../support/kerns.ts'
import { PLACES } from '../support/places.ts'

const CHILD = join(import.meta.dirname, '..', 'support', 'killed.child.ts')

/** Starts a process, and waits until it killed itself where it was to. */
async function dies(order: Order): Promise<void> {
  const child = spawn(process.execPath, [CHILD, JSON.stringify(order)], { stdio: ['ignore', 'ignore', 'inherit'] })
  const [, signal] = await once(child, 'exit')
  expect(signal, `the end of the process that was to die at ${order.dieAt}`).toBe('SIGKILL')
}

describe.each(PLACES)('on %s', (_name, openPlace) => {
  test('a run goes on after each process that is killed, and no finished step runs again', async () => {
    const { url, text, image } = await openPlace()
    const folder = await mkdtemp(join(tmpdir(), 'kern-effects-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const effects = join(folder, 'effects')
    const order = { database: text, sessionId: 'killed', effects }
    // Before anything of the run is written but that it was accepted, in the middle of a step, after a step.
    await dies({ ...order, image, dieAt: 'body one' })
    await dies({ ...order, image: null, dieAt: 'STEP_COMPLETED one', hangs: 'two' })
    await dies({ ...order, image: null, dieAt: 'STEP_STARTED two', hangs: 'two' })

    const database = await openDatabase(url)
    onTestFinished(() => database.close())
    const workflow = durable({ effects })
    const kern = await startKern(database, [workflow], { leaseMs: 300, pollMs: 20 })
    const [found] = await runsOf(kern, 'killed')
    if (!found) throw new Error('the run that was accepted is not there')
    const { runId } = found
    for await (const _event of await kern.streams.run({ userId: null, scopes: [] }, { runId }));
    const run = await kern.getRun(runId)
    expect(run).toMatchObject({
      status: 'COMPLETED',
      input: 'in',
      output: { name: 'three', idempotencyKey: `${runId}:three` },
      stateBefore: { zero: 0 },
      stateAfter: { zero: 0, one: 1, two: 2, three: 3 },
    })
    expect(await kern.getSession({ sessionId: 'killed' })).toMatchObject({
      state: { zero: 0, one: 1, two: 2, three: 3 },
      activeRunId: null,
    })

    const lines = (await readFile(effects, 'utf8')).trimEnd().split('\n')
    const of = (name: string) => lines.filter((line) => line.startsWith(name))
    // Its first attempt ended before it could be written down.
    expect(of('one')).toHaveLength(2)
    expect(of('three')).toEqual(['three 1'])
    expect(lines.indexOf('three 1')).toBe(lines.length - 1)
    const errors = run?.steps.two?.attempts.map(({ error }) => error?.code ?? null) ?? []
    expect(errors.length).toBeGreaterThanOrEqual(2)
    expect(errors).toEqual([...Array(errors.length - 1).fill('INTERRUPTED'), null])
    expect(of('two').at(-1)).toBe(`two ${errors.length}`)
  })
})
