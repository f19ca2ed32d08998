import { type AssistantModelMessage, type ModelMessage, tool, type UserModelMessage } from 'ai'
import { MockLanguageModelV3, MockLanguageModelV4, MockProviderV4 } from 'ai/test'
import { describe, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { agentStep, type AgentStep } from '../../src/workflow/agentStep.ts'
import type { ReadContext, StepContext } from '../../src/workflow/context.ts'
import type { AcceptedBy, OutputOf } from '../../src/workflow/infer.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

// These tests are checked by the compiler; running them only shows that the definitions are accepted.

const model = new MockLanguageModelV4()
const Topic = z.object({ topic: z.string().default('any') })
const Article = z.object({ title: z.string(), length: z.number().default(1) })
const weather = tool({ inputSchema: z.object({ city: z.string() }), execute: ({ city }) => `Rain in ${city}` })

describe('an agent step', () => {
  test('without an output schema yields text', () => {
    const write = agentStep({ name: 'write', model, prompt: 'Write' })
    expectTypeOf(write).toEqualTypeOf<AgentStep<'write', unknown, string>>()
    expectTypeOf<OutputOf<typeof write>>().toEqualTypeOf<string>()
  })

  test('with an output schema yields what that gives', () => {
    const write = agentStep({ name: 'write', model, output: Article, prompt: 'Write' })
    expectTypeOf<OutputOf<typeof write>>().toEqualTypeOf<{ title: string; length: number }>()
    const read = step('read', ({ input }: StepContext<{ title: string }>) => input.title)
    defineWorkflow({ name: 'whole', steps: [write, read] })
    // @ts-expect-error text has no title
    defineWorkflow({ name: 'whole', steps: [agentStep({ name: 'write', model, prompt: 'Write' }), read] })
  })

  test('gives its functions what its schemas give', () => {
    const write = agentStep({
      name: 'write',
      input: Topic,
      state: z.object({ tone: z.string() }),
      model: ({ input }) => (input.topic === '' ? 'some/model' : model),
      system: ({ state }) => state.tone,
      prompt: async ({ input, history }) => {
        expectTypeOf(input).toEqualTypeOf<{ topic: string }>()
        return `${history.text}${input.topic}`
      },
      tools: ({ input }) => (input.topic === 'weather' ? { weather } : {}),
      maxSteps: 3,
    })
    expectTypeOf<AcceptedBy<typeof write>>().toEqualTypeOf<{ topic?: string | undefined }>()
  })

  test('without an input schema takes what its functions say that they take', () => {
    const write = agentStep({
      name: 'write',
      model,
      prompt: ({ input }: ReadContext<{ topic: string }>) => input.topic,
    })
    expectTypeOf<AcceptedBy<typeof write>>().toEqualTypeOf<{ topic: string }>()
    // @ts-expect-error the prompt takes something else than the schema gives
    agentStep({ name: 'write', model, input: Topic, prompt: ({ input }: ReadContext<number>) => String(input) })
  })

  test('takes the models, tools and messages of the SDK as they are', () => {
    const messages: (UserModelMessage | AssistantModelMessage)[] = [
      { role: 'user', content: [{ type: 'text', text: 'Look' }] },
      { role: 'assistant', content: 'I see' },
    ]
    agentStep({ name: 'a', model: new MockLanguageModelV3(), messages })
    agentStep({
      name: 'b',
      model: new MockProviderV4({ languageModels: { some: model } }).languageModel('some'),
      messages,
    })
    agentStep({ name: 'c', model: () => model, messages: async () => messages, tools: { weather } })
    const all: ModelMessage[] = messages
    // @ts-expect-error one of them may be of the system
    const outside = () => agentStep({ name: 'wrong', model, messages: all })
    // @ts-expect-error a tool is no text
    const text = () => agentStep({ name: 'wrong', model, prompt: 'x', tools: { weather: 'sunny' } })
    // @ts-expect-error a model is needed
    const without = () => agentStep({ name: 'wrong', prompt: 'x' })
    // @ts-expect-error the setting is called temperature
    const misspelt = () => agentStep({ name: 'wrong', model, prompt: 'x', temprature: 0 })
    expectTypeOf([outside, text, without, misspelt]).not.toBeAny()
  })

  test('that may be skipped yields its output or its input', () => {
    const write = agentStep({
      name: 'write',
      model,
      input: z.object({ topic: z.string() }),
      prompt: 'x',
      onError: 'skip',
    })
    expectTypeOf<OutputOf<typeof write>>().toEqualTypeOf<string | { topic: string }>()
    const topic = step('topic', () => ({ topic: 'a', year: 2024 }))
    const whole = defineWorkflow({ name: 'whole', steps: [topic, write] })
    expectTypeOf<OutputOf<typeof whole>>().toEqualTypeOf<string | { topic: string; year: number }>()
  })
})
