import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { condition, createKern, loop, map, parallel, pglite, type ReadContext, step, Workflow } from 'kern'
import { z } from 'zod'
import { keywordsOf, sentencesOf, wordsOf } from './text.ts'

const Input = z
  .object({
    topic: z.string().describe('What to look for, in a word or a few'),
    pauseMs: z.int().min(0).max(5_000).default(200).describe('Rest in each search and draft, for whoever watches'),
  })
  .meta({ examples: [{ topic: 'justice' }] })

/** What the session keeps over all its runs: how many passages each source had. */
const Found = z.object({ found: z.record(z.string(), z.number()).default({}) })

const Plan = z.object({ terms: z.array(z.string()).min(1) })
/** Passages, by the name of the step that searched. */
const Gathered = z.object({ address: z.array(z.string()), declaration: z.array(z.string()) })
const Passage = z.object({ source: z.string(), text: z.string(), weight: z.number() })
const Brief = z.object({ passages: z.array(Passage), keywords: z.array(z.string()), length: z.int() })
const Draft = Brief.extend({ quotes: z.array(Passage) })
const Review = Draft.extend({ score: z.number() })

const Report = z.object({
  topic: z.string(),
  quotes: z.array(z.string()),
  /** How much of what the passages speak of is in the quotes, from 0 to 1. */
  score: z.number(),
  markdown: z.string(),
})

const ENOUGH_PASSAGES = 3
const GOOD_SCORE = 0.75

const plan = step({
  name: 'plan',
  description: 'Takes the words of the topic as what to search for',
  input: Input,
  output: Plan,
  run: ({ input, stop }) => {
    const terms = wordsOf(input.topic)
    return terms.length > 0 ? { terms } : stop('There is nothing to research: the topic has no words.')
  },
})

const address = search('address', 'gettysburg')
const declaration = search('declaration', 'declaration')

/** A step that looks for passages in one text. Both run at the same time, and add to the same state. */
function search<const Name extends string>(name: Name, document: string) {
  return step({
    name,
    description: `Searches data/${document}.txt`,
    input: Plan,
    output: z.array(z.string()),
    state: Found,
    retry: { maxAttempts: 3, backoff: 'exponential', delay: '100ms' },
    timeout: '10s',
    run: async ({ input: { terms }, runInput, state, setState, signal }) => {
      await rest(runInput, signal)
      const sentences = await sentencesIn(document, signal)
      const passages = sentences.filter((sentence) => wordsOf(sentence).some((word) => terms.includes(word)))
      setState({ found: { [document]: (state.found[document] ?? 0) + passages.length } })
      return passages
    },
  })
}

const deepen = step({
  name: 'deepen',
  description: 'Searches again, for words that begin like those of the topic; without it, what was found has to do',
  input: Gathered,
  output: Gathered,
  onError: 'skip',
  run: async ({ outputOf, stop, signal }) => {
    const stems = outputOf(plan).terms.map((term) => term.slice(0, Math.max(3, term.length - 3)))
    const related = (sentence: string) => wordsOf(sentence).some((word) => stems.some((stem) => word.startsWith(stem)))
    const passages = {
      address: (await sentencesIn('gettysburg', signal)).filter(related),
      declaration: (await sentencesIn('declaration', signal)).filter(related),
    }
    return countOf(passages) > 0 ? passages : stop('There is nothing in these texts about the topic.')
  },
})

const weigh = step({
  name: 'weigh',
  description: 'Says how much of a passage is about the topic',
  input: z.object({ source: z.string(), text: z.string() }),
  output: Passage,
  run: ({ input, outputOf }) => {
    const { terms } = outputOf(plan)
    const words = wordsOf(input.text)
    return { ...input, weight: words.filter((word) => terms.includes(word)).length / words.length }
  },
})

const brief = step({
  name: 'brief',
  description: 'Puts the heaviest passages first, and says what they speak of',
  input: z.array(Passage),
  output: Brief,
  run: ({ input }) => ({
    passages: input.toSorted((a, b) => b.weight - a.weight),
    keywords: keywordsOf(
      input.flatMap(({ text }) => wordsOf(text)),
      8,
    ),
    length: 1,
  }),
})

const draft = step({
  name: 'draft',
  description: 'Quotes as many passages as the brief asks for',
  input: Brief,
  output: Draft,
  run: async ({ input, runInput, signal }) => {
    await rest(runInput, signal)
    return { ...input, quotes: input.passages.slice(0, input.length) }
  },
})

const critique = step({
  name: 'critique',
  description: 'Scores the draft by what it leaves out, and asks for one more passage',
  input: Draft,
  output: Review,
  run: ({ input }) => {
    const words = new Set(input.quotes.flatMap(({ text }) => wordsOf(text)))
    const score = input.keywords.filter((keyword) => words.has(keyword)).length / input.keywords.length
    return { ...input, score, length: input.length + 1 }
  },
})

const write = step({
  name: 'write',
  description: 'Writes the report, and which of its quotes earlier runs of the session had',
  input: Review,
  output: Report,
  addWorkflowHistory: true,
  numHistoryRuns: 5,
  run: ({ input: { quotes, score }, runInput, history }) => {
    const { topic } = Input.parse(runInput)
    const earlier = history.runs
      .map(({ output }) => Report.safeParse(output).data)
      .filter((report) => report !== undefined)
    const lines = quotes.map(({ source, text }) => {
      const known = earlier.filter((report) => report.quotes.includes(text)).map((report) => report.topic)
      return `> ${text} (${source}${known.length > 0 ? `; quoted before, for ${known.join(', ')}` : ''})`
    })
    return {
      topic,
      quotes: quotes.map(({ text }) => text),
      score,
      markdown: [`# ${topic}`, ...lines, `Score: ${Math.round(score * 100)} %`].join('\n\n'),
    }
  },
})

export const research = new Workflow({
  name: 'Research Pipeline',
  description: 'Automated research and analysis pipeline',
  input: Input,
  state: Found,
  steps: [
    plan,
    parallel('gather', [address, declaration]),
    condition('enough', { if: ({ input }) => countOf(input) >= ENOUGH_PASSAGES, else: [deepen] }),
    map('each', { items: ({ input }: ReadContext<Gathered>) => listOf(input), steps: [weigh], concurrency: 4 }),
    brief,
    loop('refine', {
      steps: [draft, critique],
      until: ({ output }) => output.score >= GOOD_SCORE,
      maxIterations: 5,
      carry: true,
    }),
    write,
  ],
  timeout: '1m',
})

type Gathered = z.infer<typeof Gathered>

function listOf(gathered: Gathered): { source: string; text: string }[] {
  return Object.entries(gathered).flatMap(([source, passages]) => passages.map((text) => ({ source, text })))
}

function countOf(gathered: Gathered): number {
  return listOf(gathered).length
}

async function sentencesIn(document: string, signal: AbortSignal): Promise<string[]> {
  const file = new URL(`data/${document}.txt`, import.meta.url)
  return sentencesOf(await readFile(file, { encoding: 'utf8', signal }))
}

/** A short pause, so that a person sees the steps arrive; it ends at once when the run is cancelled. */
async function rest(runInput: unknown, signal: AbortSignal): Promise<void> {
  await wait(Input.parse(runInput).pauseMs, undefined, { signal })
}

if (import.meta.main) {
  await using kern = await createKern({ db: pglite.memory(), workflows: [research] })
  for (const topic of ['justice', 'king']) {
    const run = await kern.run(research, { input: { topic }, sessionId: 'research' })
    console.log(`${Object.keys(run.steps).join(' ')}\n\n${run.output?.markdown}\n`)
  }
}
