import { setTimeout as wait } from 'node:timers/promises'
import {
  approval,
  condition,
  createKern,
  pglite,
  type ReadContext,
  router,
  sequence,
  sleep,
  step,
  waitForInput,
  Workflow,
} from 'kern'
import { z } from 'zod'
import { sentencesOf, wordsOf } from './text.ts'

const Input = z
  .object({
    text: z.string().min(1),
    title: z.string().default('').describe('Left out: a person is asked'),
  })
  .meta({ examples: [{ text: 'It is for us the living. It is for us to be dedicated here.' }] })

/** What the session keeps over all its runs. */
const Shelf = z.object({ published: z.array(z.string()).default([]) })

const Titled = z.object({ title: z.string() })
const Article = Titled.extend({ sentences: z.array(z.string()), words: z.number() })

/** What the press takes; a longer text is an error, about which a person is asked. */
const MAX_WORDS = 500

const read = step({
  name: 'read',
  description: 'Cuts the text into sentences and counts its words',
  input: Input,
  output: Article,
  run: ({ input: { text, title } }) => {
    const sentences = sentencesOf(text)
    return { title, sentences, words: sentences.flatMap(wordsOf).length }
  },
})

const askTitle = waitForInput('title', {
  description: 'Asks a person for what is missing',
  prompt: ({ input }: ReadContext<z.infer<typeof Article>>) => `What is the title of "${input.sentences[0]}"?`,
  schema: z.object({ title: z.string().trim().min(1).max(80) }),
  timeout: '1h',
  onTimeout: { title: 'Untitled' },
})

const compose = step({
  name: 'compose',
  description: 'Puts the title to the text',
  input: Titled,
  output: Article,
  run: ({ input: { title }, outputOf }) => ({ ...outputOf(read), title }),
})

const approve = approval('approve', {
  description: 'Asks a person; nobody for a day is a no',
  prompt: ({ input }: ReadContext<z.infer<typeof Article>>) => `Publish "${input.title}" (${input.words} words)?`,
  timeout: '1d',
  onTimeout: false,
})

const print = step({
  name: 'print',
  description: 'Prints the text, sentence by sentence',
  state: Shelf,
  onError: 'pause',
  run: async function* ({ outputOf, setState, signal }) {
    const { title, sentences, words } = outputOf(compose)
    if (words > MAX_WORDS) throw new Error(`the press takes texts of up to ${MAX_WORDS} words, this one has ${words}`)
    for (const [index] of sentences.entries()) {
      await wait(100, undefined, { signal })
      yield `${index + 1} of ${sentences.length} sentences`
    }
    setState(({ published }) => ({ published: [...published, title] }))
    return { published: true, title }
  },
})

const shelve = step({
  name: 'shelve',
  description: 'Puts the text aside, with the reason',
  input: z.object({ approved: z.boolean(), comment: z.string().default('nobody approved it'), input: Titled }),
  run: ({ input }) => ({ published: false, title: input.input.title, because: input.comment }),
})

export const publish = new Workflow({
  name: 'Publish',
  description: 'Publishes a text once a person has approved it',
  input: Input,
  state: Shelf,
  steps: [
    read,
    condition('titled', { if: ({ input }) => input.title !== '', else: [askTitle] }),
    compose,
    approve,
    router('decision', {
      select: ({ input }) => (input.approved ? 'release' : 'shelve'),
      choices: [sequence('release', [sleep('embargo', '2s'), print]), shelve],
    }),
  ],
})

if (import.meta.main) {
  await using kern = await createKern({ db: pglite.memory(), workflows: [publish] })
  const { runId, steps } = await kern.run(publish, { input: { text: 'It is for us the living.' } })
  console.log(steps['titled/title']?.pending?.prompt)

  const titled = await kern.resumeRun({ runId, data: { title: 'The living' } })
  console.log(titled.steps['approve']?.pending?.prompt)

  const { status, output } = await kern.resumeRun({ runId, data: { approved: true, comment: 'Well said' } })
  console.log(status, output)
}
