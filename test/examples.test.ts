import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { essay } from '../examples/essay.ts'
import { hello } from '../examples/hello.ts'
import { publish } from '../examples/publish.ts'
import { report } from '../examples/report.ts'
import { research } from '../examples/research.ts'
import { exampleTabs } from '../src/server/examples.ts'
import { createKern, type EventRecord, type Kern, pglite } from '../src/index.ts'
import { API_KEY, says, startModelServer } from './support/modelServer.ts'

const root = join(import.meta.dirname, '..')
const ALONE = { timeout: 180_000 }
const workflows = [essay, hello, publish, report, research]

let kern: Kern
beforeAll(async () => {
  kern = await createKern({ db: pglite.memory(), workflows })
})
beforeEach(() => {
  // Whoever runs the tests may have a key: it is not for them.
  for (const name of ['OPENAI_API_KEY', 'OPENAI_MODEL', 'OPENAI_BASE_URL']) vi.stubEnv(name, '')
})
afterAll(async () => {
  await kern.close()
  vi.unstubAllEnvs()
})

/** What an example prints when it is run by itself, in a process that makes a database of its own. */
async function printed(file: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [`examples/${file}`], { cwd: root })
  return stdout
}

describe('hello', () => {
  test('greets by name, and differently who was greeted before', async () => {
    const first = await kern.run(hello, { input: { name: 'Ada' }, sessionId: 'ada' })
    expect(first).toMatchObject({ status: 'COMPLETED', number: 1, output: 'Hello, Ada!' })
    const second = await kern.run(hello, { input: { name: 'Ada' }, sessionId: 'ada' })
    expect(second).toMatchObject({ number: 2, output: 'Hello again, Ada! (1 before)', historyRunIds: [first.runId] })
  })

  test('greets the world when no name is given', async () => {
    expect((await kern.run(hello, { input: {} })).output).toBe('Hello, world!')
  })

  test('prints two greetings when it is run by itself', ALONE, async () => {
    expect(await printed('hello.ts')).toBe('Hello, Ada!\nHello again, Ada! (1 before)\n')
  })
})

describe('report', () => {
  test('sums up a document, step by step', async () => {
    const run = await kern.run(report, { input: { document: 'gettysburg', sentences: 1, pauseMs: 0 } })
    expect(run).toMatchObject({ status: 'COMPLETED', stoppedBy: null })
    expect(Object.keys(run.steps)).toEqual([
      'load',
      'analyse',
      'analyse/split',
      'analyse/count',
      'analyse/rank',
      'write',
    ])
    expect(run.output).toMatchObject({
      title: 'gettysburg',
      words: 272,
      sentences: 10,
      keywords: ['nation', 'dedicated', 'dead', 'great', 'people', 'conceived', 'dedicate', 'devotion'],
      summary: [
        'Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure.',
      ],
    })
    expect(run.stateAfter).toEqual({ reports: 1, words: 272, keywords: run.output?.keywords })
  })

  test('tells what is new compared with the earlier runs of its session, and adds up what all of them had', async () => {
    const sessionId = 'reading'
    const first = await kern.run(report, { input: { document: 'gettysburg', pauseMs: 0 }, sessionId })
    const second = await kern.run(report, { input: { document: 'declaration', pauseMs: 0 }, sessionId })
    expect(first.output?.newKeywords).toEqual(first.output?.keywords)
    expect(second.output?.keywords).toContain('people')
    expect(second.output?.newKeywords).toEqual(second.output?.keywords.filter((keyword) => keyword !== 'people'))
    expect(second.output?.markdown).toContain('New since gettysburg: laws, right,')
    expect(second.historyRunIds).toEqual([first.runId])
    expect(second.stateAfter).toMatchObject({ reports: 2, words: 272 + 1322 })
  })

  test('stops early for an empty text, and leaves the state of the session alone', async () => {
    const run = await kern.run(report, { input: { text: ' \n', pauseMs: 0 }, sessionId: 'empty' })
    expect(run).toMatchObject({ status: 'COMPLETED', stoppedBy: 'load' })
    expect(run.output).toBe('There is nothing to report: the text is empty.')
    expect(run.stateAfter).toEqual({ reports: 0, words: 0, keywords: [] })
  })

  test('emits its keywords and logs how many sentences there are', async () => {
    const own: EventRecord[] = []
    for await (const event of kern.stream(report, { input: { text: 'One two three. Four!', pauseMs: 0 } })) {
      if (event.type === 'CUSTOM' || event.type === 'LOG') own.push(event)
    }
    expect(own.map(({ stepPath, name, data }) => ({ stepPath, name, data }))).toEqual([
      { stepPath: 'analyse/split', name: null, data: { level: 'info', message: '2 sentences' } },
      { stepPath: 'analyse/count', name: 'keywords', data: ['four', 'one', 'three', 'two'] },
    ])
  })

  test('refuses a document and a text at once', async () => {
    const refused = kern.run(report, { input: { document: 'gettysburg', text: 'and this' } })
    await expect(refused).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })
})

describe('research', () => {
  test('searches two texts at once, weighs what it finds, and drafts until the score is good', async () => {
    const run = await kern.run(research, { input: { topic: 'justice', pauseMs: 0 } })
    expect(run).toMatchObject({ status: 'COMPLETED', stateAfter: { found: { gettysburg: 0, declaration: 3 } } })
    expect(Object.keys(run.steps)).toEqual([
      'plan',
      'gather',
      'gather/address',
      'gather/declaration',
      'enough',
      'each',
      ...[0, 1, 2].map((item) => `each[${item}]/weigh`),
      'brief',
      'refine',
      ...[1, 2, 3].flatMap((n) => [`refine[${n}]/draft`, `refine[${n}]/critique`]),
      'write',
    ])
    expect([1, 2, 3].map((n) => run.steps[`refine[${n}]/critique`]?.output?.score)).toEqual([0.25, 0.5, 1])
    expect(run.output).toMatchObject({ topic: 'justice', score: 1, quotes: { length: 3 } })
  })

  test('looks for words that begin alike where it has found too little, and knows what earlier runs quoted', async () => {
    const sessionId = 'research'
    const first = await kern.run(research, { input: { topic: 'justice', pauseMs: 0 }, sessionId })
    const second = await kern.run(research, { input: { topic: 'king', pauseMs: 0 }, sessionId })
    expect(second.steps['gather']?.output).toMatchObject({ address: [], declaration: { length: 1 } })
    expect(second.steps['enough/deepen']?.output).toMatchObject({ address: [], declaration: { length: 2 } })
    expect(second.output?.markdown.match(/quoted before, for .*(?=\))/g)).toEqual(['quoted before, for justice'])
    expect(second.historyRunIds).toEqual([first.runId])
    expect(second.stateAfter).toEqual({ found: { gettysburg: 0, declaration: 4 } })
  })

  test('stops early where there is nothing to find', async () => {
    const nothing = await kern.run(research, { input: { topic: 'zebra', pauseMs: 0 } })
    expect(nothing).toMatchObject({ status: 'COMPLETED', stoppedBy: 'enough/deepen' })
    expect(nothing.output).toBe('There is nothing in these texts about the topic.')
    const empty = await kern.run(research, { input: { topic: ' !', pauseMs: 0 } })
    expect(empty).toMatchObject({ status: 'COMPLETED', stoppedBy: 'plan' })
  })

  test('can be gone over again from its drafts, with what was found', async () => {
    const first = await kern.run(research, { input: { topic: 'justice', pauseMs: 0 } })
    const again = await kern.retryRun({ runId: first.runId, fromStep: 'refine' })
    expect(again).toMatchObject({ status: 'COMPLETED', retryOf: first.runId, historyRunIds: [first.runId] })
    expect(again.output).toMatchObject({ topic: 'justice', quotes: first.output?.quotes })
    const executed = Object.values(again.steps).filter((step) => step && step.attempts.length > 0)
    expect(executed.map((step) => step?.path)).toEqual([
      'refine',
      ...[1, 2, 3].flatMap((n) => [`refine[${n}]/draft`, `refine[${n}]/critique`]),
      'write',
    ])
  })

  test('prints the steps and the reports of two runs when it is run by itself', ALONE, async () => {
    const text = await printed('research.ts')
    expect(text).toContain('refine[3]/critique write\n\n# justice\n\n> They too have been deaf')
    expect(text).toContain('quoted before, for justice)\n\nScore: 100 %')
  })
})

describe('publish', () => {
  const text = 'Hear, hear. All of you.'

  test('asks for a title and for approval, and prints after a rest', async () => {
    const { runId, status, steps } = await kern.run(publish, { input: { text } })
    expect(status).toBe('PAUSED')
    expect(steps['titled/title']?.pending?.prompt).toBe('What is the title of "Hear, hear."?')
    const titled = await kern.resumeRun({ runId, data: { title: ' A call ' } })
    expect(titled).toMatchObject({
      status: 'PAUSED',
      steps: { approve: { pending: { prompt: 'Publish "A call" (5 words)?' } } },
    })
    const run = await kern.resumeRun({ runId, data: { approved: true } })
    expect(run).toMatchObject({ status: 'COMPLETED', output: { published: true, title: 'A call' } })
    expect(run.stateAfter).toEqual({ published: ['A call'] })
  })

  test('puts aside what is not approved, with the reason', async () => {
    const { runId } = await kern.run(publish, { input: { text, title: 'A call' } })
    const run = await kern.resumeRun({ runId, data: { approved: false, comment: 'Not now' } })
    expect(run.output).toEqual({ published: false, title: 'A call', because: 'Not now' })
    expect(run.stateAfter).toEqual({ published: [] })
  })

  test('asks a person what to do with a text that is too long for the press', async () => {
    const long = 'The people came. '.repeat(200)
    const { runId } = await kern.run(publish, { input: { text: long, title: 'Long' } })
    const failed = await kern.resumeRun({ runId, data: { approved: true } })
    expect(failed).toMatchObject({ status: 'PAUSED' })
    const print = failed.steps['decision/release/print']
    expect(print?.pending?.prompt).toContain('the press takes texts of up to 500 words, this one has 600')
    const skipped = await kern.resumeRun({ runId, action: 'SKIP' })
    expect(skipped).toMatchObject({ status: 'COMPLETED', output: { approved: true, input: { title: 'Long' } } })
  })

  test('answers its own questions when it is run by itself', ALONE, async () => {
    expect(await printed('publish.ts')).toBe(
      'What is the title of "It is for us the living."?\n' +
        'Publish "The living" (6 words)?\n' +
        "COMPLETED { published: true, title: 'The living' }\n",
    )
  })
})

describe('essay', () => {
  const quote = 'They too have been deaf to the voice of justice and of consanguinity.'

  test('has a model write, whose words can be watched', async () => {
    const progress: unknown[] = []
    let runId = ''
    for await (const event of kern.stream(essay, { input: { topic: 'justice' } })) {
      if (event.type === 'STEP_PROGRESS') progress.push(event.data)
      runId = event.runId
    }
    const run = await kern.getRun(runId)
    expect(run).toMatchObject({ status: 'COMPLETED', output: { title: 'justice' } })
    const text = run?.steps['compose']?.output
    expect(text).toContain(quote)
    expect(progress.length).toBeGreaterThan(1)
    expect(progress.filter((part) => !String(text).startsWith(String(part)))).toEqual([])
    expect(run?.usage).toEqual(run?.steps['compose']?.usage)
    expect(run?.usage?.totalTokens).toBeGreaterThan(0)
  })

  test('asks the model that the environment names', async () => {
    const { exchanges, url } = await startModelServer(says(['Justice ', 'is deaf.']))
    vi.stubEnv('OPENAI_API_KEY', API_KEY)
    vi.stubEnv('OPENAI_MODEL', 'small')
    vi.stubEnv('OPENAI_BASE_URL', url)
    const run = await kern.run(essay, { input: { topic: 'justice' } })
    expect(run.output).toEqual({ title: 'justice', text: 'Justice is deaf.', words: 3 })
    expect(exchanges).toMatchObject([{ headers: { authorization: `Bearer ${API_KEY}` }, request: { model: 'small' } }])
    expect(JSON.stringify(exchanges[0]?.request.messages)).toContain(quote)
  })

  test('prints as the model writes when it is run by itself', ALONE, async () => {
    const text = await printed('essay.ts')
    expect(text).toContain(quote)
    expect(text).toContain('totalTokens')
  })
})

test('GraphiQL opens with an example that waits for nobody', () => {
  const tabs = exampleTabs(workflows.map(({ definition }) => definition))
  expect(tabs.map(({ variables = '' }) => variables).join('\n')).toContain('"workflowId": "essay"')
})

const ALLOWED = /^(kern|kern\/testing|zod|vitest|ai|@ai-sdk\/openai-compatible|node:.+|\.\/[\w-]+\.ts)$/

test('examples import the public API, zod, each other and what calls models only', () => {
  const files = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))
  expect(files).toContain('report.ts')
  for (const file of files) {
    const text = readFileSync(join(root, 'examples', file), 'utf8')
    const imports = [...text.matchAll(/\bfrom '([^']+)'/g)].map(([, target = '']) => target)
    expect(imports.filter((target) => !ALLOWED.test(target))).toEqual([])
  }
})
