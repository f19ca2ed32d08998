import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { printedSchema } from '../../schema/print.ts'
import { runCli } from '../../src/cli/program.ts'
import { startedText } from '../../src/cli/start.ts'

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const result = { code: -1, out: '', err: '' }
  result.code = await runCli(args, {
    out: (text) => {
      result.out += text
    },
    err: (text) => {
      result.err += text
    },
  })
  return result
}

describe('the command line', () => {
  test('prints its version, which is that of package.json', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8'))
    expect(await run('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' })
  })

  test.each([
    [['--help']],
    [['start', '--help']],
    [['migrate', '--help']],
    [['prune', '--help']],
    [['schema', '--help']],
  ])('%j prints what there is', async (args) => {
    expect(await run(...args)).toMatchObject({ code: 0, out: expect.stringContaining('Usage: kern'), err: '' })
  })

  test.each([[[]], [['bogus']], [['start', '--bogus']], [['schema', '--output']], [['migrate', 'now']]])(
    '%j is used wrongly: exit code 2',
    async (args: string[]) => {
      expect(await run(...args)).toMatchObject({ code: 2, out: '' })
    },
  )

  test.each([
    [['start', '--port', 'abc'], 'port is "abc"'],
    [['start', '--log-level', 'loud'], 'logLevel is "loud"'],
    [['migrate', '--database', 'mysql://somewhere'], 'databaseUrl is "mysql://somewhere"'],
  ])('%j fails with one clear line and exit code 1', async (args, message) => {
    const { code, out, err } = await run(...args)
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(/^kern: [^\n]+\n$/)
    expect(err).toContain(message)
  })
})

describe('kern schema', () => {
  test('prints the schema', async () => {
    expect(await run('schema')).toEqual({ code: 0, out: printedSchema(), err: '' })
  })

  test('writes it to a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kern-schema-'))
    const file = join(folder, 'schema.graphql')
    expect(await run('schema', '--output', file)).toEqual({ code: 0, out: '', err: '' })
    expect(await readFile(file, 'utf8')).toBe(printedSchema())
    await rm(folder, { recursive: true })
  })
})

test('a started server says what it serves, and where', () => {
  const text = startedText({
    version: '1.2.3',
    node: 'v24.0.0',
    database: 'a database',
    workflows: [
      { id: 'one', name: 'The One', steps: 1 },
      { id: 'two', name: 'The Two', steps: 3 },
    ],
    role: 'all',
    url: 'http://127.0.0.1:4000',
    graphql: 'http://127.0.0.1:4000/graphql',
    websocket: 'ws://127.0.0.1:4000/graphql',
  })
  for (const part of [
    'Kern 1.2.3 on Node v24.0.0',
    'a database',
    'The One (one), 1 step\n',
    'The Two (two), 3 steps\n',
  ]) {
    expect(text).toContain(part)
  }
  for (const url of ['http://127.0.0.1:4000/graphql', 'ws://127.0.0.1:4000/graphql']) expect(text).toContain(url)
})
