import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createKern, pglite, sequence, step, Workflow } from 'kern'
import { z } from 'zod'
import { keywordsOf, leadSentences, sentencesOf, wordsOf } from './text.ts'

const Input = z
  .object({
    document: z.enum(['gettysburg', 'declaration']).optional().describe('A text that comes with the example'),
    text: z.string().optional().describe('Any other text'),
    sentences: z.int().min(1).max(10).default(2).describe('How long the summary is'),
    pauseMs: z.int().min(0).max(5_000).default(400).describe('Rest in each step, for whoever watches'),
  })
  .refine(({ document, text }) => (document === undefined) !== (text === undefined), 'give a document or a text')
  .meta({ examples: [{ document: 'gettysburg' }] })

/** What the session keeps over all its runs. */
const Totals = z.object({
  reports: z.number().default(0),
  words: z.number().default(0),
  keywords: z.array(z.string()).default([]),
})

const Report = z.object({
  title: z.string(),
  words: z.number(),
  sentences: z.number(),
  keywords: z.array(z.string()),
  /** Keywords that no earlier run among those in history had. */
  newKeywords: z.array(z.string()),
  summary: z.array(z.string()),
  markdown: z.string(),
})

const load = step({
  name: 'load',
  description: 'Takes the text, or reads the document',
  input: Input,
  output: z.object({ title: z.string(), text: z.string() }),
  retry: { maxAttempts: 3, backoff: 'exponential', delay: '100ms' },
  timeout: '5s',
  run: async ({ input: { document, text = '' }, stop, signal }) => {
    if (document === undefined && text.trim() === '') return stop('There is nothing to report: the text is empty.')
    if (document === undefined) return { title: 'A text', text }
    const file = new URL(`data/${document}.txt`, import.meta.url)
    return { title: document, text: await readFile(file, { encoding: 'utf8', signal }) }
  },
})

const split = step({
  name: 'split',
  description: 'Cuts the text into sentences',
  input: z.object({ text: z.string() }),
  run: async ({ input, runInput, signal, log }) => {
    await rest(runInput, signal)
    const sentences = sentencesOf(input.text)
    log(`${sentences.length} sentences`)
    return sentences
  },
})

const count = step({
  name: 'count',
  description: 'Counts words, and finds the keywords',
  input: z.array(z.string()),
  state: Totals,
  run: async ({ input: sentences, runInput, signal, emit, setState }) => {
    await rest(runInput, signal)
    const words = sentences.flatMap(wordsOf)
    const keywords = keywordsOf(words, 8)
    emit('keywords', keywords)
    setState((state) => ({
      reports: state.reports + 1,
      words: state.words + words.length,
      keywords: [...new Set([...state.keywords, ...keywords])],
    }))
    return { words: words.length, keywords }
  },
})

const rank = step({
  name: 'rank',
  description: 'Chooses the sentences that say most of what the text says',
  run: async ({ runInput, outputOf, signal }) => {
    await rest(runInput, signal)
    return leadSentences(outputOf(split), Input.parse(runInput).sentences)
  },
})

const write = step({
  name: 'write',
  description: 'Writes the report, and what is new in it',
  input: z.array(z.string()),
  output: Report,
  state: Totals,
  addWorkflowHistory: true,
  numHistoryRuns: 5,
  run: async ({ input: summary, runInput, outputOf, history, state, signal }) => {
    await rest(runInput, signal)
    const { title } = outputOf(load)
    const { words, keywords } = outputOf(count)
    const earlier = history.runs
      .map(({ output }) => Report.safeParse(output).data)
      .filter((report) => report !== undefined)
    const seen = new Set(earlier.flatMap((report) => report.keywords))
    const newKeywords = keywords.filter((keyword) => !seen.has(keyword))
    const markdown = [
      `# ${title}`,
      ...summary.map((sentence) => `> ${sentence}`),
      `Keywords: ${keywords.join(', ')}`,
      earlier.length > 0 && `New since ${earlier.map((report) => report.title).join(', ')}: ${newKeywords.join(', ')}`,
      `${words} words. Report ${state.reports} of this session; ${state.words} words in all.`,
    ]
    return {
      title,
      words,
      sentences: outputOf(split).length,
      keywords,
      newKeywords,
      summary,
      markdown: markdown.filter((line) => line !== false).join('\n\n'),
    }
  },
})

export const report = new Workflow({
  name: 'Report',
  description: 'Turns a text into a short report, and tells what is new compared with earlier texts',
  input: Input,
  state: Totals,
  steps: [load, sequence('analyse', [split, count, rank]), write],
  timeout: '1m',
})

/** A short pause, so that a person sees the steps arrive; it ends at once when the run is cancelled. */
async function rest(runInput: unknown, signal: AbortSignal): Promise<void> {
  await sleep(Input.parse(runInput).pauseMs, undefined, { signal })
}

if (import.meta.main) {
  await using kern = await createKern({ db: pglite.memory(), workflows: [report] })
  for (const document of ['gettysburg', 'declaration'] as const) {
    let runId = ''
    for await (const event of kern.stream(report, { input: { document }, sessionId: 'reading' })) {
      if (event.type === 'STEP_COMPLETED') console.log(`done: ${event.stepPath}`)
      runId = event.runId
    }
    const run = await kern.getRun(runId)
    console.log(`\n${Report.parse(run?.output).markdown}\n`)
  }
}
