import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { StepContext } from '../../src/workflow/context.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { step } from '../../src/workflow/step.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

describe('a step whose function is an async generator', () => {
  test('yields what it returns', () => {
    const write = step('write', async function* ({ input }: StepContext<{ topic: string }>) {
      yield 'half'
      return { text: input.topic }
    })
    expectTypeOf<AcceptedBy<typeof write>>().toEqualTypeOf<{ topic: string }>()
    expectTypeOf<OutputOf<typeof write>>().toEqualTypeOf<{ text: string }>()
    const long = step({
      name: 'long',
      input: z.string(),
      run: async function* ({ input }) {
        yield 1
        return input
      },
    })
    expectTypeOf<OutputOf<typeof long>>().toEqualTypeOf<string>()
  })

  test('yields what it has yielded where it returns nothing', () => {
    const write = step({
      name: 'write',
      run: async function* () {
        yield 'ha'
        yield 'half'
      },
    })
    expectTypeOf<OutputOf<typeof write>>().toExtend<string>()
    const early = step('early', async function* ({ input }: StepContext<number>) {
      if (input === 0) return
      yield { text: String(input) }
    })
    expectTypeOf<OutputOf<typeof early>>().toEqualTypeOf<{ text: string }>()
  })

  test('with an output schema must give what that accepts, by what it returns or else by what it yields', () => {
    const output = z.object({ kind: z.enum(['short', 'long']), n: z.number().default(1) })
    const returning = step({
      name: 'returning',
      output,
      run: async function* ({ attempt }) {
        yield attempt
        return { kind: 'short' }
      },
    })
    expectTypeOf<OutputOf<typeof returning>>().toEqualTypeOf<{ kind: 'short' | 'long'; n: number }>()
    step({
      name: 'yielding',
      output,
      run: async function* ({ input }) {
        yield { kind: input === undefined ? 'short' : 'long' }
      },
    })
    step({
      name: 'wrong',
      output,
      // @ts-expect-error there is no such kind
      run: async function* () {
        yield { kind: 'medium' }
      },
    })
    step({
      name: 'wrong',
      output,
      // @ts-expect-error a number has no kind
      run: async function* () {
        yield 'half'
        return 1
      },
    })
  })
})
