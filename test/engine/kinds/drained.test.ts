import { beforeAll, expect, test } from 'vitest'
import type { Database } from '../../../src/db/client.ts'
import type { StepContext } from '../../../src/workflow/context.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { sleep } from '../../../src/workflow/sleep.ts'
import { step } from '../../../src/workflow/step.ts'
import { onEachDatabase } from '../../support/databases.ts'
import { createGate, startKern } from '../../support/kerns.ts'
import { aborted, embedded, start, workflowOf } from './support.ts'

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  test.each(['fails', 'stops the run'])(
    'a branch that %s while its process drains ends the run there, and no sibling is executed again',
    async (what) => {
      const gate = createGate()
      const bodies: number[] = []
      const decides = step('decides', async ({ stop }: StepContext) => {
        await gate.pass()
        if (what === 'fails') throw new Error('no')
        return stop('enough')
      })
      const beside = step('beside', async ({ attempt, signal }: StepContext) => {
        bodies.push(attempt)
        throw await aborted(signal)
      })
      const flow = workflowOf([parallel('p', [decides, beside])])
      const first = await startKern(database, [flow], { drainMs: 60_000 })
      const runId = await start(first, flow)
      await gate.reached
      const closed = first.close()
      gate.open()
      await closed

      const second = await startKern(database, [flow])
      expect(await second.getRun(runId)).toMatchObject({ status: what === 'fails' ? 'FAILED' : 'COMPLETED' })
      expect(bodies).toEqual([1])
    },
  )
})

const inMemory = embedded()

test('the number of events of its own that a run may add does not begin anew when it was put aside', async () => {
  const adds = (name: string) =>
    step(name, ({ emit }: StepContext) => {
      for (let count = 0; count < 6_000; count += 1) emit('tick')
      return name
    })
  const flow = workflowOf([adds('before'), sleep('rest', 100), adds('after')])
  const kern = await startKern(inMemory(), [flow], { parkMs: 0, pollMs: 5 })
  const { error } = await kern.run(flow.definition.id, {})
  expect(error).toMatchObject({ code: 'LIMIT_EXCEEDED', stepPath: 'after' })
})
