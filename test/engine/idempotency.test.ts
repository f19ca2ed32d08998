import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { allRuns, startKern } from '../support/kerns.ts'

/** A workflow that counts its runs. */
function counting(name: string) {
  const bodies: unknown[] = []
  const body = step('body', ({ input }: StepContext) => bodies.push(input))
  return { workflow: new Workflow({ name, steps: [body] }), bodies }
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('an idempotency key', () => {
    test('with the same request gives the same run, also after its end and whatever the order of keys', async () => {
      const { workflow, bodies } = counting('Same')
      const kern = await startKern(database, [workflow])
      const idempotencyKey = newId()
      const first = await kern.run(workflow, { idempotencyKey, input: { a: 1, b: [2] } })
      const second = await kern.run(workflow, { idempotencyKey, input: { b: [2], a: 1 } })
      expect(second).toEqual(first)
      expect(bodies).toHaveLength(1)
    })

    test('that fifty callers use at once starts one run', async () => {
      const { workflow, bodies } = counting('Fifty keys')
      const kern = await startKern(database, [workflow])
      const idempotencyKey = newId()
      const calls = Array.from({ length: 50 }, () => kern.run(workflow, { idempotencyKey, input: 'once' }))
      const results = await Promise.all(calls)
      expect(new Set(results.map(({ runId }) => runId)).size).toBe(1)
      expect(bodies).toEqual(['once'])
      expect(await allRuns(kern, { workflowId: 'fifty-keys' })).toHaveLength(1)
    })

    test.each([
      ['another input', { input: 'other' }],
      ['no input', {}],
      ['another session', { input: 'one', sessionId: 'another' }],
    ])('that was used before is a conflict with %s, which names the run', async (title, request) => {
      const { workflow } = counting(`Conflict with ${title}`)
      const kern = await startKern(database, [workflow])
      const idempotencyKey = newId()
      const { runId } = await kern.run(workflow, { idempotencyKey, input: 'one' })
      const refusal = kern.run(workflow, { idempotencyKey, ...request })
      await expect(refusal).rejects.toMatchObject({ code: 'CONFLICT', details: { runId } })
      expect(await allRuns(kern, { workflowId: workflow.id })).toHaveLength(1)
    })

    test('belongs to its owner: the same key of another user is another run', async () => {
      const { workflow, bodies } = counting('Owners')
      const kern = await startKern(database, [workflow])
      const idempotencyKey = newId()
      const users = ['ada', 'eve', undefined]
      const results = await Promise.all(users.map((userId) => kern.run(workflow, { idempotencyKey, input: 1, userId })))
      expect(new Set(results.map(({ runId }) => runId)).size).toBe(3)
      expect(bodies).toHaveLength(3)
    })
  })
})
