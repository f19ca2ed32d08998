import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

// The compiler skips folders whose names begin with a dot, unless they are named: other runs of it do not see these.
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(import.meta.dirname, '.compile-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const TSC = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')

/** Compiles a source by the project's rules. */
async function compile(name: string, source: string): Promise<{ readonly ok: boolean; readonly text: string }> {
  const project = join(folder, `${name}.json`)
  await writeFile(join(folder, `${name}.ts`), source)
  await writeFile(project, JSON.stringify({ extends: '../../../tsconfig.json', include: [`./${name}.ts`] }))
  return new Promise((resolve) => {
    execFile(process.execPath, [TSC, '-p', project, '--extendedDiagnostics', '--pretty', 'false'], (error, stdout) => {
      resolve({ ok: error === null, text: stdout })
    })
  })
}

// Measured: see what the test prints. A recursive type, or one that looks at all earlier steps, takes far more.
const MOST_INSTANTIATIONS = 60_000
const MOST_FOR_A_STEP = 1_000

const IMPORTS = `
import { z } from 'zod'
import type { StepsByPath } from '../../../src/engine/typedSteps.ts'
import { approval } from '../../../src/workflow/approval.ts'
import { condition } from '../../../src/workflow/condition.ts'
import type { ReadContext, StepContext } from '../../../src/workflow/context.ts'
import { loop } from '../../../src/workflow/loop.ts'
import { map } from '../../../src/workflow/map.ts'
import { parallel } from '../../../src/workflow/parallel.ts'
import { router } from '../../../src/workflow/router.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
import { sleep } from '../../../src/workflow/sleep.ts'
import { step } from '../../../src/workflow/step.ts'
import { defineWorkflow } from '../../../src/workflow/workflow.ts'
`

/** Steps n0, n1 …, each of which gets an object with the number that the one before it made, and a workflow of them. */
function chainOf(length: number): string {
  const steps = Array.from({ length }, (_, n) =>
    n % 2 === 0
      ? `const n${n} = step({
  name: 'n${n}',
  input: z.object({ k${n}: z.number(), note: z.string().default('') }),
  run: async ({ input }) => ({ k${n + 1}: input.k${n} + input.note.length, list: [input.note] }),
})`
      : `const n${n} = step('n${n}', ({ input }: StepContext<{ k${n}: number }>) => ({ k${n + 1}: input.k${n} }))`,
  )
  const names = Array.from({ length }, (_, n) => `n${n}`).join(', ')
  return `${IMPORTS}${steps.join('\n')}
const whole = defineWorkflow({ name: 'whole', input: z.object({ k0: z.number() }), steps: [${names}] })
type Output = ReturnType<NonNullable<(typeof whole)['~output']>>
export const last: Output extends { k${length}: number } ? true : false = true
`
}

/** Twenty nodes of all kinds in a sequence, which takes and gives `{ k: number }`. */
function groupOf(n: number): string {
  return `
const plus${n} = step('plus${n}', ({ input }: StepContext<{ k: number }>) => ({ k: input.k + 1, group${n}: 'text' }))
const times${n} = step({
  name: 'times${n}',
  onError: 'skip',
  input: z.object({ k: z.number(), note: z.string().default('') }),
  run: async ({ input }) => ({ k: input.k * 2, list${n}: [input.note] }),
})
const list${n} = step('list${n}', ({ input }: StepContext<{ k: number }>) => [{ k: input.k }])
const sum${n} = step('sum${n}', ({ input }: StepContext<{ k: number }[]>) => ({ k: input.length }))
const group${n} = sequence('group${n}', [
  plus${n},
  sequence('inner', [plus${n}, sleep('rest', 1), times${n}]),
  parallel('both', [plus${n}, sequence('deep', [times${n}, plus${n}])]),
  step('joined', ({ input }: StepContext<{ plus${n}: { k: number }; deep: { k: number } }>) => ({
    k: input.plus${n}.k + input.deep.k,
  })),
  condition('enough', { if: ({ input }) => input.k > 2, then: [], else: [times${n}] }),
  sleep('rest', '1s'),
  router('route', { select: ({ input }) => (input.k > 2 ? 'plus${n}' : 'times${n}'), choices: [plus${n}, times${n}] }),
  loop('refine', { steps: [plus${n}], until: ({ output }) => output.k > 9, maxIterations: 5, carry: true }),
  list${n},
  map('each', { steps: [plus${n}, times${n}] }),
  sum${n},
  approval('ok', { prompt: ({ input }: ReadContext<{ k: number }>) => String(input.k) }),
  step('unpacked', ({ input }: StepContext<{ input: { k: number } }>) => input.input),
])`
}

/** A workflow of groups, and the types of two of its results. */
function treeOf(groups: number): string {
  const numbers = Array.from({ length: groups }, (_, n) => n)
  const last = `group${groups - 1}`
  return `${IMPORTS}${numbers.map(groupOf).join('')}
const groups = [${numbers.map((n) => `group${n}`).join(', ')}] as const
const whole = defineWorkflow({ name: 'whole', steps: groups })
type Output = ReturnType<NonNullable<(typeof whole)['~output']>>
export const output: Output extends { k: number } ? true : false = true
export function read(steps: StepsByPath<typeof groups>) {
  const typed: string | undefined = steps['${last}/refine[2]/plus${groups - 1}']?.output?.${last}
  // @ts-expect-error it is a number
  const wrong: string | undefined = steps['${last}/route']?.output?.k
  return [typed, wrong]
}
`
}

function instantiations(text: string): number {
  return Number(/^Instantiations:\s+(\d+)/m.exec(text)?.[1] ?? Number.NaN)
}

describe('the compiler', () => {
  test('checks a workflow of 60 steps at a cost that grows with their number only', async () => {
    const [few, many] = [await compile('few', chainOf(10)), await compile('many', chainOf(60))]
    expect(few, few.text).toMatchObject({ ok: true })
    expect(many, many.text).toMatchObject({ ok: true })
    const step = (instantiations(many.text) - instantiations(few.text)) / 50
    process.stdout.write(
      `instantiations: ${instantiations(many.text)} for 60 steps, ${Math.round(step)} for one more\n`,
    )
    expect(instantiations(many.text)).toBeLessThan(MOST_INSTANTIATIONS)
    expect(step).toBeLessThan(MOST_FOR_A_STEP)
  })

  test('checks a workflow with nested steps of all kinds, and its results, at a cost that grows with their number', async () => {
    const [few, many] = [await compile('one-group', treeOf(1)), await compile('three-groups', treeOf(3))]
    expect(few, few.text).toMatchObject({ ok: true })
    expect(many, many.text).toMatchObject({ ok: true })
    const node = (instantiations(many.text) - instantiations(few.text)) / 40
    process.stdout.write(
      `instantiations: ${instantiations(many.text)} for 60 nested nodes, ${Math.round(node)} for one more\n`,
    )
    expect(instantiations(many.text)).toBeLessThan(MOST_INSTANTIATIONS)
    expect(node).toBeLessThan(MOST_FOR_A_STEP)
  })

  test('names both steps and both types where neighbours do not fit', async () => {
    const { ok, text } = await compile(
      'neighbours',
      `${IMPORTS}
const load = step('load', () => ({ pages: 3 }))
const write = step('write', ({ input }: StepContext<{ title: string }>) => input.title)
export const article = defineWorkflow({ name: 'article', steps: [load, write] })
`,
    )
    expect(ok).toBe(false)
    expect(text).toContain('kern: step \\"write\\" does not accept the output of step \\"load\\"')
    expect(text).toContain('{ title: string; }')
    expect(text).toContain('{ pages: number; }')
    expect(text.match(/error TS/g)).toHaveLength(1)
    expect(text).not.toContain('never')
  })

  test('names the step and both types where the first step does not fit the input of the run', async () => {
    const { ok, text } = await compile(
      'start',
      `${IMPORTS}
const write = step('write', ({ input }: StepContext<{ title: string }>) => input.title)
export const article = defineWorkflow({ name: 'article', input: z.object({ topic: z.number() }), steps: [write] })
`,
    )
    expect(ok).toBe(false)
    expect(text).toContain('kern: step \\"write\\" does not accept the input of the run')
    expect(text).toContain('{ title: string; }')
    expect(text).toContain('{ topic: number; }')
  })

  test('names a sequence that does not fit, and neighbours inside one', async () => {
    const { text } = await compile(
      'sequences',
      `${IMPORTS}
const load = step('load', () => ({ pages: 3 }))
const write = step('write', ({ input }: StepContext<{ title: string }>) => input.title)
export const inner = sequence('inner', [load, write])
export const outer = defineWorkflow({ name: 'outer', steps: [load, sequence('end', [write])] })
`,
    )
    expect(text.match(/error TS/g)).toHaveLength(2)
    expect(text).toContain('kern: step \\"write\\" does not accept the output of step \\"load\\"')
    expect(text).toContain('kern: step \\"end\\" does not accept the output of step \\"load\\"')
  })

  test('names a parallel whose output does not fit, with the type of each of its steps', async () => {
    const { text } = await compile(
      'parallels',
      `${IMPORTS}
const web = step('web', () => ({ pages: 3 }))
const papers = step('papers', () => 'text')
const write = step('write', ({ input }: StepContext<{ web: { title: string } }>) => input.web.title)
export const article = defineWorkflow({ name: 'article', steps: [parallel('gather', [web, papers]), write] })
`,
    )
    expect(text.match(/error TS/g)).toHaveLength(1)
    expect(text).toContain('kern: step \\"write\\" does not accept the output of step \\"gather\\"')
    expect(text).toContain('{ web: { title: string; }; }')
    expect(text).toContain('web: { pages: number; }; }')
    expect(text).toContain('papers: string;')
    expect(text).not.toContain('never')
  })

  test('names the first step of a loop that cannot take the output that is carried, and that of a map its items', async () => {
    const { text } = await compile(
      'repeats',
      `${IMPORTS}
const draft = step('draft', ({ input }: StepContext<{ topic: string }>) => ({ text: input.topic }))
const critique = step('critique', ({ input }: StepContext<{ text: string }>) => ({ grade: input.text.length }))
export const refine = loop('refine', { steps: [draft, critique], maxIterations: 3, carry: true })
export const each = map('each', { items: () => ['topic'], steps: [draft] })
`,
    )
    expect(text.match(/error TS/g)).toHaveLength(2)
    expect(text).toContain('kern: step \\"draft\\" does not accept the output of the iteration before it (carry)')
    expect(text).toContain('{ grade: number; }')
    expect(text).toContain('kern: step \\"draft\\" does not accept the items of the map')
    expect(text).toContain('{ topic: string; }')
  })

  test('names the choices that a router does not have, and has', async () => {
    const { text } = await compile(
      'routers',
      `${IMPORTS}
const [short, long] = [step('short', () => 1), step('long', () => 2)]
export const route = router('route', { select: () => 'medium', choices: [short, long] })
`,
    )
    expect(text.match(/error TS/g)).toHaveLength(1)
    expect(text).toContain('"medium"')
    expect(text).toMatch(/"(short|long)" \| "(short|long)"/)
  })
})
