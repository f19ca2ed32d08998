import { agentStep, createKern, nested, pglite, step, Workflow } from 'kern'
import { z } from 'zod'
import { modelOfEnvironment } from './model.ts'
import { research } from './research.ts'

const Input = z.object({ topic: z.string() }).meta({ examples: [{ topic: 'justice' }] })
const Essay = z.object({ title: z.string(), text: z.string(), words: z.number() })

const compose = agentStep({
  name: 'compose',
  description: 'Has a language model write the essay',
  model: modelOfEnvironment,
  system: 'You write short essays. You use what is quoted, and nothing else.',
  input: z.object({ topic: z.string(), markdown: z.string() }),
  prompt: ({ input }) => `Write an essay of a few sentences on ${input.topic}, from these quotes:\n\n${input.markdown}`,
  retry: { maxAttempts: 3, backoff: 'exponential' },
  timeout: '1m',
  addWorkflowHistory: true,
  numHistoryRuns: 2,
})

const finish = step({
  name: 'finish',
  description: 'Puts the title above it',
  input: z.string(),
  output: Essay,
  run: ({ input: text, runInput }) => {
    const { topic } = Input.parse(runInput)
    return { title: topic, text, words: text.split(/\s+/).length }
  },
})

export const essay = new Workflow({
  name: 'Essay',
  description: 'Researches a topic, and has a language model write about it',
  input: Input,
  steps: [nested('research', research, { history: false }), compose, finish],
  numHistoryRuns: 2,
})

if (import.meta.main) {
  await using kern = await createKern({ db: pglite.memory(), workflows: [essay] })
  const stream = kern.stream(essay, { input: { topic: 'justice' } })
  let runId = ''
  let printed = 0
  const print = (text: string) => {
    process.stdout.write(text.slice(printed))
    printed = text.length
  }
  for await (const event of stream) {
    // The essay as far as it is written.
    if (event.type === 'STEP_PROGRESS') print(z.string().parse(event.data))
    runId = event.runId
  }
  const run = await kern.getRun(runId)
  print(`${Essay.parse(run?.output).text}\n`)
  console.log(run?.steps['compose']?.usage)
}
