import { describe, expectTypeOf, test } from 'vitest'
import { approval, type Approved } from '../../src/workflow/approval.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { ReadContext, StepContext } from '../../src/workflow/context.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

// What a node yields that passes its input on depends on what stands before it, also through others. These tests are
// checked by the compiler; running them only shows that the definitions are accepted.

const write = step('write', () => ({ title: 'text' }))
const read = step('read', ({ input }: StepContext<{ title: string }>) => input.title)
const count = step('count', ({ input }: StepContext<number>) => input + 1)
const wait = sleep('wait', 1)
const rest = sleep('rest', 1)
const ask = approval('ask', { prompt: 'Go on?' })

describe('what is passed on goes through', () => {
  test('a sequence that ends with a sleep, or is made of sleeps', () => {
    const slow = sequence('slow', [read, wait])
    expectTypeOf<OutputOf<typeof slow>>().toEqualTypeOf<string>()
    const still = sequence('still', [wait, rest])
    expectTypeOf<AcceptedBy<typeof still>>().toEqualTypeOf<unknown>()
    defineWorkflow({ name: 'whole', steps: [write, still, read] })
    defineWorkflow({ name: 'whole', steps: [write, sequence('outer', [still]), read] })
    // @ts-expect-error count does not accept an object
    defineWorkflow({ name: 'whole', steps: [write, still, count] })
    const first = defineWorkflow({ name: 'whole', steps: [sequence('outer', [still, read])] })
    expectTypeOf<AcceptedBy<typeof first>>().toEqualTypeOf<{ title: string }>()
  })

  test('each step of a parallel', () => {
    const both = parallel('both', [wait, sequence('asking', [rest, ask]), read])
    const whole = defineWorkflow({ name: 'whole', steps: [write, both] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<{
      wait: { title: string }
      asking: Approved<{ title: string }>
      read: string
    }>()
  })

  test('lists of a condition that are empty, or pass it on themselves', () => {
    const enough = condition('enough', { if: () => true, then: [wait], else: [rest, ask] })
    const whole = defineWorkflow({ name: 'whole', steps: [write, enough] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<{ title: string } | Approved<{ title: string }>>()
    const inner = condition('inner', { if: () => true, then: [read] })
    const outer = condition('outer', { if: () => true, then: [inner], else: [wait] })
    const nested = defineWorkflow({ name: 'whole', steps: [write, outer] })
    expectTypeOf<OutputOf<typeof nested>>().toEqualTypeOf<string | { title: string }>()
  })

  test('the choices of a router', () => {
    const route = router('route', { select: () => 'wait', choices: [wait, ask, read] })
    const whole = defineWorkflow({ name: 'whole', steps: [write, route] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<{ title: string } | Approved<{ title: string }> | string>()
  })

  test('a loop, but not from one iteration to the next', () => {
    const whole = defineWorkflow({ name: 'whole', steps: [write, loop('again', { steps: [ask], maxIterations: 2 })] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<Approved<{ title: string }>>()
    const carried = loop('again', { steps: [ask], maxIterations: 2, carry: true })
    const unknown = defineWorkflow({ name: 'whole', steps: [write, carried] })
    expectTypeOf<OutputOf<typeof unknown>>().toEqualTypeOf<Approved<unknown>>()
  })

  test('a map, for each item', () => {
    const list = step('list', () => [1, 2])
    const whole = defineWorkflow({ name: 'whole', steps: [list, map('each', { steps: [ask, wait] })] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<Approved<number>[]>()
    const given = map('each', { items: () => ['a'], steps: [wait] })
    expectTypeOf<OutputOf<typeof given>>().toEqualTypeOf<string[]>()
    // @ts-expect-error count does not accept text
    map('each', { items: () => ['a'], steps: [wait, count] })
  })
})

describe('a step that may be skipped', () => {
  const risky = step({
    name: 'risky',
    onError: 'skip',
    run: ({ input }: StepContext<{ title: string }>) => input.title.length,
  })
  const paused = step({ name: 'paused', onError: 'pause', run: () => 1 })

  test('yields its output or its input', () => {
    expectTypeOf<OutputOf<typeof risky>>().toEqualTypeOf<number | { title: string }>()
    const whole = defineWorkflow({ name: 'whole', steps: [write, risky] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<number | { title: string }>()
    const after = defineWorkflow({ name: 'whole', steps: [read, paused] })
    expectTypeOf<OutputOf<typeof after>>().toEqualTypeOf<string | number>()
    step('reader', ({ outputOf }) => expectTypeOf(outputOf(risky)).toEqualTypeOf<number | { title: string }>())
    // @ts-expect-error count does not accept an object
    defineWorkflow({ name: 'whole', steps: [write, risky, count] })
    defineWorkflow({ name: 'whole', steps: [count, paused, step('end', ({ input }: StepContext<number>) => input)] })
  })

  test('fails the run by default and then yields its output alone', () => {
    const plain = step({ name: 'plain', onError: 'fail', run: () => 1 })
    expectTypeOf<OutputOf<typeof plain>>().toEqualTypeOf<number>()
    const any: 'fail' | 'skip' = Math.random() < 1 ? 'fail' : 'skip'
    const either = step({ name: 'either', onError: any, run: ({ input }: StepContext<string>) => input.length })
    expectTypeOf<OutputOf<typeof either>>().toEqualTypeOf<number | string>()
    // @ts-expect-error there is no such rule
    expectTypeOf(() => step({ name: 'wrong', onError: 'ignore', run: () => 1 })).not.toBeAny()
  })

  test('passes its input on through others', () => {
    const inner = sequence('inner', [risky, paused])
    const whole = defineWorkflow({ name: 'whole', steps: [write, inner] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<number | { title: string }>()
    expectTypeOf<AcceptedBy<typeof inner>>().toEqualTypeOf<{ title: string }>()
  })
})

test('a prompt that says what it takes holds for what stands behind it', () => {
  const asked = approval('asked', { prompt: ({ input }: ReadContext<{ title: string }>) => input.title })
  const whole = sequence('whole', [wait, asked, rest])
  expectTypeOf<AcceptedBy<typeof whole>>().toEqualTypeOf<{ title: string }>()
  expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<Approved<{ title: string }>>()
})
