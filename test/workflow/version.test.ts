import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { agentStep } from '../../src/workflow/agentStep.ts'
import { approval } from '../../src/workflow/approval.ts'
import { condition } from '../../src/workflow/condition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { looseStep, looseWorkflow, schemaOf } from './support.ts'

const topic = schemaOf({ type: 'object', properties: { topic: { type: 'string' } } })
const text = schemaOf({ type: 'string' })

/** A version after changes to a workflow with one of everything, and to its step. */
function versionWith(workflow: object = {}, changed: object = {}): unknown {
  const load = looseStep({
    name: 'load',
    input: topic,
    output: text,
    state: topic,
    retry: { maxAttempts: 3, backoff: 'exponential', delay: '2s', maxDelay: '30s', retryIf: () => true },
    timeout: '10s',
    addWorkflowHistory: true,
    numHistoryRuns: 2,
    run: () => 'text',
    ...changed,
  })
  const definition = looseWorkflow({
    name: 'Golden',
    description: 'Does not count',
    input: topic,
    state: topic,
    initialState: { topic: 'none' },
    steps: [load, sequence('end', [step('one', () => 1), step('two', () => 2)])],
    numHistoryRuns: 4,
    historyBudget: { characters: 1_000 },
    timeout: '1m',
    ...workflow,
  })
  return definition instanceof Object && 'version' in definition ? definition.version : undefined
}

describe('the version of a workflow', () => {
  test('stays the same from one release to the next', () => {
    expect(versionWith()).toBe('6503f08c83e2')
    expect(defineWorkflow({ name: 'Small', steps: [step('only', () => 1)] }).version).toBe('c6b36e01daf2')
  })

  test('does not depend on descriptions, the code of functions, or the order of keys in schemas', () => {
    const reordered = schemaOf({ properties: { topic: { type: 'string' } }, type: 'object' })
    expect(versionWith({ description: 'Other', input: reordered })).toBe(versionWith())
    expect(versionWith({}, { description: 'Other', run: () => 'other' })).toBe(versionWith())
  })

  test('is the same for a default and the same setting given', () => {
    const run = () => 1
    const given = step({
      name: 'only',
      retry: { maxAttempts: 1, backoff: 'fixed', delay: 1_000, maxDelay: '60s' },
      onError: 'fail',
      run,
    })
    expect(defineWorkflow({ name: 'Same', id: 'same', initialState: {}, steps: [given] }).version).toBe(
      defineWorkflow({ name: 'Same', steps: [step('only', run)] }).version,
    )
  })

  const one = step('one', () => 1)
  const two = step('two', () => 2)
  test.each([
    [{ id: 'other' }],
    [{ name: 'golden' }],
    [{ input: text }],
    [{ input: undefined }],
    [{ state: text }],
    [{ initialState: {} }],
    [{ numHistoryRuns: 5 }],
    [{ historyBudget: { characters: 999 } }],
    [{ historyBudget: undefined }],
    [{ timeout: '2m' }],
    [{ addWorkflowHistoryToSteps: true }],
    [{ steps: [step({ name: 'load', addWorkflowHistory: true, run: () => 1 }), one, two] }],
    [{ steps: [step({ name: 'load', addWorkflowHistory: true, run: () => 1 }), two, one] }],
    [{ steps: [step({ name: 'load', addWorkflowHistory: true, run: () => 1 }), sequence('end', [one, two])] }],
  ])('changes with the workflow: %j', (change) => {
    expect(seen.has(versionWith(change))).toBe(false)
    seen.add(versionWith(change))
  })

  test.each([
    [{ name: 'other' }],
    [{ input: text }],
    [{ input: undefined }],
    [{ output: topic }],
    [{ state: text }],
    [{ retry: undefined }],
    [{ retry: { maxAttempts: 4, backoff: 'exponential', delay: '2s', maxDelay: '30s', retryIf: () => true } }],
    [{ retry: { maxAttempts: 3, backoff: 'fixed', delay: '2s', maxDelay: '30s', retryIf: () => true } }],
    [{ retry: { maxAttempts: 3, backoff: 'exponential', delay: '3s', maxDelay: '30s', retryIf: () => true } }],
    [{ retry: { maxAttempts: 3, backoff: 'exponential', delay: '2s', maxDelay: '31s', retryIf: () => true } }],
    [{ retry: { maxAttempts: 3, backoff: 'exponential', delay: '2s', maxDelay: '30s' } }],
    [{ timeout: '11s' }],
    [{ onError: 'skip' }],
    [{ onError: 'pause' }],
    [{ numHistoryRuns: 3 }],
    [{ numHistoryRuns: undefined }],
  ])('changes with a step: %j', (change) => {
    expect(seen.has(versionWith({}, change))).toBe(false)
    seen.add(versionWith({}, change))
  })
  const seen = new Set<unknown>([versionWith()])

  test('tells a schema that has no JSON Schema from none', () => {
    const silent = z.date()
    expect(versionWith({ input: silent })).not.toBe(versionWith({ input: undefined }))
  })
})

/** The version of a workflow of these nodes. */
function versionOf(...steps: readonly unknown[]): unknown {
  const definition = looseWorkflow({ name: 'Nodes', steps })
  return definition instanceof Object && 'version' in definition ? definition.version : undefined
}

describe('the version of a workflow with nodes of all kinds', () => {
  const [one, two] = [step('one', () => 1), step('two', () => 2)]
  const yes = () => true
  const inner = (name: string) => ({ definition: defineWorkflow({ name, steps: [one] }) })
  const agent = { name: 'a', model: 'some/model', prompt: 'Write' }
  const model = { specificationVersion: 'v4', provider: 'some', modelId: 'model' }
  const wait = { prompt: 'Go on?', timeout: '1d' } as const

  test('stays the same from one release to the next', () => {
    const all = [
      parallel('p', [one, two], { concurrency: 2, failFast: false }),
      condition('c', { if: yes, then: [one], else: [two] }),
      router('r', { select: () => 'one' as const, choices: [one, two] }),
      loop('l', { steps: [one], until: yes, maxIterations: 3, carry: true }),
      map('m', { items: () => [1], steps: [one], concurrency: 3 }),
      nested('n', inner('Inner'), { history: false }),
      agentStep({ ...agent, model, temperature: 1, headers: { 'x-key': 'secret' } }),
      approval('ok?', { ...wait, onTimeout: true }),
      waitForInput('i', { ...wait, schema: text, onTimeout: 'EU' }),
      sleep('z', '1h'),
    ]
    expect(versionOf(...all)).toBe('d5f22d4766c2')
  })

  test.each([
    ['the steps', parallel('p', [one, two]), parallel('p', [two, one])],
    ['the kind', parallel('p', [one]), sequence('p', [one])],
    ['concurrency', parallel('p', [one]), parallel('p', [one], { concurrency: 1 })],
    ['failFast', parallel('p', [one]), parallel('p', [one], { failFast: false })],
    ['the branch', condition('c', { if: yes, then: [one] }), condition('c', { if: yes, else: [one] })],
    [
      'choices',
      router('r', { select: yes as never, choices: [one] }),
      router('r', { select: yes as never, choices: [two] }),
    ],
    ['maxIterations', loop('l', { steps: [one], maxIterations: 2 }), loop('l', { steps: [one], maxIterations: 3 })],
    ['until', loop('l', { steps: [one], maxIterations: 2 }), loop('l', { steps: [one], maxIterations: 2, until: yes })],
    [
      'carry',
      loop('l', { steps: [one], maxIterations: 2 }),
      loop('l', { steps: [one], maxIterations: 2, carry: true }),
    ],
    ['items', map('m', { steps: [one] }), map('m', { steps: [one], items: () => [] })],
    ['concurrency', map('m', { steps: [one] }), map('m', { steps: [one], concurrency: 9 })],
    ['the workflow', nested('n', inner('Inner')), nested('n', inner('Other'))],
    ['history', nested('n', inner('Inner')), nested('n', inner('Inner'), { history: false })],
    ['a prompt that is text', approval('a', { prompt: 'Yes?' }), approval('a', { prompt: 'No?' })],
    ['a prompt that is computed', approval('a', { prompt: 'Yes?' }), approval('a', { prompt: () => 'Yes?' })],
    ['timeout', approval('a', wait), approval('a', { ...wait, timeout: '2d' })],
    ['onTimeout', approval('a', wait), approval('a', { ...wait, onTimeout: false })],
    ['schema', waitForInput('i', { ...wait, schema: text }), waitForInput('i', { ...wait, schema: topic })],
    [
      'onTimeout',
      waitForInput('i', { ...wait, schema: text }),
      waitForInput('i', { ...wait, schema: text, onTimeout: null }),
    ],
    ['the duration', sleep('z', 1), sleep('z', 2)],
    ['model', agentStep(agent), agentStep({ ...agent, model })],
    ['a model that is computed', agentStep(agent), agentStep({ ...agent, model: () => 'some/model' })],
    ['system', agentStep(agent), agentStep({ ...agent, system: 'Be brief' })],
    [
      'messages',
      agentStep({ ...agent, prompt: undefined, messages: [{ role: 'user', content: 'x' }] }),
      agentStep(agent),
    ],
    ['tools', agentStep({ ...agent, tools: { a: {} } }), agentStep({ ...agent, tools: { b: {} } })],
    ['maxSteps', agentStep({ ...agent, tools: { a: {} } }), agentStep({ ...agent, tools: { a: {} }, maxSteps: 2 })],
    ['a setting of the model', agentStep(agent), agentStep({ ...agent, temperature: 0 })],
    ['onError', agentStep(agent), agentStep({ ...agent, onError: 'skip' })],
    ['output', agentStep(agent), agentStep({ ...agent, output: text })],
  ])('changes with %s', (_, before, after) => {
    expect(versionOf(before)).not.toBe(versionOf(after))
  })

  test.each([
    ['a default that is given', parallel('p', [one]), parallel('p', [one], { failFast: true })],
    [
      'the code of a function',
      condition('c', { if: yes, then: [one] }),
      condition('c', { if: () => false, then: [one] }),
    ],
    [
      'an object of a model in the place of another',
      agentStep({ ...agent, model }),
      agentStep({ ...agent, model: { ...model } }),
    ],
    [
      'the value of a header, which may be a secret',
      agentStep({ ...agent, headers: { 'x-key': 'one' } }),
      agentStep({ ...agent, headers: { 'x-key': 'two' } }),
    ],
    ['a description', sleep('z', 1), sleep('z', 1, { description: 'Long' })],
    [
      'the tools themselves',
      agentStep({ ...agent, tools: { a: {} } }),
      agentStep({ ...agent, tools: { a: { b: 1 } } }),
    ],
  ])('does not change with %s', (_, before, after) => {
    expect(versionOf(before)).toBe(versionOf(after))
  })
})
