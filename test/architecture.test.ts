import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, posix, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

/**
 * The rooms of the house and their levels. A file may import from rooms of lower levels and from its own room; rooms of
 * one level do not know each other. The longest prefix of a path says which room a file is in.
 */
const ROOMS: Readonly<Record<string, number>> = {
  'src/errors.ts': 0,
  'src/ids.ts': 0,
  'src/clock.ts': 0,
  'src/json.ts': 0,
  'src/viewer.ts': 0,
  'src/settings.ts': 0.5,
  'src/log.ts': 1,
  'src/config.ts': 1,
  'src/workflow/': 1,
  'src/session/': 1,
  'src/engine/': 2,
  'src/db/': 3,
  'src/store/': 4,
  'src/dispatch/': 4,
  'src/events/': 4,
  'schema/': 5,
  'src/server/': 6,
  'src/wiring/': 7,
  'src/kern.ts': 7.5,
  'src/author.ts': 8,
  'src/testing/': 8,
  'src/index.ts': 8.5,
  'src/cli/': 8.5,
}

/** The files of level 0 may import each other; the cycle test keeps them in order. */
const SHARED_LEVEL = 0

/** These know nothing of the server, and the server nothing of them. */
const APART = ['src/client/', 'src/console/']

const MAX_LINES = 300

/** Files that may be longer, each with its reason. */
const LONGER: Readonly<Record<string, string>> = {}

const root = join(import.meta.dirname, '..')

interface SourceFile {
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
}

function list(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
}

/** The relative imports of a file, static or dynamic, of values or types, as paths from the root. */
function importsOf(path: string, text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\1/g
  return [...code.matchAll(pattern)].map(([, , target = '']) => posix.join(dirname(path), target))
}

function roomOf(path: string): string | undefined {
  return Object.keys(ROOMS)
    .filter((room) => (room.endsWith('/') ? path.startsWith(room) : path === room))
    .sort((a, b) => b.length - a.length)[0]
}

/** What is wrong with an import of one file by another; undefined if it is allowed. */
function breach(from: string, to: string): string | undefined {
  const apart = [from, to].map((path) => APART.find((prefix) => path.startsWith(prefix)))
  if (apart[0] !== apart[1]) return `${from} imports ${to}: ${apart[0] ?? apart[1]} stands apart`
  if (apart[0] !== undefined) return undefined
  const [here, there] = [roomOf(from), roomOf(to)]
  if (here === undefined || there === undefined) return `${here ? to : from} is in no room`
  const [level, below] = [ROOMS[here] ?? Number.NaN, ROOMS[there] ?? Number.NaN]
  if (here === there || below < level || (level === SHARED_LEVEL && below === SHARED_LEVEL)) return undefined
  return `${from} (level ${level}) imports ${to} (level ${below})`
}

/** The first cycle of imports that is found, as its files in order; undefined if there is none. */
function cycleIn(files: readonly SourceFile[]): string[] | undefined {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return undefined
    for (const next of byPath.get(path)?.imports ?? []) {
      const cycle = visit(next, [...trail, path])
      if (cycle) return cycle
    }
    done.add(path)
    return undefined
  }
  for (const { path } of files) {
    const cycle = visit(path, [])
    if (cycle) return cycle
  }
  return undefined
}

const files: readonly SourceFile[] = [...list('src'), ...list('schema')].map((path) => {
  const text = readFileSync(join(root, path), 'utf8')
  return { path, text, imports: importsOf(path, text) }
})

describe('the sources', () => {
  test('are all seen by these tests', () => {
    const found = execFileSync(
      'find',
      ['src', 'schema', '-type', 'f', '(', '-name', '*.ts', '-o', '-name', '*.tsx', ')'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    )
    expect(files.map(({ path }) => path).sort()).toEqual(found.trim().split('\n').sort())
  })

  test('import only what exists', () => {
    const missing = files.flatMap(({ path, imports }) =>
      imports.filter((target) => !existsSync(join(root, target))).map((target) => `${path} imports ${target}`),
    )
    expect(missing).toEqual([])
  })

  test('import only from rooms below them and from their own', () => {
    const breaches = files.flatMap(({ path, imports }) =>
      imports.map((target) => breach(path, target)).filter((found) => found !== undefined),
    )
    expect(breaches).toEqual([])
  })

  test('import each other in no cycle', () => {
    expect(cycleIn(files)).toBeUndefined()
  })

  test('read the environment in src/config.ts only', () => {
    const readers = files
      .filter(({ text }) => /\bprocess\s*(\.\s*env|\[\s*['"]env)\b/.test(text))
      .map(({ path }) => path)
    expect(readers).toEqual(['src/config.ts'])
  })

  test(`have at most ${MAX_LINES} lines`, () => {
    const long = files.filter(({ text }) => text.split('\n').length - 1 > MAX_LINES).map(({ path }) => path)
    expect(long).toEqual(Object.keys(LONGER))
  })
})

describe('this test', () => {
  test('sees imports and exports of values and types, static and dynamic, over several lines', () => {
    const text = [
      `import { a } from './a.ts'`,
      `import type { b } from "../b.ts"`,
      `export * from './c.ts'`,
      `import {\n  d,\n} from './d.ts'`,
      `import './e.ts'`,
      `const f = await import('./f.ts')`,
      `// import { g } from './g.ts'`,
    ].join('\n')
    const seen = importsOf('src/x/y.ts', text)
    expect(seen).toEqual(['src/x/a.ts', 'src/b.ts', 'src/x/c.ts', 'src/x/d.ts', 'src/x/e.ts', 'src/x/f.ts'])
  })

  test('finds imports upwards, sideways, out of every room, and into what stands apart', () => {
    expect(breach('src/workflow/a.ts', 'src/errors.ts')).toBeUndefined()
    expect(breach('src/workflow/a.ts', 'src/workflow/b.ts')).toBeUndefined()
    expect(breach('src/workflow/a.ts', 'src/engine/b.ts')).toContain('level 2')
    expect(breach('src/store/a.ts', 'src/events/b.ts')).toContain('level 4')
    expect(breach('src/store/a.ts', 'src/attic/b.ts')).toContain('in no room')
    expect(breach('src/server/a.ts', 'src/client/b.ts')).toContain('stands apart')
    expect(breach('src/client/a.ts', 'src/errors.ts')).toContain('stands apart')
  })

  test('finds a cycle', () => {
    const file = (path: string, ...imports: string[]): SourceFile => ({ path, text: '', imports })
    expect(cycleIn([file('a', 'b'), file('b', 'c'), file('c', 'b')])).toEqual(['b', 'c', 'b'])
    expect(cycleIn([file('a', 'b', 'c'), file('b', 'c'), file('c')])).toBeUndefined()
  })
})
