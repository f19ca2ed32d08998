import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
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
