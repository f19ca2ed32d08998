import { pglite, step, Workflow } from 'kern'
import { z } from 'zod'

const greet = step({
  name: 'greet',
  input: z.object({ name: z.string() }),
  run: ({ input, history }) => {
    const times = history.runs.length
    return times === 0 ? `Hello, ${input.name}!` : `Hello again, ${input.name}! (${times} before)`
  },
})

export const hello = new Workflow({
  name: 'Hello',
  description: 'Greets by name, and knows who comes back',
  input: z.object({ name: z.string().default('world') }),
  steps: [greet],
  addWorkflowHistoryToSteps: true,
  db: pglite.memory(),
})

if (import.meta.main) {
  for (const name of ['Ada', 'Ada']) {
    const { output } = await hello.run({ input: { name }, sessionId: 'ada' })
    console.log(output)
  }
  await hello.close()
}
