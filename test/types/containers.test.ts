import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { condition } from '../../src/workflow/condition.ts'
import type { ReadContext, StepContext } from '../../src/workflow/context.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

const web = step('web', ({ input }: StepContext<{ topic: string }>) => ({ pages: input.topic.length }))
const papers = step('papers', async ({ input }: StepContext<{ year: number }>) => [input.year])
const note = step('note', () => 'text')
const deepen = step('deepen', ({ input }: StepContext<{ pages: number }>) => ({ ...input, deep: true }))
const publish = step('publish', ({ input }: StepContext<{ pages: number; title: string }>) => input.title)

describe('parallel', () => {
  test('accepts what all its steps accept and yields an object by their names', () => {
    const gather = parallel('gather', [web, papers, note], { concurrency: 2, failFast: false })
    expectTypeOf<AcceptedBy<typeof gather>>().branded.toEqualTypeOf<{ topic: string; year: number }>()
    expectTypeOf<OutputOf<typeof gather>>().toEqualTypeOf<{ web: { pages: number }; papers: number[]; note: string }>()
    step('reader', ({ outputOf }) => expectTypeOf(outputOf(gather).papers).toEqualTypeOf<number[]>())
  })

  test('fits what it is given and what follows as any step does', () => {
    const gather = parallel('gather', [web, note])
    const write = step('write', ({ input }: StepContext<{ web: { pages: number } }>) => input.web.pages)
    const whole = defineWorkflow({ name: 'whole', input: z.object({ topic: z.string() }), steps: [gather, write] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<number>()
    // @ts-expect-error web wants a topic
    defineWorkflow({ name: 'whole', input: z.object({ year: z.number() }), steps: [gather] })
    // @ts-expect-error papers has no pages
    defineWorkflow({ name: 'whole', steps: [parallel('gather', [papers]), write] })
  })

  test('of a list of steps of one type yields an object of their output', () => {
    const many = parallel(
      'many',
      ['a', 'b'].map((name) => step(name, ({ input }: StepContext<number>) => String(input))),
    )
    expectTypeOf<AcceptedBy<typeof many>>().toEqualTypeOf<number>()
    expectTypeOf<OutputOf<typeof many>>().toEqualTypeOf<{ [x: string]: string }>()
  })

  test('has no other options', () => {
    // @ts-expect-error the option is called failFast
    const wrong = () => parallel('gather', [web], { failfast: true })
    // @ts-expect-error a step is no name
    const text = () => parallel('gather', ['web'])
    expectTypeOf([wrong, text]).not.toBeAny()
  })
})

describe('a condition', () => {
  test('yields what either list does and accepts what both do', () => {
    const enough = condition('enough', {
      if: ({ input }) => {
        expectTypeOf(input).branded.toEqualTypeOf<{ pages: number; title: string }>()
        return input.pages > 2
      },
      then: [publish],
      else: [deepen],
    })
    expectTypeOf<AcceptedBy<typeof enough>>().branded.toEqualTypeOf<{ pages: number; title: string }>()
    expectTypeOf<OutputOf<typeof enough>>().toEqualTypeOf<string | { deep: boolean; pages: number }>()
  })

  test('passes its input on where a list is empty or left out', () => {
    const empty = condition('enough', { if: ({ input }) => input.pages > 2, then: [], else: [deepen] })
    const absent = condition('enough', { if: ({ input }) => input.pages > 2, else: [deepen] })
    const search = step('search', () => ({ pages: 3, title: 'text' }))
    const write = step('write', ({ input }: StepContext<{ pages: number }>) => input.pages)
    defineWorkflow({ name: 'whole', steps: [search, empty, write] })
    const whole = defineWorkflow({ name: 'whole', steps: [search, absent] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<
      { pages: number; title: string } | { deep: boolean; pages: number }
    >()
    expectTypeOf<OutputOf<typeof absent>>().toEqualTypeOf<{ pages: number } | { deep: boolean; pages: number }>()
    // @ts-expect-error what deepen yields has no title
    defineWorkflow({ name: 'whole', steps: [search, empty, publish] })
  })

  test('is typed by what its function says that it takes', () => {
    const enough = condition('enough', {
      if: async ({ input, state }: ReadContext<{ pages: number }, { visits: number }>) => input.pages > state.visits,
      then: [note],
    })
    expectTypeOf<AcceptedBy<typeof enough>>().toEqualTypeOf<{ pages: number }>()
    expectTypeOf<OutputOf<typeof enough>>().toEqualTypeOf<string | { pages: number }>()
    // @ts-expect-error a list of numbers has no pages
    defineWorkflow({ name: 'whole', steps: [papers, enough] })
  })

  test('gives its function no means to change anything, and needs a yes or no', () => {
    condition('enough', {
      // @ts-expect-error only steps change the state
      if: ({ setState }) => setState === undefined,
      then: [note],
    })
    // @ts-expect-error a number is no yes or no
    condition('enough', { if: () => 1, then: [note] })
    // @ts-expect-error an if is needed
    const without = () => condition('enough', { then: [note] })
    expectTypeOf(without).not.toBeAny()
  })

  test('may not have neighbours that do not fit in a list', () => {
    // @ts-expect-error deepen does not accept text
    condition('enough', { if: () => true, then: [note, deepen] })
    // @ts-expect-error deepen does not accept text
    condition('enough', { if: () => true, then: [note], else: [note, deepen] })
  })
})

describe('a router', () => {
  const short = step('short', ({ input }: StepContext<{ kind: 'short' | 'long' }>) => input.kind)
  const long = step('long', ({ input }: StepContext<{ text: string }>) => input.text.length)

  test('yields what any of its choices does and accepts what all do', () => {
    const route = router('route', {
      select: ({ input }) => {
        expectTypeOf(input).branded.toEqualTypeOf<{ kind: 'short' | 'long'; text: string }>()
        return input.kind
      },
      choices: [short, long],
    })
    expectTypeOf<AcceptedBy<typeof route>>().branded.toEqualTypeOf<{ kind: 'short' | 'long'; text: string }>()
    expectTypeOf<OutputOf<typeof route>>().toEqualTypeOf<'short' | 'long' | number>()
  })

  test('selects names of its choices and no others', () => {
    router('route', { select: ({ input }) => (input.text === '' ? 'short' : 'long'), choices: [short, long] })
    router('route', { select: async () => 'long', choices: [short, long] })
    // @ts-expect-error there is no such choice
    router('route', { select: () => 'medium', choices: [short, long] })
    // @ts-expect-error there is no such choice
    router('route', { select: async () => 'medium', choices: [short, long] })
    // @ts-expect-error any text may be no choice
    router('route', { select: ({ input }: ReadContext<{ any: string }>) => input.any, choices: [short, long] })
    const dynamic = [short, long].map(({ name }) => step(name as string, () => 1)) // as of data
    router('route', { select: ({ input }: ReadContext<{ any: string }>) => input.any, choices: dynamic })
  })

  test('may select several, which then must accept the output of each other', () => {
    const shout = step('shout', ({ input }: StepContext<string>) => input.toUpperCase())
    const trim = step('trim', ({ input }: StepContext<string>) => input.trim())
    const count = step('count', ({ input }: StepContext<string>) => input.length)
    const both = router('both', { select: () => ['shout', 'trim'], choices: [shout, trim] })
    expectTypeOf<OutputOf<typeof both>>().toEqualTypeOf<string>()
    router('fixed', { select: async () => ['shout', 'trim'] as const, choices: [shout, trim] })
    router('either', { select: ({ input }) => (input === '' ? 'shout' : ['trim', 'shout']), choices: [shout, trim] })
    // @ts-expect-error there is no such choice
    router('both', { select: () => ['shout', 'whisper'], choices: [shout, trim] })
    // @ts-expect-error shout and trim do not accept a number
    router('both', { select: () => ['shout', 'count'], choices: [shout, trim, count] })
    router('mixed', {
      select: ({ input }) => (input === '' ? 'count' : ['shout', 'count']),
      // @ts-expect-error neither do they here
      choices: [shout, trim, count],
    })
    router('one', { select: () => 'count', choices: [shout, trim, count] })
  })

  test('holds containers as choices', () => {
    const route = router('route', {
      select: () => 'all',
      choices: [sequence('all', [web, deepen]), parallel('some', [web])],
    })
    expectTypeOf<OutputOf<typeof route>>().toEqualTypeOf<
      { deep: boolean; pages: number } | { web: { pages: number } }
    >()
  })
})
