import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { createGate, startKern } from '../support/kerns.ts'
import { createParts, newRun, still } from '../support/parts.ts'

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** A Kern with one place, which a run holds until the gate opens; each run of `workflow` notes its input. */
  async function busy(name: string, priority?: number) {
    const [gate, order] = [createGate(), [] as unknown[]]
    const holds = new Workflow({
      name: `Holds for ${name}`,
      steps: [step('waits', () => gate.pass().then(() => null))],
    })
    const notes = step('notes', ({ runInput }: StepContext) => order.push(runInput))
    const workflow = new Workflow({ name, ...(priority === undefined ? {} : { priority }), steps: [notes] })
    const kern = await startKern(database, [holds, workflow], { concurrency: 1 })
    await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: holds.id })
    await gate.reached
    return { kern, workflow, gate, order }
  }

  const start = (kern: Kern, workflowId: string, given: { input: string; priority?: number; sessionId?: string }) =>
    kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId, ...given })

  test('waiting runs are taken with the highest priority first, then in the order in which they came', async () => {
    const { kern, workflow, gate, order } = await busy('Ordered')
    const given = [0, -100, 7, 100, 7, 0, -1]
    for (const [index, priority] of given.entries())
      await start(kern, workflow.id, { input: `${priority} ${index}`, priority })
    gate.open()
    await kern.idle()
    expect(order).toEqual(['100 3', '7 2', '7 4', '0 0', '0 5', '-1 6', '-100 1'])
  })

  test('a run that is given none has that of its workflow, and shows it; a retry has that of its run', async () => {
    const { kern, workflow, gate, order } = await busy('Defaults', 3)
    const runs = [
      await start(kern, workflow.id, { input: 'two', priority: 2 }),
      await start(kern, workflow.id, { input: 'default' }),
      await start(kern, workflow.id, { input: 'four', priority: 4 }),
    ]
    expect(runs.map(({ priority }) => priority)).toEqual([2, 3, 4])
    gate.open()
    await kern.idle()
    expect(order).toEqual(['four', 'default', 'two'])
    expect(await kern.retryRun({ runId: runs[2]?.runId ?? '', fromStep: 'notes' })).toMatchObject({ priority: 4 })
  })

  test('runs of one session keep their order, whatever their priority', async () => {
    const { kern, workflow, gate, order } = await busy('Sessions')
    const sessionId = newId()
    await start(kern, workflow.id, { input: 'first', priority: -5, sessionId })
    await start(kern, workflow.id, { input: 'second', priority: 50, sessionId })
    await start(kern, workflow.id, { input: 'other', priority: 1 })
    gate.open()
    await kern.idle()
    expect(order.indexOf('first')).toBeLessThan(order.indexOf('second'))
    expect(order[0]).toBe('other')
  })

  test('a run that is accepted beside a backlog does not pass it', async () => {
    const { kern, workflow, gate, order } = await busy('Passing')
    for (const input of ['one', 'two', 'three']) await start(kern, workflow.id, { input, priority: 1 })
    gate.open()
    await start(kern, workflow.id, { input: 'late' })
    await kern.idle()
    expect(order).toEqual(['one', 'two', 'three', 'late'])
  })

  test('what is no priority is refused, with the value and what is allowed', async () => {
    const { kern, workflow, gate } = await busy('Refused')
    gate.open()
    for (const priority of [101, -101, 1.5, Number.NaN]) {
      await expect(start(kern, workflow.id, { input: '', priority })).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        message: expect.stringContaining('allowed are whole numbers from -100 to 100'),
      })
    }
  })

  test('those that were released wait in the same line as those that never ran', async () => {
    const { store, ownership } = createParts(database)
    const accepted: string[] = []
    for (const priority of [1, 5, 3]) {
      const { runId } = newRun(still)
      await store.accept({ ...newRun(still, { priority }), runId })
      accepted.push(runId)
    }
    const [one = '', five = '', three = ''] = accepted
    expect(await ownership.claim(three, ['still'], new Date())).toBe(true)
    await ownership.release(three, 1)
    expect(await ownership.waiting(['still'], 10)).toEqual([five, three, one])
    expect(await ownership.waiting(['still'], 10, [five])).toEqual([three, one])
    expect(await ownership.waiting(['still'], 1)).toEqual([five])
  })
})

describe('the definition of a workflow', () => {
  const steps = [step('one', () => 1)]
  test.each([
    [{ priority: 101 }, 'priority of workflow "W" is 101: allowed is a whole number from -100 to 100'],
    [{ priority: 0.5 }, 'priority of workflow "W" is 0.5'],
    [{ concurrency: 0 }, 'concurrency of workflow "W" is 0: allowed is a whole number from 1 to 1000'],
    [
      { onVersionChange: 'never' as 'fail' },
      'onVersionChange of workflow "W" is "never": allowed are "finish", "fail"',
    ],
  ])('refuses %o', (given, message) => {
    expect(() => new Workflow({ name: 'W', steps, ...given })).toThrow(message)
  })
})
