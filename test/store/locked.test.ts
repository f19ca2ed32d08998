import connect from 'postgres'
import { expect, onTestFinished, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { openDatabase } from '../../src/db/client.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate, startKern } from '../support/kerns.ts'

test('a transaction of a caller that holds sessions holds up their runs only', async () => {
  const url = await freshPostgres()
  if (url.kind !== 'postgres') throw new Error('a server is needed')
  const database = await openDatabase(url)
  onTestFinished(() => database.close())
  const gates = new Map(['one', 'two', 'three'].map((name) => [name, createGate()]))
  const workflow = new Workflow({
    name: 'Holding',
    steps: [step('waits', async ({ runInput }: StepContext) => (await gates.get(String(runInput))?.pass()) ?? 'done')],
  })
  const kern = await startKern(database, [workflow])
  const held = [...gates.keys()].map((sessionId) => kern.run(workflow, { input: sessionId, sessionId }))
  for (const { reached } of gates.values()) await reached

  const caller = connect(url.url, { max: 1, onnotice: () => {} })
  const free = await caller.begin(async (tx) => {
    for (const name of gates.keys()) await tx`select kern.run_workflow('holding', '"next"', session_id => ${name})`
    for (const { open } of gates.values()) open()
    const others = []
    for (let number = 0; number < 5; number += 1) others.push(await kern.run(workflow, { input: 'other' }))
    return others
  })
  await caller.end({ timeout: 5 })
  expect(free.map(({ status }) => status)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED', 'COMPLETED', 'COMPLETED'])
  expect((await Promise.all(held)).map(({ status }) => status)).toEqual(['COMPLETED', 'COMPLETED', 'COMPLETED'])
})
