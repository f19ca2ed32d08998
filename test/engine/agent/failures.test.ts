import { LoadAPIKeyError, NoSuchModelError, UnsupportedModelVersionError, tool } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { isKernError, type KernError, NonRetryableError } from '../../../src/errors.ts'
import type { AgentNode } from '../../../src/workflow/definition.ts'
import { agentStep } from '../../../src/workflow/agentStep.ts'
import { type CallOptions, startAgent } from '../../support/agents.ts'
import { olderZod } from '../../workflow/support.ts'
import { createGate } from '../../support/kerns.ts'
import {
  API_KEY,
  type Answer,
  asksFor,
  breaksOff,
  modelOfNobody,
  refuses,
  says,
  saysError,
  saysNoEnd,
  saysNonsense,
  startModelServer,
} from '../../support/modelServer.ts'

// The SDK writes errors to the console where nobody else takes them.
const written = vi.spyOn(console, 'error')
afterEach(() => {
  const lines = written.mock.calls.splice(0)
  if (lines.length > 0) throw new Error(`the console got ${JSON.stringify(lines)}`)
})

async function failureOf(answer: Promise<unknown>): Promise<KernError> {
  const error: unknown = await answer.then(
    (value) => expect.fail(`it answered ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  if (!isKernError(error)) throw new Error('the error is none of Kern', { cause: error })
  return error
}

/** What comes of a step that is answered so. */
async function failureWith(...answers: readonly Answer[]): Promise<KernError> {
  const { model } = await startModelServer(...answers)
  return await failureOf(startAgent(agentStep({ name: 'write', model, prompt: 'Write.' })).answer)
}

async function failureOfNode(node: AgentNode, options?: CallOptions): Promise<KernError> {
  return await failureOf(startAgent(node, options).answer)
}

describe('a provider that refuses', () => {
  test.each([408, 429, 500, 502, 503])('with status %d is unavailable', async (status) => {
    const error = await failureWith(refuses(status, 'not now'))
    expect(error).toMatchObject({ code: 'MODEL_UNAVAILABLE', retryable: true })
    expect(error.message).toBe(`model "small" of loopback.chat answered with status ${status}: not now`)
  })

  test.each([400, 401, 403, 404])('with status %d has refused the call', async (status) => {
    const error = await failureWith(refuses(status, 'not so'))
    expect(error).toMatchObject({ code: 'MODEL_REFUSED', retryable: false })
    expect(error.message).toBe(`model "small" of loopback.chat answered with status ${status}: not so`)
  })

  test('is asked once: how often is for the policy of the step to say', async () => {
    const { model, exchanges } = await startModelServer(refuses(500, 'not now'), says(['Hello']))
    await failureOfNode(agentStep({ name: 'write', model, prompt: 'Write.' }))
    expect(exchanges).toHaveLength(1)
  })

  test('and repeats the key does not make it known', async () => {
    const { model, exchanges } = await startModelServer(refuses(401, `Incorrect API key provided: ${API_KEY}.`))
    const { message } = await failureOfNode(agentStep({ name: 'write', model, prompt: 'Write.' }))
    expect(exchanges[0]?.headers.authorization).toBe(`Bearer ${API_KEY}`)
    expect(message).toContain('Incorrect API key provided: [key]')
    expect(message).not.toContain(API_KEY)
  })

  test('at length is cut short', async () => {
    const { message } = await failureWith(refuses(400, 'long '.repeat(1_000)))
    expect(message.length).toBeLessThan(600)
    expect(message).toMatch(/long…$/)
  })

  test('after a call that was counted leaves the count', async () => {
    const { model } = await startModelServer(asksFor('look', {}, [10, 5]), refuses(500, 'not now'))
    const look = tool({ inputSchema: z.object({}), execute: () => 'seen' })
    const { answer, usages } = startAgent(agentStep({ name: 'ask', model, prompt: 'Look.', tools: { look } }))
    expect((await failureOf(answer)).code).toBe('MODEL_UNAVAILABLE')
    expect(usages).toEqual([{ inputTokens: 10, outputTokens: 5, totalTokens: 15 }])
  })
})

describe('a provider that breaks off', () => {
  test('because it is not there is unavailable', async () => {
    const model = await modelOfNobody()
    const error = await failureOfNode(agentStep({ name: 'write', model, prompt: 'Write.' }))
    expect(error.code).toBe('MODEL_UNAVAILABLE')
    expect(error.message).toMatch(/^model "small" of loopback\.chat gave no whole answer: Cannot connect to API/)
  })

  test('with its connection is unavailable, and what it said until then is known', async () => {
    const gate = createGate()
    const { model } = await startModelServer(breaksOff(gate, 'Once', ' upon'))
    const node = agentStep({ name: 'write', model, prompt: 'Write.' })
    const { answer, partials } = startAgent(node, {
      partial: (value) => {
        if (value === 'Once upon') gate.open()
      },
    })
    const error = await failureOf(answer)
    expect(error.code).toBe('MODEL_UNAVAILABLE')
    expect(error.message).toContain('model "small" of loopback.chat')
    expect(partials).toEqual(['Once', 'Once upon'])
  })

  test('before it said anything is unavailable', async () => {
    const gate = createGate()
    gate.open()
    const error = await failureWith(breaksOff(gate))
    expect(error.code).toBe('MODEL_UNAVAILABLE')
  })

  test('with an error in its stream is unavailable', async () => {
    const error = await failureWith(saysError(['Once'], 'too much to do'))
    expect(error.code).toBe('MODEL_UNAVAILABLE')
    expect(error.message).toContain('too much to do')
  })

  test('without a reason is unavailable', async () => {
    expect((await failureWith(saysNoEnd('Once'))).code).toBe('MODEL_UNAVAILABLE')
    expect((await failureWith(saysNoEnd())).code).toBe('MODEL_UNAVAILABLE')
  })

  test('with a stream that cannot be read is unavailable', async () => {
    expect((await failureWith(saysNonsense())).code).toBe('MODEL_UNAVAILABLE')
  })
})

describe('an answer that is none', () => {
  test('because it was cut off at the limit of tokens is not taken for the whole', async () => {
    const error = await failureWith(says(['Once upon'], { finish: 'length' }))
    expect(error.code).toBe('OUTPUT_INVALID')
    expect(error.message).toContain('cut off at its limit of tokens')
  })

  test('because a filter held it back is a refusal', async () => {
    expect((await failureWith(says(['Once'], { finish: 'content_filter' }))).code).toBe('MODEL_REFUSED')
  })

  test.each([
    ['no JSON', 'Sure!', z.object({ title: z.string() })],
    ['half of one', '{"title":"Fo', z.object({ title: z.string() })],
    ['another object than the one that holds the value', '{"list":[]}', z.array(z.string())],
  ])('because it is %s does not fit the schema', async (_what, text, output) => {
    const { model } = await startModelServer(says([text]))
    const { answer, usages } = startAgent(agentStep({ name: 'write', model, prompt: 'Write.', output }))
    const error = await failureOf(answer)
    expect(error).toMatchObject({ code: 'OUTPUT_INVALID', retryable: true })
    expect(error.message).toContain(JSON.stringify(text))
    expect(usages).toHaveLength(1)
  })

  test('because the model still asks for tools in its last call names the tools and the limit', async () => {
    const { model, exchanges } = await startModelServer(asksFor('look', {}), asksFor('look', {}), says(['late']))
    const look = tool({ inputSchema: z.object({}), execute: () => 'seen' })
    const node = agentStep({ name: 'ask', model, prompt: 'Look.', tools: { look }, maxSteps: 2 })
    const error = await failureOfNode(node)
    expect(error.code).toBe('OUTPUT_INVALID')
    expect(error.message).toContain('asked for tools ("look") in call 2 of at most 2')
    expect(exchanges).toHaveLength(2)
  })

  test('because a tool has nobody who executes it names the tool', async () => {
    const { model } = await startModelServer(asksFor('look', {}))
    const look = tool({ inputSchema: z.object({}) })
    const error = await failureOfNode(agentStep({ name: 'ask', model, prompt: 'Look.', tools: { look } }))
    expect(error.code).toBe('OUTPUT_INVALID')
    expect(error.message).toContain('"look"')
  })
})

describe('a call that the SDK does not make', () => {
  test.each([
    ['a key is missing', new LoadAPIKeyError({ message: 'X_API_KEY is not set' })],
    ['there is no such model', new NoSuchModelError({ modelId: 'x', modelType: 'languageModel' })],
    [
      'the model is of another version',
      new UnsupportedModelVersionError({ version: 'v0', provider: 'p', modelId: 'x' }),
    ],
    ['the gateway knows nobody', Object.assign(new Error('who?'), { name: 'GatewayAuthenticationError' })],
  ])('because %s is refused', async (_why, thrown) => {
    const model = new MockLanguageModelV4({ provider: 'acme', modelId: 'x', doStream: () => Promise.reject(thrown) })
    const error = await failureOfNode(agentStep({ name: 'write', model, prompt: 'Write.' }))
    expect(error.code).toBe('MODEL_REFUSED')
    expect(error.message).toBe(`model "x" of acme cannot be called: ${thrown.message}`)
    expect(error.cause).toBe(thrown)
  })

  test('because the model is something else is refused', async () => {
    const model = { specificationVersion: 'v0', provider: 'acme', modelId: 'x' }
    const error = await failureOfNode(agentStep({ name: 'write', model, prompt: 'Write.' }))
    expect(error.code).toBe('MODEL_REFUSED')
  })

  test('and a provider of the author that ends all attempts is believed', async () => {
    const thrown = new NonRetryableError('never again')
    const model = new MockLanguageModelV4({ doStream: () => Promise.reject(thrown) })
    const { answer } = startAgent(agentStep({ name: 'write', model, prompt: 'Write.' }))
    await expect(answer).rejects.toBe(thrown)
  })
})

describe('a step that is defined wrongly', () => {
  const model = new MockLanguageModelV4()

  // Where the SDK makes the JSON Schema, only the call can tell that there is none.
  test.each([
    ['a date', () => olderZod(z.object({ at: z.date() })), 'Date'],
    ['a list that refers to itself', listOfLists, 'refers to itself'],
  ])('by a schema that is no JSON Schema, %s, is told so', async (_what, output, reason) => {
    const error = await failureOfNode(agentStep({ name: 'write', model, prompt: 'Write.', output: output() }))
    expect(error.code).toBe('DEFINITION_INVALID')
    expect(error.message).toContain('output of step "write"')
    expect(error.message).toContain(reason)
    expect(model.doStreamCalls).toHaveLength(0)
  })

  // The types keep authors from most of these.
  const given = (options: object): AgentNode => agentStep({ name: 'write', model, prompt: 'Write.', ...options })
  const system = { role: 'system', content: 'Obey.' }

  test.each([
    ['model', given({ model: () => 5 }), 'the model of step "write" is 5'],
    ['system', given({ system: () => null }), 'the system of step "write" is null'],
    ['prompt', given({ prompt: () => ({}) }), 'the prompt of step "write" is {}'],
    ['messages', given({ prompt: undefined, messages: () => [] }), 'the messages of step "write" is []'],
    ['messages with a role of the author', given({ prompt: undefined, messages: () => [system] }), "the step's system"],
    ['tools', given({ tools: () => ({ look: 1 }) }), 'the tools of step "write" is {"look":1}'],
  ])('by a function that gives wrong %s is told so', async (_what, node, message) => {
    const error = await failureOfNode(node)
    expect(error.code).toBe('OUTPUT_INVALID')
    expect(error.message).toContain(message)
  })

  test('by a function that throws fails with what it throws', async () => {
    const thrown = new Error('no topic')
    const prompt = () => Promise.reject(thrown)
    await expect(startAgent(agentStep({ name: 'write', model, prompt })).answer).rejects.toBe(thrown)
  })
})

function listOfLists() {
  const list: z.ZodType<unknown> = z.array(z.lazy(() => list))
  return list
}
