import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { Workflow } from '../../src/author.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

interface Parsed {
  topic: string
  depth: number
}

test('a schema of zod types steps, state, waits and runs', () => {
  const schema = z.object({ topic: z.string(), depth: z.number().default(1) })
  const read = step({
    name: 'read',
    input: schema,
    output: schema,
    state: schema,
    run: ({ input, state }) => {
      expectTypeOf([input, state]).branded.toEqualTypeOf<Parsed[]>()
      return { topic: input.topic }
    },
  })
  const ask = waitForInput('ask', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 'a' } })
  const whole = new Workflow({
    name: 'w',
    input: schema,
    state: schema,
    initialState: { topic: 'a' },
    steps: [read, ask],
  })
  expectTypeOf<AcceptedBy<typeof read>>().branded.toEqualTypeOf<{ topic: string; depth?: number | undefined }>()
  expectTypeOf<OutputOf<typeof ask>>().branded.toEqualTypeOf<Parsed>()
  expectTypeOf(whole.run).toBeCallableWith({ input: { topic: 'a' } })
  // @ts-expect-error the topic is text
  const output = () => step({ name: 'wrong', output: schema, run: () => ({ topic: 1 }) })
  // @ts-expect-error the topic is text
  const answer = () => waitForInput('wrong', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 1 } })
  expectTypeOf([output, answer]).not.toBeAny()
})

test('a schema of valibot types steps, state, waits and runs', () => {
  const schema = v.object({ topic: v.string(), depth: v.optional(v.number(), 1) })
  const read = step({
    name: 'read',
    input: schema,
    output: schema,
    state: schema,
    run: ({ input, state }) => {
      expectTypeOf([input, state]).branded.toEqualTypeOf<Parsed[]>()
      return { topic: input.topic }
    },
  })
  const ask = waitForInput('ask', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 'a' } })
  const whole = new Workflow({
    name: 'w',
    input: schema,
    state: schema,
    initialState: { topic: 'a' },
    steps: [read, ask],
  })
  expectTypeOf<AcceptedBy<typeof read>>().branded.toEqualTypeOf<{ topic: string; depth?: number | undefined }>()
  expectTypeOf<OutputOf<typeof ask>>().branded.toEqualTypeOf<Parsed>()
  expectTypeOf(whole.run).toBeCallableWith({ input: { topic: 'a' } })
  // @ts-expect-error the topic is text
  const output = () => step({ name: 'wrong', output: schema, run: () => ({ topic: 1 }) })
  // @ts-expect-error the topic is text
  const answer = () => waitForInput('wrong', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 1 } })
  expectTypeOf([output, answer]).not.toBeAny()
})

test('a schema of valibot with its JSON Schema types steps, state, waits and runs', () => {
  const schema = toStandardJsonSchema(v.object({ topic: v.string(), depth: v.optional(v.number(), 1) }))
  const read = step({
    name: 'read',
    input: schema,
    output: schema,
    state: schema,
    run: ({ input, state }) => {
      expectTypeOf([input, state]).branded.toEqualTypeOf<Parsed[]>()
      return { topic: input.topic }
    },
  })
  const ask = waitForInput('ask', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 'a' } })
  const whole = new Workflow({
    name: 'w',
    input: schema,
    state: schema,
    initialState: { topic: 'a' },
    steps: [read, ask],
  })
  expectTypeOf<AcceptedBy<typeof read>>().branded.toEqualTypeOf<{ topic: string; depth?: number | undefined }>()
  expectTypeOf<OutputOf<typeof ask>>().branded.toEqualTypeOf<Parsed>()
  expectTypeOf(whole.run).toBeCallableWith({ input: { topic: 'a' } })
  // @ts-expect-error the topic is text
  const output = () => step({ name: 'wrong', output: schema, run: () => ({ topic: 1 }) })
  // @ts-expect-error the topic is text
  const answer = () => waitForInput('wrong', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 1 } })
  expectTypeOf([output, answer]).not.toBeAny()
})

test('a schema of arktype types steps, state, waits and runs', () => {
  const schema = type({ topic: 'string', depth: 'number = 1' })
  const read = step({
    name: 'read',
    input: schema,
    output: schema,
    state: schema,
    run: ({ input, state }) => {
      expectTypeOf([input, state]).branded.toEqualTypeOf<Parsed[]>()
      return { topic: input.topic }
    },
  })
  const ask = waitForInput('ask', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 'a' } })
  const whole = new Workflow({
    name: 'w',
    input: schema,
    state: schema,
    initialState: { topic: 'a' },
    steps: [read, ask],
  })
  expectTypeOf<AcceptedBy<typeof read>>().branded.toEqualTypeOf<{ topic: string; depth?: number }>()
  expectTypeOf<OutputOf<typeof ask>>().branded.toEqualTypeOf<Parsed>()
  expectTypeOf(whole.run).toBeCallableWith({ input: { topic: 'a' } })
  // @ts-expect-error the topic is text
  const output = () => step({ name: 'wrong', output: schema, run: () => ({ topic: 1 }) })
  // @ts-expect-error the topic is text
  const answer = () => waitForInput('wrong', { prompt: 'x', schema, timeout: '1d', onTimeout: { topic: 1 } })
  expectTypeOf([output, answer]).not.toBeAny()
})
