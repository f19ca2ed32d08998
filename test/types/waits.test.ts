import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { approval, type Approved } from '../../src/workflow/approval.ts'
import type { ReadContext, StepContext } from '../../src/workflow/context.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

const write = step('write', () => ({ title: 'text' }))
const count = step('count', ({ input }: StepContext<number>) => input + 1)
const twice = step('twice', ({ input }: StepContext<number>) => input * 2)

describe('an approval', () => {
  const publish = step('publish', ({ input }: StepContext<{ approved: boolean; input: { title: string } }>) =>
    input.approved ? input.input.title : null,
  )

  test('yields the answer and its own input', () => {
    const whole = defineWorkflow({ name: 'whole', steps: [write, approval('ok?', { prompt: 'Publish?' })] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<Approved<{ title: string }>>()
    expectTypeOf<Approved<string>>().toEqualTypeOf<{ approved: boolean; comment?: string; input: string }>()
    defineWorkflow({ name: 'whole', steps: [write, approval('ok?', { prompt: 'Publish?' }), publish] })
    // @ts-expect-error publish wants a title
    defineWorkflow({ name: 'whole', steps: [count, approval('ok?', { prompt: 'Publish?' }), publish] })
  })

  test('is typed by what its prompt says that it takes', () => {
    const ask = approval('ok?', { prompt: ({ input }: ReadContext<{ title: string }>) => `Publish ${input.title}?` })
    expectTypeOf<AcceptedBy<typeof ask>>().toEqualTypeOf<{ title: string }>()
    expectTypeOf<OutputOf<typeof ask>>().toEqualTypeOf<Approved<{ title: string }>>()
    defineWorkflow({ name: 'whole', steps: [ask, publish] })
    // @ts-expect-error a number has no title
    defineWorkflow({ name: 'whole', steps: [count, ask] })
    // @ts-expect-error a prompt is text
    approval('ok?', { prompt: () => 1 })
    // @ts-expect-error the answer is yes or no
    expectTypeOf(() => approval('ok?', { prompt: 'Publish?', timeout: '1d', onTimeout: 'yes' })).not.toBeAny()
  })
})

describe('waiting for input', () => {
  const Region = z.object({ region: z.string().default('EU') })

  test('accepts anything and yields what its schema gives', () => {
    const details = waitForInput('details', { prompt: 'Which?', schema: Region, timeout: '1h', onTimeout: {} })
    expectTypeOf<AcceptedBy<typeof details>>().toEqualTypeOf<unknown>()
    expectTypeOf<OutputOf<typeof details>>().toEqualTypeOf<{ region: string }>()
    const read = step('read', ({ input }: StepContext<{ region: string }>) => input.region)
    defineWorkflow({ name: 'whole', steps: [count, details, read] })
    // @ts-expect-error a region is no number
    defineWorkflow({ name: 'whole', steps: [details, count] })
  })

  test('is typed by what its prompt says that it takes', () => {
    const details = waitForInput('details', {
      prompt: async ({ input }: ReadContext<{ title: string }>) => input.title,
      schema: Region,
    })
    expectTypeOf<AcceptedBy<typeof details>>().toEqualTypeOf<{ title: string }>()
    // @ts-expect-error a number has no title
    defineWorkflow({ name: 'whole', steps: [count, details] })
  })

  test('may not have a default answer that its schema does not accept', () => {
    // @ts-expect-error a region is text
    const wrong = () => waitForInput('x', { prompt: 'x', schema: Region, timeout: '1h', onTimeout: { region: 1 } })
    // @ts-expect-error a schema is needed
    const without = () => waitForInput('x', { prompt: 'x' })
    expectTypeOf([wrong, without]).not.toBeAny()
  })
})

describe('a sleep', () => {
  test('yields what it is given', () => {
    const whole = defineWorkflow({ name: 'whole', steps: [write, sleep('a', '10m'), sleep('b', 5)] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<{ title: string }>()
    defineWorkflow({ name: 'whole', steps: [count, sleep('a', '10m'), twice] })
    // @ts-expect-error count does not accept an object
    defineWorkflow({ name: 'whole', steps: [write, sleep('a', '10m'), count] })
    // @ts-expect-error a duration has a unit
    expectTypeOf(() => sleep('a', '10')).not.toBeAny()
  })

  test('that comes first lets the steps after it say what is accepted', () => {
    const whole = defineWorkflow({ name: 'whole', steps: [sleep('a', 1), sleep('b', 1), count] })
    expectTypeOf<AcceptedBy<typeof whole>>().toEqualTypeOf<number>()
    // @ts-expect-error count does not accept text
    defineWorkflow({ name: 'whole', input: z.string(), steps: [sleep('a', 1), count] })
  })
})
