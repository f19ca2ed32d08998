import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { loadWorkflows } from '../../src/cli/load.ts'
import { isKernError } from '../../src/errors.ts'

/** A folder with these files, gone at the end of the test. */
async function folderOf(files: Record<string, string>): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'kern-load-'))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true })
    await writeFile(join(path, name), text)
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

function workflow(id: string): string {
  return `{ definition: { kind: 'workflow', id: '${id}' } }`
}

async function idsOf(files: Record<string, string>, paths: readonly string[]): Promise<string[]> {
  await using folder = await folderOf(files)
  return (await loadWorkflows(paths, folder.path)).map(({ definition }) => definition.id)
}

async function refusal(files: Record<string, string>, paths: readonly string[]): Promise<string> {
  try {
    return `loaded ${String(await idsOf(files, paths))}`
  } catch (error) {
    if (!isKernError(error, 'CONFIG_INVALID')) throw error
    return error.message
  }
}

const LOAD = join(import.meta.dirname, '..', '..', 'src', 'cli', 'load.ts')

/** In a process of its own: vitest reads TypeScript by another compiler, and finds other faults than Node. */
async function refusalByNode(files: Record<string, string>): Promise<string> {
  await using folder = await folderOf(files)
  const script = `
    import { loadWorkflows } from ${JSON.stringify(LOAD)}
    await loadWorkflows(['.']).then(() => console.log('loaded'), ({ message }) => console.log(message))`
  const args = ['--input-type=module', '--eval', script]
  return (await promisify(execFile)(process.execPath, args, { cwd: folder.path })).stdout
}

test('every workflow that a file exports is loaded: by name, as default, and in arrays', async () => {
  const text = `
    export const one = ${workflow('one')}
    export default ${workflow('two')}
    export const more = [${workflow('three')}, ${workflow('four')}]
    export const other = { definition: { kind: 'step' } }
    export const nothing = null
    export function helper() {}
  `
  expect((await idsOf({ 'flows.js': text }, ['flows.js'])).toSorted()).toEqual(['four', 'one', 'three', 'two'])
})

test('TypeScript is loaded as it is', async () => {
  const text = `const id: string = 'typed'\nexport const flow = { definition: { kind: 'workflow', id } as const }`
  expect(await idsOf({ 'flow.ts': text, 'flow.mts': text }, ['flow.ts'])).toEqual(['typed'])
})

test('of a folder the files at its top level are loaded in order of name, without types and tests', async () => {
  const files = {
    'flows/b.ts': `export const b = ${workflow('b')}`,
    'flows/a.mjs': `export const a = ${workflow('a')}`,
    'flows/a.d.ts': 'export const broken: never = null.',
    'flows/a.test.ts': 'throw new Error()',
    'flows/notes.md': 'no code',
    'flows/inner/c.ts': `export const c = ${workflow('c')}`,
  }
  expect(await idsOf(files, ['flows'])).toEqual(['a', 'b'])
})

test('the same workflow exported twice counts once', async () => {
  const files = {
    'a.js': `export const a = ${workflow('a')}; export default a`,
    'b.js': `export { a as b } from './a.js'`,
  }
  expect(await idsOf(files, ['a.js', 'b.js', '.', 'a.js'])).toEqual(['a'])
})

test('a file that fails to load is named with the reason', async () => {
  const message = await refusal({ 'flows/bad.ts': 'throw new TypeError("the key is missing")' }, ['flows'])
  expect(message).toContain(join('flows', 'bad.ts'))
  expect(message).toContain('TypeError: the key is missing')
})

test.each([
  ['a fault in the syntax', { 'bad.ts': 'const a = 1\nconst b = {\n  c: 1\n  d: 2 }' }, '(bad.ts:4)'],
  [
    'one in a file that it imports',
    { 'a.ts': `import './in/b.ts'`, 'in/b.ts': '\nlet = = 1' },
    `(${join('in', 'b.ts')}:2)`,
  ],
  ['an import of what is not there', { 'a.mjs': `\nimport { nope } from 'node:fs'` }, '(a.mjs:2)'],
  ['an error that it throws', { 'a.mjs': '\n\nthrow new TypeError("oh:1")' }, 'TypeError: oh:1 (a.mjs:3)'],
])('a file that fails to load is named with the line: %s', async (_what, files: Record<string, string>, place) => {
  expect(await refusalByNode(files)).toContain(place)
})

test.each([
  ['an enum', 'export enum Colour { Red }'],
  ['a parameter property', 'export class Point { constructor(readonly x: number) {} }'],
  ['a namespace', 'export namespace Names { export const one = 1 }'],
])('TypeScript that is more than types is refused with what Node does not take: %s', async (_what, text) => {
  const message = await refusalByNode({ 'flow.ts': `const a = 1\n${text}` })
  expect(message).toContain('(flow.ts:2). Node runs TypeScript by leaving out the types: it takes no enums')
})

test('a path that does not exist is named', async () => {
  expect(await refusal({}, ['nowhere'])).toContain('workflows is "nowhere", which does not exist')
})

test('a file of another kind is refused', async () => {
  expect(await refusal({ 'flow.json': '{}' }, ['flow.json'])).toContain(
    'allowed are files that end in .ts, .mts, .js, .mjs',
  )
})

test.each([
  ['files without one', { 'a.js': 'export const a = 1' }, ['a.js']],
  ['an empty folder', { 'empty/readme.md': '' }, ['empty']],
  ['no path', {}, []],
])('no workflow at all is refused: %s', async (_what, files: Record<string, string>, paths) => {
  expect(await refusal(files, paths)).toContain('no workflow found')
})

test('files without a workflow are counted', async () => {
  expect(await refusal({ 'a.js': '' }, ['a.js'])).toContain('in "a.js" (1 file):')
  expect(await refusal({ 'a.js': '', 'b.js': '' }, ['.'])).toContain('in "." (2 files):')
})
