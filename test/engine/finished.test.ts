import { beforeAll, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { condition } from '../../src/workflow/condition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { startKern } from '../support/kerns.ts'
import { watchStatements } from '../support/statements.ts'

/** Something of what a run may record: attempts, a skip, state, decisions, long and odd values, history. */
const rich = (name: string, last: () => unknown) =>
  new Workflow({
    name,
    addWorkflowHistoryToSteps: true,
    steps: [
      parallel('both', [
        step({
          name: 'again',
          retry: { maxAttempts: 2, delay: 0 },
          run: ({ attempt, setState }: StepContext) => {
            if (attempt === 1) throw new TypeError('not yet')
            setState({ again: -0 })
            return 'x'.repeat(2_000)
          },
        }),
        step({
          name: 'left-out',
          onError: 'skip',
          run: () => {
            throw new Error('always')
          },
        }),
      ]),
      condition('which', { if: () => true, then: [step('then', () => null)], else: [] }),
      loop('round', { steps: [step('turn', () => ({ deep: [{ '"': '\\' }] }))], maxIterations: 2 }),
      step('last', last),
    ],
  })

const workflows = {
  completed: rich('Completed', () => ({ done: true })),
  failed: rich('Failed', () => {
    throw new Error('at the end')
  }),
  stopped: new Workflow({
    name: 'Stopped',
    steps: [step('stops', ({ stop }: StepContext) => stop([1])), step('never', () => 1)],
  }),
}

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  test.each(Object.entries(workflows))(
    'a run that was executed here and has %s is given as a reader gives it, without being read',
    async (_end, workflow) => {
      const kern = await startKern(database, [workflow], { pollMs: 3_600_000, heartbeatMs: 3_600_000 })
      const sessionId = newId()
      const options = { sessionId, input: { topic: 'tea' }, metadata: [null], tags: ['t'], sessionState: { given: 1 } }
      await kern.run(workflow.definition.id, options)
      const texts: string[] = []
      const unwatch = watchStatements(database, ({ text }) => texts.push(text))
      const run = await kern.run(workflow.definition.id, options)
      unwatch()
      expect(await kern.getRun(run.runId)).toEqual(run)
      expect(run.number).toBe(2)
      // The history of the session is read, and of the run itself nothing.
      expect(texts.filter((text) => text.startsWith('select') && /"step_results"|"run_events"/.test(text))).toEqual([])
    },
  )
})
