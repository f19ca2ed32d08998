import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { RunResult } from '../../src/engine/library.ts'
import type { StepRecord } from '../../src/engine/records.ts'
import type { TypedStep } from '../../src/engine/typedSteps.ts'
import type { Kern } from '../../src/kern.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import type { WorkflowNode } from '../../src/workflow/definition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

const text = step('text', () => 'a')
const count = step('count', () => 1)
const list = step('list', () => [true])
const inner = new Workflow({ name: 'inner', steps: [text, sequence('deep', [count])] })

const whole = new Workflow({
  name: 'whole',
  input: z.object({ topic: z.string() }),
  steps: [
    text,
    sequence('prepare', [count, sequence('deep', [list])]),
    parallel('gather', [text, count]),
    condition('enough', { if: () => true, then: [text], else: [count, list] }),
    router('route', { select: () => 'list', choices: [list, sequence('other', [text])] }),
    loop('refine', { steps: [text, map('each', { items: () => [1, 2], steps: [count] })], maxIterations: 2 }),
    nested('sub', inner),
  ],
})

type Steps = Awaited<ReturnType<typeof whole.run>>['steps']
type At<Path extends keyof Steps> = Steps[Path]

describe('the steps of a result', () => {
  test('are typed by their paths, and undefined where they did not run', () => {
    expectTypeOf<At<'text'>>().toEqualTypeOf<TypedStep<string> | undefined>()
    expectTypeOf<At<'prepare/count'>>().toEqualTypeOf<TypedStep<number> | undefined>()
    expectTypeOf<At<'prepare/deep/list'>>().toEqualTypeOf<TypedStep<boolean[]> | undefined>()
    expectTypeOf<At<'gather'>>().toEqualTypeOf<TypedStep<{ text: string; count: number }> | undefined>()
    expectTypeOf<At<'gather/text'>>().toEqualTypeOf<TypedStep<string> | undefined>()
    expectTypeOf<At<'enough'>>().toEqualTypeOf<TypedStep<string | boolean[]> | undefined>()
    expectTypeOf<At<'enough/text'>>().toEqualTypeOf<TypedStep<string> | undefined>()
    expectTypeOf<At<'enough/list'>>().toEqualTypeOf<TypedStep<boolean[]> | undefined>()
    expectTypeOf<At<'route/other/text'>>().toEqualTypeOf<TypedStep<string> | undefined>()
    expectTypeOf<At<'sub/deep/count'>>().toEqualTypeOf<TypedStep<number> | undefined>()
    expectTypeOf<NonNullable<At<'text'>>['output']>().toEqualTypeOf<string | undefined>()
    expectTypeOf<NonNullable<At<'text'>>['status']>().toEqualTypeOf<StepRecord['status']>()
  })

  test('carry numbers in loops and maps', () => {
    const read = (steps: Steps) => {
      expectTypeOf(steps['refine']).toEqualTypeOf<TypedStep<number[]> | undefined>()
      expectTypeOf(steps['refine[1]/text']).toEqualTypeOf<TypedStep<string> | undefined>()
      expectTypeOf(steps[`refine[${2 as number}]/text`]).toEqualTypeOf<TypedStep<string> | undefined>()
      expectTypeOf(steps['refine[2]/each[0]/count']).toEqualTypeOf<TypedStep<number> | undefined>()
    }
    expectTypeOf(read).toBeFunction()
  })

  test('at other paths are steps of which nothing more is known', () => {
    const read = (steps: Steps, path: string) => {
      expectTypeOf(steps[path]?.output).toEqualTypeOf<StepRecord['output']>()
      expectTypeOf(steps['other']).toExtend<StepRecord | undefined>()
      expectTypeOf(steps['refine/text']).toExtend<StepRecord | undefined>()
      // @ts-expect-error a result is not to be changed
      steps['text'] = undefined
    }
    expectTypeOf(read).toBeFunction()
  })

  test('are typed alike where a Kern runs the workflow, and not where it is known by its id alone', () => {
    const read = async (kern: Kern) => {
      const typed = await kern.run(whole, { input: { topic: 'a' } })
      expectTypeOf(typed.steps['prepare/count']).toEqualTypeOf<TypedStep<number> | undefined>()
      expectTypeOf(typed.output).toEqualTypeOf<number | undefined>()
      const byId = await kern.run('whole', {})
      expectTypeOf(byId.steps['prepare/count']?.output).toEqualTypeOf<StepRecord['output']>()
      const kept: RunResult = typed
      // @ts-expect-error the input has a topic
      await kern.run(whole, { input: { topic: 1 } })
      return kept
    }
    expectTypeOf(read).toBeFunction()
  })

  test('of a workflow whose steps are not known are steps of which nothing is known', () => {
    const steps: WorkflowNode[] = ['a', 'b'].map((name) => step(name, ({ input }: StepContext) => String(input)))
    const dynamic = new Workflow({ name: 'dynamic', steps })
    type Found = Awaited<ReturnType<typeof dynamic.run>>['steps']
    expectTypeOf<NonNullable<Found[string]>['output']>().toEqualTypeOf<StepRecord['output']>()
    const any = (workflow: Workflow) => workflow.id
    expectTypeOf(any).toBeCallableWith(dynamic)
  })
})
