import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { tool } from 'ai'
import { scope, type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { agentStep } from '../../../src/workflow/agentStep.ts'
import { startAgent } from '../../support/agents.ts'
import { createGate } from '../../support/kerns.ts'
import { asksFor, says, saysThrough, startModelServer } from '../../support/modelServer.ts'

const HISTORY =
  '<workflow_history_context>\n[Workflow Run-1]\nUser input: a\nWorkflow output: b\n</workflow_history_context>\n'

describe('what a model is asked', () => {
  test('is the prompt, after the system text, with the settings of the step', async () => {
    const { model, exchanges } = await startModelServer(says(['Hello']))
    const node = agentStep({ name: 'write', model, system: 'Be brief.', prompt: 'Write.', temperature: 0.5 })
    await startAgent(node).answer
    expect(exchanges[0]?.request.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Write.' },
    ])
    expect(exchanges[0]?.request.temperature).toBe(0.5)
  })

  test('comes from functions of the context', async () => {
    const { model, exchanges } = await startModelServer(says(['Hello']))
    const node = agentStep({
      name: 'write',
      model: async () => model,
      system: ({ stepPath }) => `You are ${stepPath}.`,
      prompt: async ({ input }: { input: string }) => `Write about ${input}.`,
    })
    await startAgent(node, { input: 'foxes' }).answer
    expect(exchanges[0]?.request.messages).toEqual([
      { role: 'system', content: 'You are write.' },
      { role: 'user', content: 'Write about foxes.' },
    ])
  })

  test('has the history block and an empty line before the prompt', async () => {
    const { model, exchanges } = await startModelServer(says(['Hello']))
    await startAgent(agentStep({ name: 'write', model, prompt: 'Write.' }), { history: HISTORY }).answer
    expect(exchanges[0]?.request.messages).toEqual([{ role: 'user', content: `${HISTORY}\nWrite.` }])
  })

  test('has the history block as a message of the user before the messages', async () => {
    const { model, exchanges } = await startModelServer(says(['Hello']), says(['Hello']))
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes?' },
      { role: 'user', content: 'Write.' },
    ] as const
    const node = agentStep({ name: 'write', model, messages })
    await startAgent(node, { history: HISTORY }).answer
    await startAgent(node).answer
    expect(exchanges[0]?.request.messages).toEqual([{ role: 'user', content: HISTORY }, ...messages])
    expect(exchanges[1]?.request.messages).toEqual(messages)
  })
})

describe('text', () => {
  test('is answered without a schema, and grows', async () => {
    const { model } = await startModelServer(says(['One', ' two', ' three']))
    const { answer, partials, usages } = startAgent(agentStep({ name: 'write', model, prompt: 'Count.' }))
    expect(await answer).toBe('One two three')
    expect(partials).toEqual(['One', 'One two', 'One two three'])
    expect(usages).toEqual([{ inputTokens: 10, outputTokens: 5, totalTokens: 15 }])
  })

  test('is told while the model goes on', async () => {
    const gate = createGate()
    const { model } = await startModelServer(saysThrough('One', gate, ' two'))
    const told = Promise.withResolvers<unknown>()
    const { answer } = startAgent(agentStep({ name: 'write', model, prompt: 'Count.' }), { partial: told.resolve })
    expect(await told.promise).toBe('One')
    gate.open()
    expect(await answer).toBe('One two')
  })

  test('is asked for by a schema of plain text', async () => {
    const { model, exchanges } = await startModelServer(says(['{"a":1}']))
    const node = agentStep({ name: 'write', model, prompt: 'Write.', output: z.string().min(3) })
    expect(await startAgent(node).answer).toBe('{"a":1}')
    expect(exchanges[0]?.request.response_format).toBeUndefined()
  })

  test('of a provider that tells no tokens counts none', async () => {
    const { model } = await startModelServer(says(['Hello'], { usage: null }))
    const { answer, usages } = startAgent(agentStep({ name: 'write', model, prompt: 'Write.' }))
    expect(await answer).toBe('Hello')
    expect(usages).toEqual([])
  })
})

describe('an object', () => {
  const pieces = ['{"title":"Fo', 'xes","pages', '":3}']
  const properties = { title: { type: 'string' }, pages: { type: 'number' } }
  const schemas = {
    zod: z.object({ title: z.string(), pages: z.number() }),
    valibot: toStandardJsonSchema(v.object({ title: v.string(), pages: v.number() })),
    arktype: type({ title: 'string', pages: 'number' }),
  }

  test.each(Object.entries(schemas))('is asked for by a schema of %s, and grows', async (_vendor, output) => {
    const { model, exchanges } = await startModelServer(says(pieces))
    const { answer, partials } = startAgent(agentStep({ name: 'write', model, prompt: 'Write.', output }))
    expect(await answer).toEqual({ title: 'Foxes', pages: 3 })
    expect(partials).toEqual([{ title: 'Fo' }, { title: 'Foxes' }, { title: 'Foxes', pages: 3 }])
    const format = exchanges[0]?.request.response_format
    expect(format?.type).toBe('json_schema')
    expect(format?.json_schema?.schema).toMatchObject({ type: 'object', properties, additionalProperties: false })
  })

  test('is asked for as the schema accepts it, and answered as the model gave it', async () => {
    const { model, exchanges } = await startModelServer(says(['{"pages":"3"}']))
    const output = z.object({ pages: z.string().transform(Number), title: z.string().default('None') })
    const node = agentStep({ name: 'write', model, prompt: 'Write.', output })
    expect(await startAgent(node).answer).toEqual({ pages: '3' })
    expect(exchanges[0]?.request.response_format?.json_schema?.schema).toMatchObject({
      properties: { pages: { type: 'string' } },
      required: ['pages'],
    })
  })

  test('holds an answer that is of another type, since providers ask for objects only', async () => {
    const { model, exchanges } = await startModelServer(says(['{"answer":["a"', ',"b"]}']), says(['{"answer":"no"}']))
    const list = startAgent(agentStep({ name: 'list', model, prompt: 'List.', output: z.array(z.string()) }))
    expect(await list.answer).toEqual(['a', 'b'])
    expect(list.partials).toEqual([['a'], ['a', 'b']])
    const choice = agentStep({ name: 'choose', model, prompt: 'Choose.', output: z.enum(['yes', 'no']) })
    expect(await startAgent(choice).answer).toBe('no')
    expect(exchanges[1]?.request.response_format?.json_schema?.schema).toMatchObject({
      type: 'object',
      properties: { answer: { type: 'string', enum: ['yes', 'no'] } },
      required: ['answer'],
    })
  })

  const ZodTree = z.object({
    get children() {
      return z.array(ZodTree)
    },
  })
  const ArkTree = scope({ tree: { children: 'tree[]' } }).export().tree
  interface Tree {
    readonly children: readonly Tree[]
  }
  const ValibotTree: v.GenericSchema<Tree> = v.object({ children: v.array(v.lazy(() => ValibotTree)) })

  test.each([
    ['zod', z.array(ZodTree)],
    ['valibot', toStandardJsonSchema(v.array(ValibotTree))],
    ['arktype', ArkTree.array()],
  ])('keeps what parts of a schema of %s refer to where they look for it', async (_vendor, output) => {
    const { model, exchanges } = await startModelServer(says(['{"answer":[{"children":[]}]}']))
    const node = agentStep({ name: 'list', model, prompt: 'List.', output })
    expect(await startAgent(node).answer).toEqual([{ children: [] }])
    const schema = exchanges[0]?.request.response_format?.json_schema?.schema
    expect(schema).toMatchObject({ type: 'object', required: ['answer'] })
    // A reference counts from the root.
    const targets = [...JSON.stringify(schema).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, target]) => target ?? '')
    expect(targets.length).toBeGreaterThan(0)
    for (const target of targets) expect(schema).toHaveProperty(target.split('/'))
  })
})

describe('tools', () => {
  const weather = (seen: unknown[]) =>
    tool({
      description: 'The weather of a city',
      inputSchema: z.object({ city: z.string() }),
      execute: ({ city }) => {
        seen.push(city)
        return { degrees: 21 }
      },
    })

  test('are executed, and the model is called again with what they gave, until it answers', async () => {
    const seen: unknown[] = []
    const { model, exchanges } = await startModelServer(
      asksFor('weather', { city: 'Oslo' }, [10, 5]),
      says(['It is ', '21 degrees.'], { usage: [30, 7] }),
    )
    const node = agentStep({ name: 'ask', model, prompt: 'How is Oslo?', tools: { weather: weather(seen) } })
    const { answer, partials, usages } = startAgent(node)
    expect(await answer).toBe('It is 21 degrees.')
    expect(seen).toEqual(['Oslo'])
    expect(partials).toEqual(['It is ', 'It is 21 degrees.'])
    expect(exchanges[1]?.request.messages.at(-1)).toMatchObject({ role: 'tool', content: '{"degrees":21}' })
    expect(usages).toEqual([
      { inputTokens: 10, outputTokens: 5, totalTokens: 15 },
      { inputTokens: 30, outputTokens: 7, totalTokens: 37 },
    ])
  })

  test('come before an object, too', async () => {
    const { model } = await startModelServer(asksFor('weather', { city: 'Oslo' }), says(['{"degrees":21}']))
    const output = z.object({ degrees: z.number() })
    const node = agentStep({ name: 'ask', model, prompt: 'How is Oslo?', tools: { weather: weather([]) }, output })
    expect(await startAgent(node).answer).toEqual({ degrees: 21 })
  })

  test('may be given by a function of the context', async () => {
    const seen: unknown[] = []
    const { model } = await startModelServer(asksFor('weather', { city: 'Oslo' }), says(['Fine.']))
    const tools = ({ input }: { input: string }) => ({ weather: { ...weather(seen), description: input } })
    await startAgent(agentStep({ name: 'ask', model, prompt: 'How is Oslo?', tools }), { input: 'x' }).answer
    expect(seen).toEqual(['Oslo'])
  })

  test('that throw are for the model to read', async () => {
    const { model, exchanges } = await startModelServer(asksFor('weather', { city: 'Oslo' }), says(['I cannot tell.']))
    const broken = { ...weather([]), execute: () => Promise.reject(new Error('no such city')) }
    const node = agentStep({ name: 'ask', model, prompt: 'How is Oslo?', tools: { weather: broken } })
    expect(await startAgent(node).answer).toBe('I cannot tell.')
    expect(JSON.stringify(exchanges[1]?.request.messages.at(-1))).toContain('no such city')
  })
})
