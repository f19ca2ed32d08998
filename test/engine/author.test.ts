import { describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import { newId } from '../../src/ids.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { freshPostgres } from '../support/databases.ts'
import { createGate } from '../support/kerns.ts'

const OVER = { done: true, value: undefined }

describe('a workflow that is used by itself', () => {
  test('ends a stream at once when its reader leaves, while a step runs on', async () => {
    const gate = createGate()
    const waits = step('waits', async ({ runInput }: StepContext) => {
      if (runInput !== 'next') await gate.pass()
      return 'done'
    })
    await using workflow = new Workflow({ name: 'Left stream', steps: [waits], db: await freshPostgres() })
    const sessionId = newId()
    const stream = workflow.stream({ sessionId })
    for (let event = await stream.next(); event.value?.type !== 'STEP_STARTED'; event = await stream.next());
    const waiting = stream.next()
    await gate.reached
    expect(await stream.return?.()).toEqual(OVER)
    expect(await waiting).toEqual(OVER)
    expect(await stream.next()).toEqual(OVER)
    gate.open()
    // It waits for the turn of the run before it, which went on without a reader.
    expect(await workflow.run({ sessionId, input: 'next' })).toMatchObject({ number: 2, status: 'COMPLETED' })
  })

  test('starts nothing for a stream that is left before it was read', async () => {
    await using workflow = new Workflow({ name: 'Unread', steps: [step('one', () => 1)], db: await freshPostgres() })
    const sessionId = newId()
    const stream = workflow.stream({ sessionId })
    expect(await stream.return?.()).toEqual(OVER)
    expect(await stream.next()).toEqual(OVER)
    expect(await workflow.getSession({ sessionId })).toBeNull()
  })

  test('does nothing more once it was closed, and can be closed again', async () => {
    const workflow = new Workflow({ name: 'Closed for good', steps: [step('one', () => 1)], db: await freshPostgres() })
    const { sessionId } = await workflow.run({})
    await workflow.close()
    const closed = { code: 'UNAVAILABLE', message: expect.stringContaining('"Closed for good"') }
    await expect(workflow.run({ sessionId })).rejects.toMatchObject(closed)
    await expect(workflow.stream({ sessionId }).next()).rejects.toMatchObject(closed)
    await expect(workflow.getSession({ sessionId })).rejects.toMatchObject(closed)
    await workflow.close()
  })
})
