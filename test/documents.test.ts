import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.ts'

const root = join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(join(root, file), 'utf8')

describe('README.md', () => {
  const readme = read('README.md')

  test('quotes the examples as they are', () => {
    const examples = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.ts'))
    const sources = examples.map((name) => read(`examples/${name}`))
    const quotes = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)
    expect(quotes.length).toBeGreaterThan(3)
    expect(quotes.filter((quote) => !sources.some((source) => source.includes(quote)))).toEqual([])
    expect(quotes).toContain(read('examples/hello.ts'))
  })

  test('has every kind of step in its table, and no other', () => {
    const documented = [...readme.matchAll(/^\| `(\w+)\(/gm)].map(([, name = '']) => name)
    const exported = [...read('src/index.ts').matchAll(/^export \{([^}]*)\} from '\.\/workflow\//gm)]
    const values = exported.flatMap(([, names = '']) => names.match(/(?<!type )\b[a-z]\w+(?=\s*(,|$))/g) ?? [])
    expect(values).toContain('parallel')
    expect(documented.toSorted()).toEqual(values.toSorted())
  })

  test('has every setting of the environment in its table, and no other', () => {
    const documented = [...readme.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, name = '']) => name)
    expect(documented.join(', ')).not.toBe('')
    // The refusal of an unknown setting lists those that there are.
    expect(() => readConfig({ KERN_UNKNOWN: '1' })).toThrow(`allowed are ${documented.join(', ')}`)
  })
})

describe('ARCHITECTURE.md', () => {
  const text = read('ARCHITECTURE.md')

  test('has the rooms that the architecture test has', () => {
    const documented = [...text.matchAll(/^\| \d \|([^|]+)\|/gm)].flatMap(
      ([row]) => row.match(/(?:src|schema)\/[\w.]*\/?/g) ?? [],
    )
    const held = [...read('test/architecture.test.ts').matchAll(/^ {2}'([^']+)': [\d.]+,$/gm)].map(
      ([, room = '']) => room,
    )
    expect(held.length).toBeGreaterThan(15)
    expect(documented.toSorted()).toEqual(held.toSorted())
  })

  test('names tests that exist', () => {
    const named = [...text.matchAll(/`(test\/[\w./-]+)`: "([^"]+)"/g)].map(([, file = '', title = '']) => ({
      file,
      title,
    }))
    expect(named.length).toBeGreaterThan(10)
    expect(named.filter(({ file, title }) => !existsSync(join(root, file)) || !read(file).includes(title))).toEqual([])
  })
})

test.each([
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'examples/README.md',
  'examples/data/README.md',
])('%s links to files that exist', (document) => {
  const links = [...read(document).matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, target = '']) => target)
  expect(links.filter((target) => !existsSync(join(root, dirname(document), target)))).toEqual([])
})

test('CONTRIBUTING.md knows the scripts that there are', () => {
  const { scripts } = JSON.parse(read('package.json'))
  const named = [...read('CONTRIBUTING.md').matchAll(/`npm (?:run )?([\w:]+)`/g)].map(([, name = '']) => name)
  expect(named).toEqual(expect.arrayContaining(['check', 'test', 'schema']))
  expect(named.filter((name) => name !== 'install' && name !== 'pack' && !(name in scripts))).toEqual([])
})
