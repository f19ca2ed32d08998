import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import type { HasDefinition } from '../../src/workflow/definition.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { nested } from '../../src/workflow/nested.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

const count = step('count', ({ input }: StepContext<{ topic: string }>) => input.topic.length)
const other = new Workflow({
  name: 'other',
  input: z.object({ topic: z.string().default('any') }),
  steps: [count, sleep('rest', 1)],
})

describe('a nested workflow', () => {
  test('accepts what a run of it does and yields what that does', () => {
    const sub = nested('sub', other, { history: false })
    expectTypeOf<AcceptedBy<typeof sub>>().toEqualTypeOf<{ topic?: string | undefined }>()
    expectTypeOf<OutputOf<typeof sub>>().toEqualTypeOf<number>()
    const twice = step('twice', ({ input }: StepContext<number>) => input * 2)
    const whole = defineWorkflow({ name: 'whole', steps: [sub, twice] })
    expectTypeOf<AcceptedBy<typeof whole>>().toEqualTypeOf<{ topic?: string | undefined }>()
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<number>()
    // @ts-expect-error the workflow does not accept a number
    defineWorkflow({ name: 'whole', steps: [sub, nested('again', other)] })
  })

  test('without an input schema accepts what its first step does', () => {
    const sub = nested('sub', { definition: defineWorkflow({ name: 'plain', steps: [count] }) })
    expectTypeOf<AcceptedBy<typeof sub>>().toEqualTypeOf<{ topic: string }>()
  })

  test('whose types are not known accepts and yields anything', () => {
    const untyped: HasDefinition = other
    const sub = nested('sub', untyped)
    expectTypeOf<AcceptedBy<typeof sub>>().toEqualTypeOf<unknown>()
    expectTypeOf<OutputOf<typeof sub>>().toEqualTypeOf<unknown>()
  })

  test('is a workflow, and no definition or step', () => {
    // @ts-expect-error a definition is not what carries it
    const definition = () => nested('sub', other.definition)
    // @ts-expect-error a step is no workflow
    const node = () => nested('sub', count)
    expectTypeOf([definition, node]).not.toBeAny()
  })
})
