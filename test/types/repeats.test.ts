import { describe, expectTypeOf, test } from 'vitest'
import type { ReadContext, StepContext } from '../../src/workflow/context.ts'
import type { LoopContext } from '../../src/workflow/definition.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

interface Draft {
  text: string
  score: number
}
const draft = step('draft', ({ input }: StepContext<{ topic: string }>) => ({ text: input.topic, score: 0 }))
const critique = step('critique', ({ input }: StepContext<Draft>): Draft => ({ ...input, score: input.score + 1 }))
const topics = step('topics', () => [{ topic: 'a' }, { topic: 'b' }])

describe('a loop', () => {
  test('accepts what its first step does and yields what its last one does', () => {
    const refine = loop('refine', {
      steps: [draft, critique],
      until: ({ input, output, iteration }) => {
        expectTypeOf(input).branded.toEqualTypeOf<{ topic: string }>()
        expectTypeOf(output).toEqualTypeOf<Draft>()
        return output.score > 0.9 || iteration > 3
      },
      maxIterations: 5,
    })
    expectTypeOf<AcceptedBy<typeof refine>>().branded.toEqualTypeOf<{ topic: string }>()
    expectTypeOf<OutputOf<typeof refine>>().toEqualTypeOf<Draft>()
  })

  test('needs a bound, and a decision that is a yes or no', () => {
    // @ts-expect-error maxIterations is missing
    const endless = () => loop('refine', { steps: [critique] })
    expectTypeOf(endless).not.toBeAny()
    // @ts-expect-error a score is no yes or no
    loop('refine', { steps: [critique], until: ({ output }) => output.score, maxIterations: 5 })
    // @ts-expect-error the output has no grade
    loop('refine', { steps: [critique], until: ({ output }) => output.grade, maxIterations: 5 })
  })

  test('that carries its output must accept it', () => {
    const refine = loop('refine', { steps: [critique], maxIterations: 5, carry: true })
    expectTypeOf<OutputOf<typeof refine>>().toEqualTypeOf<Draft>()
    loop('refine', { steps: [draft, critique], maxIterations: 5, carry: false })
    // @ts-expect-error draft does not accept what critique yields
    loop('refine', { steps: [draft, critique], maxIterations: 5, carry: true })
    // @ts-expect-error it may be true
    loop('refine', { steps: [draft, critique], maxIterations: 5, carry: Math.random() > 1 })
  })

  test('is typed by what its function says that it takes', () => {
    const any = step('any', () => 1)
    const refine = loop('refine', {
      steps: [any],
      until: ({ input, output }: LoopContext<{ goal: number }, number>) => output > input.goal,
      maxIterations: 5,
    })
    expectTypeOf<AcceptedBy<typeof refine>>().toEqualTypeOf<{ goal: number }>()
    // @ts-expect-error what critique yields has no goal
    defineWorkflow({ name: 'whole', steps: [critique, refine] })
    // @ts-expect-error the output is a number
    loop('refine', { steps: [any], until: ({ output }: LoopContext<number, string>) => !output, maxIterations: 5 })
  })

  test('may not have neighbours that do not fit', () => {
    // @ts-expect-error draft does not accept a draft
    loop('refine', { steps: [critique, draft], maxIterations: 5 })
  })
})

describe('a map', () => {
  test('without items accepts a list of what its first step does and yields a list of what its last one does', () => {
    const each = map('each', { steps: [draft, critique], concurrency: 4 })
    expectTypeOf<AcceptedBy<typeof each>>().toEqualTypeOf<readonly { topic: string }[]>()
    expectTypeOf<OutputOf<typeof each>>().toEqualTypeOf<Draft[]>()
    const whole = defineWorkflow({ name: 'whole', steps: [topics, each] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<Draft[]>()
    // @ts-expect-error a draft is no list
    defineWorkflow({ name: 'whole', steps: [critique, each] })
  })

  test('with items is typed by what its function takes and gives', () => {
    const each = map('each', {
      items: ({ input }: ReadContext<{ urls: readonly string[] }>) => input.urls.map((url) => ({ topic: url })),
      steps: [draft],
    })
    expectTypeOf<AcceptedBy<typeof each>>().toEqualTypeOf<{ urls: readonly string[] }>()
    expectTypeOf<OutputOf<typeof each>>().toEqualTypeOf<{ text: string; score: number }[]>()
    map('each', { items: async () => [{ topic: 'a' }], steps: [draft] })
    map('each', { items: ({ outputOf }) => outputOf(topics), steps: [draft] })
  })

  test('may not have items that its first step does not accept, or that are no list', () => {
    // @ts-expect-error draft does not accept a number
    map('each', { items: () => [1, 2], steps: [draft] })
    // @ts-expect-error an object is no list
    map('each', { items: () => ({ topic: 'a' }), steps: [draft] })
    // @ts-expect-error draft does not accept a draft
    map('each', { steps: [critique, draft] })
  })
})
