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
import type { StepContext } from '../../../src/workflow/context.ts'
import { sequence } from '../../../src/workflow/sequence.ts'
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
})
