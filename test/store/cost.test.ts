import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { startKern } from '../support/kerns.ts'
import { type Statement, watchStatements } from '../support/statements.ts'

const text = 'x'.repeat(500)
const adds = (name: string) =>
  step(name, ({ setState }: StepContext) => {
    setState({ last: name })
    return { name, text }
  })

const five = new Workflow({
  name: 'Five',
  steps: [adds('one'), adds('two'), adds('three'), adds('four'), adds('five')],
  addWorkflowHistoryToSteps: true,
})

/** What a statement does to which table, whatever its values are. */
const kindOf = ({ text: sql }: Statement) => sql.replace(/\s+/g, ' ').slice(0, 60)

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a run of five steps', () => {
    test('costs late in its session as many statements and bytes as early in it', async () => {
      const kern = await startKern(database, [five], { pollMs: 3_600_000, heartbeatMs: 3_600_000 })
      const sessionId = newId()
      const statements: Statement[] = []
      const unwatch = watchStatements(database, (statement) => statements.push(statement))
      const measured = []
      for (let number = 1; number <= 56; number += 1) {
        statements.length = 0
        const run = await kern.run(five, { sessionId, input: { text } })
        expect(run.number).toBe(number)
        const kinds = statements.map(kindOf).sort()
        measured.push({ kinds, count: kinds.length, size: statements.reduce((sum, { size }) => sum + size, 0) })
      }
      unwatch()
      // The first three runs have less history to read than the others; the rest must be alike.
      const [early, late] = [measured.slice(3, 7), measured.slice(51, 55)]
      const least = (of: typeof early, key: 'count' | 'size') => Math.min(...of.map((run) => run[key]))
      process.stdout.write(
        `${name}: run 4 to 7: ${least(early, 'count')} statements, ${least(early, 'size')} bytes; ` +
          `run 52 to 55: ${least(late, 'count')} statements, ${least(late, 'size')} bytes\n`,
      )
      // How many writes go together is a matter of time: the least of some runs is not.
      expect(Math.abs(least(late, 'count') - least(early, 'count'))).toBeLessThanOrEqual(1)
      expect(least(late, 'count')).toBeLessThanOrEqual(25)
      expect(least(late, 'size') / least(early, 'size')).toBeLessThan(1.05)
      expect(new Set(late.flatMap(({ kinds }) => kinds))).toEqual(new Set(early.flatMap(({ kinds }) => kinds)))
    })
  })
})
