import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openAsBlob } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { expect, inject, onTestFinished, test } from 'vitest'
import { pglite } from '../../src/config.ts'
import { openDatabase, rows } from '../../src/db/client.ts'
import { asKernError } from '../../src/db/errors.ts'
import { transaction } from '../../src/db/transaction.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { createGate, PATIENCE, startKern } from '../support/kerns.ts'
import { createProject } from '../support/process.ts'
import { LOAD } from './load.ts'

const CHILD = fileURLToPath(new URL('./writer.child.ts', import.meta.url))

const ROUNDS = 20

/** Lets a process write to a folder until it has kept so many rows more, and kills it then, wherever it is. */
async function writeAndKill(folder: string, rounds: number): Promise<{ found: number[]; kept: number }> {
  const child = spawn(process.execPath, [CHILD, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  let found: number[] = []
  let kept = 0
  let left = rounds
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, ...numbers] = line.split(' ')
    if (word === 'found') found = numbers.map(Number)
    else kept = Number(numbers[0])
    if (word === 'kept' && --left === 0) child.kill('SIGKILL')
  }
  await ended
  return { found, kept }
}

test('what an embedded database has acknowledged is there after its process was killed in the middle of writing', {
  timeout: 240_000,
}, async () => {
  await using project = await createProject('')
  const folder = join(project.path, 'data')
  let acknowledged = 0
  for (let round = 0; round < ROUNDS; round++) {
    const { found, kept } = await writeAndKill(folder, 1 + ((round * 7) % 12))
    const [count = 0, last = 0] = found
    expect(count, 'rows without a gap').toBe(last)
    expect(last).toBeGreaterThanOrEqual(acknowledged)
    acknowledged = kept
  }
  await using database = await openDatabase(pglite(folder), { migrate: false })
  const present = sql`select count(*)::int as n from kern.workers`
  expect((await rows<{ n: number }>(database.db, present))[0]?.n).toBeGreaterThanOrEqual(acknowledged)
  expect(acknowledged).toBeGreaterThan(ROUNDS)
})

test('while a transaction has the embedded database, others wait in turn, and are told UNAVAILABLE when it takes too long', async () => {
  const image = await openAsBlob(inject('image'))
  const database = await openDatabase(pglite.memory(), { image, migrate: false, deadlineMs: 2_000 })
  onTestFinished(() => database.close())
  const kern = await startKern(database, [LOAD])
  const start = () => kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: LOAD.definition.id })
  const occupied = async () => {
    const gate = createGate()
    const done = transaction(database.db, async (tx) => {
      await rows(tx, sql`select 1`)
      await gate.pass()
    })
    await gate.reached
    return { free: gate.open, done }
  }
  {
    const { free, done } = await occupied()
    const starts = Promise.all(Array.from({ length: 10 }, start))
    const health = kern.health()
    free()
    await done
    expect(await health).toBe(true)
    expect(await starts).toHaveLength(10)
  }
  const { free, done } = await occupied()
  const tooLong = expect(done).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const outcomes = await Promise.allSettled(Array.from({ length: 5 }, start))
  for (const one of outcomes) {
    expect(one.status === 'rejected' && asKernError(one.reason).code).toBe('UNAVAILABLE')
  }
  await tooLong
  free()
  await expect.poll(() => kern.health(), PATIENCE).toBe(true)
  await kern.idle()
  expect(await kern.run(LOAD.definition.id, {})).toMatchObject({ status: 'COMPLETED' })
})
