import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hello } from '../examples/hello.ts'
import { report } from '../examples/report.ts'
import { createKern, type EventRecord, type Kern, pglite } from '../src/index.ts'

const root = join(import.meta.dirname, '..')

let kern: Kern
beforeAll(async () => {
  kern = await createKern({ db: pglite.memory(), workflows: [hello, report] })
})
afterAll(() => kern.close())

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

  test('prints two greetings when it is run by itself', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['examples/hello.ts'], { cwd: root })
    expect(stdout).toBe('Hello, Ada!\nHello again, Ada! (1 before)\n')
  }, 60_000)
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

test('examples import the public API, zod and each other only', () => {
  const files = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))
  expect(files).toContain('report.ts')
  for (const file of files) {
    const text = readFileSync(join(root, 'examples', file), 'utf8')
    const imports = [...text.matchAll(/\bfrom '([^']+)'/g)].map(([, target = '']) => target)
    expect(imports.filter((target) => !/^(kern|zod|node:.+|\.\/[\w-]+\.ts)$/.test(target))).toEqual([])
  }
})
