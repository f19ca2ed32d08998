import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import type { JsonObject } from '../../src/json.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import type { Schema, WorkflowNode } from '../../src/workflow/definition.ts'
import type { DefinitionOf } from '../../src/workflow/chain.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { type Sequence, sequence } from '../../src/workflow/sequence.ts'
import { type Step, step } from '../../src/workflow/step.ts'
import { defineWorkflow, type WorkflowOptions } from '../../src/workflow/workflow.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

const Topic = z.object({ topic: z.string().default('anything') })
const Plan = z.object({ questions: z.array(z.string()), depth: z.number().default(1) })

const research = step({
  name: 'research',
  input: Topic,
  output: Plan,
  run: async ({ input }) => ({ questions: [input.topic] }),
})
const count = step({ name: 'count', input: Plan, run: async ({ input }) => input.questions.length + input.depth })

describe('a step', () => {
  test('accepts what its input schema accepts and gives its function what the schema gives', () => {
    const made = step({
      name: 'made',
      input: Topic,
      run: ({ input }) => {
        expectTypeOf(input).toEqualTypeOf<{ topic: string }>()
        return input.topic
      },
    })
    expectTypeOf<AcceptedBy<typeof made>>().toEqualTypeOf<{ topic?: string | undefined }>()
    expectTypeOf(made).toEqualTypeOf<Step<'made', { topic?: string | undefined }, string>>()
  })

  test('without an input schema takes what its function says that it takes', () => {
    const annotated = step({ name: 'annotated', run: async ({ input }: StepContext<{ n: number }>) => [input.n] })
    expectTypeOf(annotated).toEqualTypeOf<Step<'annotated', { n: number }, number[]>>()

    const silent = step({
      name: 'silent',
      run: ({ input, state }) => {
        expectTypeOf(input).toEqualTypeOf<unknown>()
        expectTypeOf(state).toEqualTypeOf<JsonObject>()
        return 'text'
      },
    })
    expectTypeOf(silent).toEqualTypeOf<Step<'silent', unknown, string>>()
  })

  test('with an output schema must return what that accepts, and yields what it gives', () => {
    expectTypeOf<OutputOf<typeof research>>().toEqualTypeOf<{ questions: string[]; depth: number }>()

    // @ts-expect-error questions is missing
    step({ name: 'wrong', output: Plan, run: async () => ({ depth: 2 }) })
    // @ts-expect-error a question is text
    step({ name: 'wrong', output: Plan, run: ({ input }) => ({ questions: [1], input }) })
  })

  test('keeps literals that its output schema asks for', () => {
    const kind = step({
      name: 'kind',
      output: z.object({ kind: z.enum(['short', 'long']) }),
      run: async ({ input }) => ({ kind: input === undefined ? 'short' : 'long' }),
    })
    expectTypeOf<OutputOf<typeof kind>>().toEqualTypeOf<{ kind: 'short' | 'long' }>()
  })

  test('has the state that its state schema gives, and changes of it alone', () => {
    step({
      name: 'stateful',
      state: z.object({ visits: z.number().default(0), last: z.object({ at: z.string() }).optional() }),
      run: ({ state, setState }) => {
        expectTypeOf(state.visits).toEqualTypeOf<number>()
        setState({ visits: state.visits + 1, last: null })
        setState((now) => ({ visits: now.visits + 1 }))
        // @ts-expect-error visits is a number
        const wrong = () => setState({ visits: 'many' })
        // @ts-expect-error there is no such key
        const unknown = () => setState({ visitors: 1 })
        return [wrong, unknown].length
      },
    })
  })

  test('reads the output of an earlier step with its type', () => {
    step({
      name: 'reader',
      run: ({ outputOf }) => {
        expectTypeOf(outputOf(research)).toEqualTypeOf<{ questions: string[]; depth: number }>()
        expectTypeOf(outputOf(sequence('both', [research, count]))).toEqualTypeOf<number>()
      },
    })
  })

  test('yields the type of what is returned where it also may stop', () => {
    const stopping = step({
      name: 'stopping',
      input: Topic,
      run: async ({ input, stop }) => {
        if (input.topic === '') return stop({ note: 'nothing to do' })
        return input.topic.length
      },
    })
    expectTypeOf<OutputOf<typeof stopping>>().toEqualTypeOf<number>()
  })

  test('in its short form is typed by its function', () => {
    expectTypeOf(step('short', async () => 1)).toEqualTypeOf<Step<'short', unknown, number>>()
    expectTypeOf(step('short', ({ input }: StepContext<string>) => input.length)).toEqualTypeOf<
      Step<'short', string, number>
    >()
  })

  test('may not have an option that does not exist, or one of a wrong type', () => {
    // @ts-expect-error the option is called retry
    const misspelt = () => step({ name: 'load', retires: { maxAttempts: 3 }, run: () => 1 })
    // @ts-expect-error a duration has a unit
    const unitless = () => step({ name: 'load', timeout: '30', run: () => 1 })
    // @ts-expect-error the parameter does not fit the schema
    const contrary = () => step({ name: 'load', input: Topic, run: ({ input }: StepContext<number>) => input })
    expectTypeOf([misspelt, unitless, contrary]).not.toBeAny()
  })
})

describe('a sequence', () => {
  test('accepts what its first step does and yields what its last one does', () => {
    const prepare = sequence('prepare', [research, count])
    expectTypeOf(prepare).toEqualTypeOf<Sequence<'prepare', readonly [typeof research, typeof count]>>()
    expectTypeOf<AcceptedBy<typeof prepare>>().toEqualTypeOf<{ topic?: string | undefined }>()
    expectTypeOf<OutputOf<typeof prepare>>().toEqualTypeOf<number>()
    const outer = sequence('outer', [prepare, step('end', () => 'done')])
    expectTypeOf<AcceptedBy<typeof outer>>().toEqualTypeOf<{ topic?: string | undefined }>()
    expectTypeOf<OutputOf<typeof outer>>().toEqualTypeOf<string>()
  })

  test('may not have neighbours that do not fit', () => {
    // @ts-expect-error research does not accept a number
    sequence('prepare', [count, research])
  })
})

describe('a workflow', () => {
  test('takes what its input schema accepts and yields what its last step does', () => {
    const typed = defineWorkflow({ name: 'typed', input: Topic, state: Plan, steps: [research, count] })
    expectTypeOf<AcceptedBy<typeof typed>>().toEqualTypeOf<{ topic?: string | undefined }>()
    expectTypeOf<OutputOf<typeof typed>>().toEqualTypeOf<number>()
    type Made = DefinitionOf<typeof Topic, typeof Plan, readonly [typeof research, typeof count]>
    expectTypeOf(typed).toEqualTypeOf<Made>()
    expectTypeOf<ReturnType<NonNullable<(typeof typed)['~state']>>>().toEqualTypeOf<z.output<typeof Plan>>()
  })

  test('without an input schema takes what its first step accepts', () => {
    const plain = defineWorkflow({ name: 'plain', steps: [count] })
    expectTypeOf<AcceptedBy<typeof plain>>().toEqualTypeOf<{ questions: string[]; depth?: number | undefined }>()

    const untyped = defineWorkflow({ name: 'untyped', steps: [step('any', () => 1), step('text', () => 'text')] })
    expectTypeOf<AcceptedBy<typeof untyped>>().toEqualTypeOf<unknown>()
    expectTypeOf<OutputOf<typeof untyped>>().toEqualTypeOf<string>()
  })

  test('gives its first step what the input schema gives', () => {
    const needsTopic = step('needs topic', ({ input }: StepContext<{ topic: string }>) => input.topic)
    defineWorkflow({ name: 'defaulted', input: Topic, steps: [needsTopic] })
    // @ts-expect-error the first step wants an object
    defineWorkflow({ name: 'contrary', input: z.string(), steps: [needsTopic] })
  })

  test('may not have neighbours that do not fit, in whatever place', () => {
    const last = step('last', ({ input }: StepContext<number>) => input)
    // @ts-expect-error last does not accept a plan
    defineWorkflow({ name: 'contrary', input: Topic, steps: [research, last] })
    // @ts-expect-error last does not accept a plan
    defineWorkflow({ name: 'contrary', input: Topic, steps: [sequence('first', [research]), last] })
  })

  test('takes steps that are written in place, and lists of steps of one type', () => {
    const inline = defineWorkflow({
      name: 'inline',
      steps: [
        step({ name: 'one', input: z.number(), run: ({ input }) => String(input) }),
        step('two', ({ input }: StepContext<string>) => [input]),
      ],
    })
    expectTypeOf<AcceptedBy<typeof inline>>().toEqualTypeOf<number>()
    expectTypeOf<OutputOf<typeof inline>>().toEqualTypeOf<string[]>()

    const steps = ['a', 'b'].map((name) => step(name, ({ input }: StepContext<number>) => input + 1))
    const listed = defineWorkflow({ name: 'listed', steps })
    expectTypeOf<AcceptedBy<typeof listed>>().toEqualTypeOf<number>()
    expectTypeOf<OutputOf<typeof listed>>().toEqualTypeOf<number>()
  })

  test('begins with a state that its state schema accepts', () => {
    defineWorkflow({ name: 'stateful', state: Topic, initialState: {}, steps: [research] })
    // @ts-expect-error topic is text
    defineWorkflow({ name: 'stateful', state: Topic, initialState: { topic: 1 }, steps: [research] })
  })
})

test('a class that takes the same options infers the same types', () => {
  class Author<
    Input extends Schema | undefined = undefined,
    State extends Schema | undefined = undefined,
    const Steps extends readonly WorkflowNode[] = readonly WorkflowNode[],
  > {
    readonly definition: DefinitionOf<Input, State, Steps>
    constructor({ db: _, ...options }: WorkflowOptions<Input, State, Steps> & { readonly db?: string }) {
      this.definition = defineWorkflow<Input, State, Steps>(options)
    }
    run(_: {
      readonly input: AcceptedBy<DefinitionOf<Input, State, Steps>>
    }): OutputOf<DefinitionOf<Input, State, Steps>> | null {
      return null
    }
  }

  const made = new Author({ name: 'made', input: Topic, steps: [research, count], db: 'memory' })
  const same = defineWorkflow({ name: 'made', input: Topic, steps: [research, count] })
  expectTypeOf(made.definition).toEqualTypeOf<typeof same>()
  expectTypeOf(made.run({ input: {} })).toEqualTypeOf<number | null>()
  // @ts-expect-error topic is text
  made.run({ input: { topic: 1 } })
  // @ts-expect-error the two do not fit in this order
  expectTypeOf(() => new Author({ name: 'made', steps: [count, research] })).toBeFunction()
  const untyped = new Author({ name: 'untyped', steps: [step('any', () => 1)] })
  expectTypeOf(untyped.run).parameter(0).toEqualTypeOf<{ readonly input: unknown }>()
})
