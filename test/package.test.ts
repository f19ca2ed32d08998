import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase, rows } from '../src/db/client.ts'
import { freshPostgres } from './support/databases.ts'

const root = join(import.meta.dirname, '..')

/** What the package exports besides types. */
const EXPORTS =
  `KernError NonRetryableError Workflow agentStep approval condition createKern loop map nested parallel pglite
  postgres router sequence sleep step waitForInput`.split(/\s+/)

const WORKFLOW = `
import { createKern, type KernOptions, pglite, postgres, sequence, step, Workflow } from 'kern'
import { z } from 'zod'

const Text = z.object({ text: z.string() })
const shout = step({ name: 'shout', input: Text, run: ({ input }) => input.text.toUpperCase() })
const measure = step({ name: 'measure', input: z.string(), run: ({ input }) => ({ loud: input, length: input.length }) })
export const flow = new Workflow({ name: 'Shouter', input: Text, steps: [sequence('both', [shout, measure])] })
`

const PROGRAM = `${WORKFLOW}
import { createKernClient, type KernClient } from 'kern/client'

const client: KernClient = createKernClient({ url: 'http://localhost/graphql' })
const cursor: string | undefined = (await client.watchRun('no run').return()).value?.cursor
const options: KernOptions = { db: pglite.memory(), workflows: [flow] }
await using kern = await createKern(options)
const { status, output } = await kern.run(flow, { input: { text: 'hi' } })
const length: number | undefined = output?.length
console.log(JSON.stringify({ status, output, length, kind: postgres('postgres://localhost/x').kind }))
`

const TESTS = `${WORKFLOW}
import { type TestKern, testKern } from 'kern/testing'

await using kern: TestKern = await testKern({ workflows: [flow], overrides: { 'both/shout': () => 'HELLO' } })
const { status, output, steps } = await kern.run(flow, { input: { text: 'hi' } })
const shouted: string | undefined = steps['both/shout']?.output
console.log(JSON.stringify({ status, output, shouted }))
`

const AGENT = `
import { agentStep } from 'kern'

try {
  agentStep({ name: 'write', model: 'any/model', prompt: 'Write.' })
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }))
}
`

/** Exports a node of each kind, of which the compiler must be able to name the types. */
const LIBRARY = `
import * as kern from 'kern'
import { z } from 'zod'

export const load = kern.step('load', () => ({ pages: 3 }))
export const risky = kern.step({ name: 'risky', onError: 'skip', run: () => 1 })
export const both = kern.sequence('both', [load, kern.sleep('rest', '1s')])
export const gather = kern.parallel('gather', [load, both])
export const enough = kern.condition('enough', { if: ({ input }) => input !== null, then: [], else: [load] })
export const route = kern.router('route', { select: () => 'load', choices: [load, both] })
export const again = kern.loop('again', { steps: [load], maxIterations: 2 })
export const each = kern.map('each', { steps: [load] })
export const some = kern.map('some', { items: ({ input }: kern.ReadContext<string[]>) => input, steps: [load] })
export const ask = kern.approval('ask', { prompt: 'Go on?' })
export const details = kern.waitForInput('details', { prompt: 'Where?', schema: z.object({ region: z.string() }) })
export const write = kern.agentStep({ name: 'write', model: 'some/model', prompt: 'Write' })
export const flow = new kern.Workflow({ name: 'Flow', steps: [gather, ask] })
export const sub = kern.nested('sub', flow)
export const pages = async () => (await flow.run({ input: null })).steps['gather/both/load']?.output?.pages
`

const MISUSE = `${WORKFLOW}
const wrong: number = (await flow.run({ input: { text: 'hi' } })).output?.loud
export const mismatch = new Workflow({ name: 'Mismatch', input: Text, steps: [measure] })
`

/** A project of somebody else that has installed the package. */
let app: string
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kern-package-'))
  app = join(folder, 'app')
  const tarball = await pack(join(folder, 'source'))
  await mkdir(app)
  await writeFile(join(app, 'package.json'), JSON.stringify({ type: 'module' }))
  await npm(app, 'install', tarball, 'zod', '--prefer-offline', '--no-audit', '--no-fund', '--no-progress')
  await writeFile(join(app, 'flow.ts'), WORKFLOW)
  await writeFile(join(app, 'program.ts'), PROGRAM)
  await writeFile(join(app, 'tests.ts'), TESTS)
  await writeFile(join(app, 'library.ts'), LIBRARY)
}, 120_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Packs a copy of the sources: package.json changes while npm packs, which other tests must not see. */
async function pack(source: string): Promise<string> {
  const parts = ['src', 'schema', 'drizzle', 'scripts', 'README.md', 'LICENSE', 'CHANGELOG.md']
  const manifests = ['package.json', 'tsconfig.json', 'tsconfig.build.json']
  for (const part of [...parts, ...manifests]) await cp(join(root, part), join(source, part), { recursive: true })
  await symlink(join(root, 'node_modules'), join(source, 'node_modules'))
  await npm(source, 'pack', '--pack-destination', folder)
  const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
  return join(folder, tarball)
}

/** The environment of a terminal whose Node is the one of this test, without what npm and vitest have set. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...env } = process.env
  const own = Object.entries(env).filter(([name]) => !/^(npm_|vitest|node_env$)/i.test(name))
  return { ...Object.fromEntries(own), PATH: `${dirname(process.execPath)}${delimiter}${env['PATH']}` }
}

async function run(program: string, args: readonly string[], cwd: string): Promise<{ stdout: string }> {
  try {
    return await promisify(execFile)(program, args, { cwd, env: environment(), maxBuffer: 10_000_000 })
  } catch (error) {
    // What compilers have to say is on standard output, which the message does not have.
    if (error instanceof Error && 'stdout' in error) error.message += `\n${String(error.stdout)}`
    throw error
  }
}

/** Runs a script of modules in the project that has installed the package. */
const evaluate = (script: string) => run(process.execPath, ['--input-type=module', '--eval', script], app)

const npm = (cwd: string, ...args: readonly string[]) => run('npm', args, cwd)

test('packing leaves package.json as it was', async () => {
  const [own, packed] = await Promise.all(
    [root, join(folder, 'source')].map((at) => readFile(join(at, 'package.json'))),
  )
  expect(packed).toEqual(own)
})

test('the package has exactly the public exports', async () => {
  const all = `import * as kern from 'kern'; import * as client from 'kern/client'; import * as testing from 'kern/testing'`
  const { stdout } = await evaluate(`${all}; console.log(JSON.stringify([kern, client, testing].map(Object.keys)))`)
  const [kern, client, testing] = JSON.parse(stdout)
  expect(kern.toSorted()).toEqual(EXPORTS)
  expect(client.toSorted()).toEqual(['KernClientError', 'createKernClient'])
  expect(testing).toEqual(['testKern'])
})

test('the package has its licence, its documents, its migrations and no sources or tests', async () => {
  const names = await readdir(join(app, 'node_modules', 'kern'), { recursive: true })
  const files = names.filter((name) => /\.\w+$/.test(name) || name === 'LICENSE')
  expect(files).toEqual(expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']))
  expect(files.some((name) => /^drizzle\/\w+\/migration\.sql$/.test(name))).toBe(true)
  expect(files.filter((name) => !/^(dist|drizzle)\//.test(name))).toHaveLength(4)
  expect(files.filter((name) => /(?<!\.d)\.ts$/.test(name) || name.endsWith('snapshot.json'))).toEqual([])
})

test('its types say what a workflow takes and yields, also without skipLibCheck', async () => {
  await writeFile(join(app, 'misuse.ts'), MISUSE)
  const flags = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--lib',
    'es2024,esnext.disposable',
  ]
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules', '@types')]
  const tsc = (...args: string[]) => run(join(root, 'node_modules', '.bin', 'tsc'), [...flags, ...types, ...args], app)
  await tsc('program.ts')
  await tsc('tests.ts')
  await tsc('library.ts', '--noEmit', 'false', '--declaration', '--emitDeclarationOnly', '--outDir', 'types')
  const declared = await readFile(join(app, 'types', 'library.d.ts'), 'utf8')
  expect(declared).toContain('pages: () => Promise<number | undefined>')
  expect(declared).not.toMatch(/\bany\b/)
  const refused = await tsc('misuse.ts').catch((error: { stdout: string }) => error)
  expect(refused.stdout).toMatch(/misuse\.ts.*Type 'string \| undefined' is not assignable to type 'number'/)
  expect(refused.stdout).toContain('does not accept the input of the run')
})

test('a script runs a workflow', async () => {
  const { stdout } = await run(process.execPath, ['program.ts'], app)
  expect(JSON.parse(stdout)).toEqual({
    status: 'COMPLETED',
    output: { loud: 'HI', length: 2 },
    length: 2,
    kind: 'postgres',
  })
}, 60_000)

test('a test runs a workflow by kern/testing, with a function in the place of one of its steps', async () => {
  const { stdout } = await run(process.execPath, ['tests.ts'], app)
  expect(JSON.parse(stdout)).toEqual({ status: 'COMPLETED', output: { loud: 'HELLO', length: 5 }, shouted: 'HELLO' })
}, 120_000)

test('an agent step is refused where the package ai is not installed, with what to do', async () => {
  const { stdout } = await evaluate(AGENT)
  expect(JSON.parse(stdout)).toEqual({
    code: 'DEFINITION_INVALID',
    message: 'agent step "write" needs the package "ai", which is not installed: npm install ai',
  })
})

test('npx kern schema prints the schema of the repository', async () => {
  const { stdout } = await run('npx', ['--no-install', 'kern', 'schema'], app)
  expect(stdout).toBe(await readFile(join(root, 'schema', 'schema.graphql'), 'utf8'))
})

test('kern migrate makes the tables in an empty Postgres database, and kern start serves a workflow in TypeScript from it', async () => {
  const url = await emptyDatabase()
  const kern = (...args: readonly string[]) => [join(app, 'node_modules', '.bin', 'kern'), ...args, '--database', url]
  const refused = run(process.execPath, kern('start', '--workflows', 'flow.ts', '--port', '0'), app)
  await expect(refused).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('Run `kern migrate`') })
  const { stdout } = await run(process.execPath, kern('migrate'), app)
  expect(stdout).toMatch(/is migrated\.\n$/)

  const args = kern('start', '--workflows', 'flow.ts', '--port', '0')
  const server = spawn(process.execPath, args, { cwd: app, env: environment(), stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(server, 'exit')
  try {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    createInterface({ input: server.stdout }).on('line', (line) => {
      const { msg, graphql } = JSON.parse(line)
      if (msg === 'Kern listens') resolve(graphql)
    })
    server.once('exit', (code) => reject(new Error(`kern start ended with ${code} before it listened`)))
    const response = await fetch(await promise, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        query: `mutation { runWorkflow(input: { workflowId: "shouter", input: { text: "hi" }, waitMs: 10000 }) {
          ... on RunPayload { run { status output } }
        } }`,
      }),
    })
    const run = { status: 'COMPLETED', output: { loud: 'HI', length: 2 } }
    expect(await response.json()).toEqual({ data: { runWorkflow: { run } } })
    server.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  } finally {
    server.kill('SIGKILL')
    await exited
  }
}, 60_000)

async function emptyDatabase(): Promise<string> {
  const database = await freshPostgres()
  if (database.kind !== 'postgres') throw new Error('not a Postgres database')
  await using opened = await openDatabase(database)
  await rows(opened.db, sql`drop schema kern cascade`)
  return database.url
}
