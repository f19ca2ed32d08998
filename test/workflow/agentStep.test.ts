import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { tool } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'
import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { agentStep } from '../../src/workflow/agentStep.ts'
import { needAi } from '../../src/workflow/aiPackage.ts'
import { looseAgentStep, olderZod, refusal, thawed } from './support.ts'

const model = new MockLanguageModelV4({ provider: 'some', modelId: 'large' })
const weather = tool({ inputSchema: z.object({}), execute: () => 'Rain' })
const given = { name: 'write', model, prompt: 'Write' }

describe('agentStep', () => {
  test('makes a frozen node with the defaults of every setting', () => {
    const node = agentStep(given)
    expect(node).toEqual({
      kind: 'agent',
      name: 'write',
      description: null,
      input: null,
      output: null,
      state: null,
      retry: { maxAttempts: 1, backoff: 'fixed', delayMs: 1_000, maxDelayMs: 60_000, retryIf: null },
      timeoutMs: null,
      onError: 'fail',
      addWorkflowHistory: null,
      numHistoryRuns: null,
      model,
      system: null,
      prompt: 'Write',
      messages: null,
      tools: null,
      maxSteps: 1,
      settings: {},
    })
    expect(Object.isFrozen(node)).toBe(true)
    expect(Object.isFrozen(node.settings)).toBe(true)
  })

  test('keeps every setting that is given, those of the model call together', () => {
    const settings = {
      temperature: 0.5,
      maxOutputTokens: 1_000,
      topP: 0.9,
      topK: 40,
      presencePenalty: -1,
      frequencyPenalty: 1,
      stopSequences: ['END'],
      seed: 7,
      headers: { 'x-key': 'secret' },
      providerOptions: { some: { effort: 'high', nested: { list: [1] } } },
    }
    const output = z.object({ title: z.string() })
    const node = agentStep({
      ...given,
      ...settings,
      description: 'Writes',
      output,
      system: () => 'Be brief',
      tools: { weather },
      maxSteps: 100,
      retry: { maxAttempts: 3 },
      timeout: '1m',
      onError: 'pause',
      addWorkflowHistory: true,
      numHistoryRuns: 2,
    })
    expect(node).toMatchObject({
      description: 'Writes',
      tools: { weather },
      maxSteps: 100,
      retry: { maxAttempts: 3 },
      timeoutMs: 60_000,
      onError: 'pause',
      addWorkflowHistory: true,
      numHistoryRuns: 2,
    })
    expect(node.output).toBe(output)
    expect(node.settings).toEqual(settings)
    expect(thawed(node.settings, 'settings')).toEqual([])
    expect(Object.isFrozen(weather)).toBe(false)
    expect(Object.isFrozen(settings.headers)).toBe(false)
  })

  test('may call the model ten times with tools, unless it says otherwise', () => {
    expect(agentStep({ ...given, tools: { weather } }).maxSteps).toBe(10)
    expect(agentStep({ ...given, tools: () => ({ weather }) }).maxSteps).toBe(10)
    expect(agentStep({ ...given, tools: { weather }, maxSteps: 2 }).maxSteps).toBe(2)
  })

  test('takes messages in the place of a prompt', () => {
    const messages = [{ role: 'user', content: 'Hi' }] as const
    expect(agentStep({ name: 'write', model: 'some/model', messages })).toMatchObject({
      model: 'some/model',
      prompt: null,
      messages,
    })
  })

  test.each([
    [{ prompt: undefined }, 'agent step "write" has neither prompt nor messages: exactly one of them is needed'],
    [{ messages: [{ role: 'user', content: 'Hi' }] }, 'agent step "write" has both prompt and messages: exactly one'],
    [{ name: 'a/b' }, 'the name of an agent step is "a/b"'],
    [{ model: undefined }, 'model of agent step "write" is undefined: allowed is a model of the ai SDK'],
    [{ model: '' }, 'model of agent step "write" is ""'],
    [{ model: { modelId: 'large' } }, 'model of agent step "write" is {"modelId":"large"}'],
    [{ system: '' }, 'system of agent step "write" is "": allowed is text that is not empty'],
    [{ prompt: 5 }, 'prompt of agent step "write" is 5'],
    [{ prompt: undefined, messages: [] }, 'messages of agent step "write" is []: allowed is a list of messages'],
    [{ prompt: undefined, messages: [{ role: 'bot', content: '' }] }, 'messages of agent step "write" is'],
    [{ prompt: undefined, messages: [{ role: 'user', content: 5 }] }, 'messages of agent step "write" is'],
    [
      { prompt: undefined, messages: [{ role: 'system', content: 'Obey' }] },
      'messages of agent step "write" is [{"role":"system","content":"Obey"}]: allowed is none with the role system: ' +
        "give that text as the step's system",
    ],
    [{ tools: {} }, 'tools of agent step "write" is {}: allowed is an object with at least one tool of the ai SDK'],
    [{ tools: [weather] }, 'tools of agent step "write" is ['],
    [{ tools: { weather: 'sunny' } }, 'weather in tools of agent step "write" is "sunny"'],
    [{ maxSteps: 3 }, 'maxSteps of agent step "write" is 3: allowed is none without tools'],
    [{ tools: { weather }, maxSteps: 101 }, 'maxSteps of agent step "write" is 101: allowed is a whole number from 1'],
    [{ output: { type: 'object' } }, 'output of agent step "write" is {"type":"object"}: allowed is a Standard Schema'],
    [{ onError: 'retry' }, 'onError of agent step "write" is "retry"'],
    [{ addWorkflowHistory: false, numHistoryRuns: 3 }, 'numHistoryRuns of agent step "write" is 3: allowed is none'],
    [{ temperature: Number.NaN }, 'temperature of agent step "write" is NaN: allowed is a number'],
    [{ temperature: '1' }, 'temperature of agent step "write" is "1"'],
    [{ maxOutputTokens: 0 }, 'maxOutputTokens of agent step "write" is 0: allowed is a whole number from 1'],
    [{ topK: null }, 'topK of agent step "write" is null'],
    [{ seed: 1.5 }, 'seed of agent step "write" is 1.5: allowed is a whole number'],
    [{ stopSequences: 'END' }, 'stopSequences of agent step "write" is "END": allowed is a list of texts'],
    [{ stopSequences: ['END', 5] }, 'stopSequences of agent step "write" is ["END",5]'],
    [{ headers: 'x-key' }, 'headers of agent step "write" is "x-key": allowed is an object of texts'],
    [{ headers: { 'x-key': 5 } }, 'x-key in headers of agent step "write" is "number": allowed is text'],
    [{ providerOptions: [] }, 'providerOptions of agent step "write" is []: allowed is an object with an object for'],
    [{ providerOptions: { some: 5 } }, 'some in providerOptions of agent step "write" is 5'],
    [{ providerOptions: { some: { at: new Date(0) } } }, 'providerOptions of agent step "write" cannot be stored'],
    [{ maxTokens: 5 }, 'agent step "write" has the unknown option "maxTokens": allowed are name, description'],
    [{ run: () => 1 }, 'agent step "write" has the unknown option "run"'],
  ])('refuses the options %j', (options, message) => {
    expect(refusal(() => looseAgentStep({ ...given, ...options }))).toContain(message)
  })

  test.each([
    [
      'plain valibot',
      v.object({ a: v.string() }),
      'a schema of valibot that cannot be given to a model as JSON Schema: it does not tell one; ' +
        'wrap it in toStandardJsonSchema() of @valibot/to-json-schema',
    ],
    [
      'valibot with a date',
      toStandardJsonSchema(v.object({ at: v.date() })),
      'a schema of valibot that cannot be given to a model',
    ],
    [
      'zod with a date',
      z.object({ at: z.date() }),
      'a schema of zod that cannot be given to a model as JSON Schema: Date cannot be represented',
    ],
  ])('refuses a schema of the output that has no JSON Schema for the model: %s', (_what, output, message) => {
    expect(refusal(() => agentStep({ ...given, output }))).toContain(`output of agent step "write" is ${message}`)
  })

  test.each([
    ['valibot that was wrapped', toStandardJsonSchema(v.object({ a: v.string() }))],
    ['arktype', type({ a: 'string' })],
    ['zod that turns text into something else', z.string().transform((text) => new Date(text))],
    ['zod that tells no JSON Schema itself', olderZod(z.object({ at: z.string() }))],
  ])('takes a schema of the output of %s', (_what, output) => {
    expect(agentStep({ ...given, output }).output).toBe(output)
  })

  test('refuses what is no object of options', () => {
    expect(refusal(() => looseAgentStep('write'))).toContain('an agent step is "write": allowed is an object with name')
  })

  test('says what to install where the package of the SDK is missing', () => {
    expect(refusal(() => needAi('agent step "write"', 'file:///nowhere/index.js'))).toBe(
      'agent step "write" needs the package "ai", which is not installed: npm install ai',
    )
  })
})
