import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
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
