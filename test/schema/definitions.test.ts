import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WorkflowDefinition } from '../../src/workflow/definition.ts'
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
import { memoryContext, run } from './support.ts'

const Pages = z.object({ pages: z.number() })
const PAGES = { type: 'object', properties: { pages: { type: 'number' } }, required: ['pages'] }
const TEXT = { type: 'string' }

const counts = step({ name: 'counts', input: z.string(), output: Pages, run: () => ({ pages: 1 }) })
const ends = step({ name: 'ends', output: Pages, run: () => ({ pages: 1 }) })
const any = (name: string) => step(name, () => 'text')

const inner = defineWorkflow({ name: 'Inner', input: z.string(), steps: [counts, sequence('last', [ends])] })

/** Every kind of step, in places where it makes a difference. */
const every = defineWorkflow({
  name: 'Every kind',
  steps: [
    parallel('at once', [any('one'), any('two')]),
    condition('if', {
      if: () => true,
      // oxlint-disable-next-line unicorn/no-thenable -- the name of the option
      then: [any('yes'), sequence('group', [any('deep')])],
      else: [any('no')],
    }),
    router('route', { select: () => 'short', choices: [any('short')] }),
    nested('sub', { definition: inner }),
    loop('again', { steps: [any('turn')], maxIterations: 2 }),
    map('each', { items: () => [1], steps: [any('item')] }),
    sleep('rest', '2h'),
    agentStep({ name: 'says', model: 'a/b', prompt: 'Say', retry: { maxAttempts: 4 }, timeout: '20s' }),
    agentStep({ name: 'tells', model: 'a/b', prompt: 'Tell', output: Pages }),
    approval('sure', { prompt: 'Sure?', timeout: '1d', onTimeout: false }),
    waitForInput('ask', { prompt: 'Which?', schema: Pages }),
  ],
})

async function stepsOf(definition: WorkflowDefinition, fields: string): Promise<Record<string, unknown>> {
  const { data, errors } = await run(
    `{ workflow(workflowId: "${definition.id}") { steps { path ${fields} } } }`,
    memoryContext({ workflows: [definition] }),
  )
  expect(errors).toBeUndefined()
  const steps: { path: string }[] = Object(data?.['workflow']).steps
  return Object.fromEntries(steps.map(({ path, ...rest }) => [path, Object.values(rest).at(0)]))
}

describe('a workflow', () => {
  test('shows its steps as a tree with their settings', async () => {
    const { context } = memoryContext()
    const { data } = await run(
      `{ workflow(workflowId: "pipeline") { id workflowId inputSchema outputSchema stateSchema
           steps { path parentPath kind maxAttempts timeoutMs addsHistory outputSchema } } }`,
      { context },
    )
    const pages = { type: 'object', properties: { pages: { type: 'number' } }, required: ['pages'] }
    expect(data?.['workflow']).toMatchObject({
      workflowId: 'pipeline',
      inputSchema: { type: 'object', properties: { topic: { type: 'string' } }, required: ['topic'] },
      outputSchema: pages,
      stateSchema: null,
      steps: [
        {
          path: 'read',
          parentPath: null,
          kind: 'STEP',
          maxAttempts: 3,
          timeoutMs: 30_000,
          addsHistory: false,
          outputSchema: null,
        },
        {
          path: 'finish',
          parentPath: null,
          kind: 'SEQUENCE',
          maxAttempts: 1,
          timeoutMs: null,
          addsHistory: false,
          outputSchema: pages,
        },
        {
          path: 'finish/write',
          parentPath: 'finish',
          kind: 'STEP',
          maxAttempts: 1,
          timeoutMs: null,
          addsHistory: true,
          outputSchema: pages,
        },
      ],
    })
  })

  test('is null where it is not served', async () => {
    expect((await run('{ workflow(workflowId: "x") { id } workflows { workflowId } }', memoryContext())).data).toEqual({
      workflow: null,
      workflows: [{ workflowId: 'pipeline' }],
    })
  })

  test('shows steps of every kind, those of nested workflows and branches below what holds them', async () => {
    expect(await stepsOf(every, 'kind')).toEqual({
      'at once': 'PARALLEL',
      'at once/one': 'STEP',
      'at once/two': 'STEP',
      if: 'CONDITION',
      'if/yes': 'STEP',
      'if/group': 'SEQUENCE',
      'if/group/deep': 'STEP',
      'if/no': 'STEP',
      route: 'ROUTER',
      'route/short': 'STEP',
      again: 'LOOP',
      'again/turn': 'STEP',
      each: 'MAP',
      'each/item': 'STEP',
      sub: 'WORKFLOW',
      'sub/counts': 'STEP',
      'sub/last': 'SEQUENCE',
      'sub/last/ends': 'STEP',
      rest: 'SLEEP',
      says: 'AGENT',
      tells: 'AGENT',
      sure: 'APPROVAL',
      ask: 'INPUT',
    })
    expect(await stepsOf(every, 'parentPath')).toMatchObject({
      'if/yes': 'if',
      'if/group/deep': 'if/group',
      'route/short': 'route',
      'sub/last/ends': 'sub/last',
      rest: null,
    })
  })

  test('tells in which branch of its condition a step is', async () => {
    const branches = Object.entries(await stepsOf(every, 'branch')).filter(([, branch]) => branch !== null)
    expect(branches).toEqual([
      ['if/yes', 'THEN'],
      ['if/group', 'THEN'],
      ['if/no', 'ELSE'],
    ])
  })

  test('tells how often a step is tried, and how long an attempt or a wait for a person takes at most', async () => {
    const attempts = Object.entries(await stepsOf(every, 'maxAttempts')).filter(([, most]) => most !== 1)
    expect(attempts).toEqual([['says', 4]])
    const timeouts = Object.entries(await stepsOf(every, 'timeoutMs')).filter(([, ms]) => ms !== null)
    expect(timeouts).toEqual([
      ['says', 20_000],
      ['sure', 86_400_000],
    ])
  })

  test('tells what a step takes and yields, where that is known', async () => {
    const known = async (field: string) =>
      Object.fromEntries(Object.entries(await stepsOf(every, field)).filter(([, schema]) => schema !== null))
    const $schema = expect.any(String)
    expect(await known('inputSchema')).toEqual({
      sub: { $schema, ...TEXT },
      'sub/counts': { $schema, ...TEXT },
    })
    const pages = expect.objectContaining(PAGES)
    expect(await known('outputSchema')).toEqual({
      sub: pages,
      'sub/counts': pages,
      'sub/last': pages,
      'sub/last/ends': pages,
      says: TEXT,
      tells: pages,
      sure: {
        $schema,
        type: 'object',
        properties: { approved: { type: 'boolean' }, comment: { type: 'string' }, input: {} },
        required: ['approved'],
        additionalProperties: false,
      },
      ask: pages,
    })
  })

  test.each([
    ['a sequence', sequence('group', [any('before'), counts]), PAGES],
    ['a loop', loop('again', { steps: [counts], maxIterations: 2 }), PAGES],
    ['a nested workflow', nested('sub', { definition: inner }), PAGES],
    ['a question', waitForInput('ask', { prompt: 'Which?', schema: Pages }), PAGES],
    ['steps at once', parallel('both', [counts]), null],
    ['a map', map('each', { items: () => ['a'], steps: [counts] }), null],
    // oxlint-disable-next-line unicorn/no-thenable -- the name of the option
    ['a condition', condition('if', { if: () => true, then: [counts] }), null],
    ['a router', router('route', { select: () => 'counts', choices: [counts] }), null],
    ['a sleep', sleep('rest', '1s'), null],
  ])('that ends with %s tells what it yields only if that is known', async (_what, node, schema) => {
    const definition = defineWorkflow({ name: 'Ends', steps: [node] as never }) // which fits no neighbour
    const { data } = await run(
      '{ workflow(workflowId: "ends") { outputSchema } }',
      memoryContext({ workflows: [definition] }),
    )
    const found = Object(data?.['workflow']).outputSchema
    if (schema === null) expect(found).toBeNull()
    else expect(found).toMatchObject(schema)
  })

  describe('tells which of its steps are given history', () => {
    const told = (name: string, addWorkflowHistory?: boolean) =>
      step({ name, run: () => null, ...(addWorkflowHistory === undefined ? {} : { addWorkflowHistory }) })
    const steps = [
      told('as said'),
      told('on', true),
      told('off', false),
      agentStep({ name: 'agent', model: 'a/b', prompt: 'Say' }),
      approval('sure', { prompt: () => 'Sure?' }),
      sequence('group', [told('deep')]),
    ] as const
    const given = async (definition: WorkflowDefinition) =>
      Object.entries(await stepsOf(definition, 'addsHistory')).flatMap(([path, adds]) => (adds === true ? [path] : []))

    test.each([
      [true, ['as said', 'on', 'agent', 'group/deep']],
      [false, ['on']],
    ])('where it says %j itself', async (addWorkflowHistoryToSteps, paths) => {
      const definition = defineWorkflow({ name: 'Own', steps: [...steps], addWorkflowHistoryToSteps })
      expect(await given(definition)).toEqual(paths)
    })

    test('where it is nested: by its own setting, unless what holds it says no', async () => {
      const own = defineWorkflow({ name: 'Own', steps: [...steps], addWorkflowHistoryToSteps: true })
      const between = defineWorkflow({ name: 'Between', steps: [nested('own', { definition: own }), told('as said')] })
      const around = defineWorkflow({
        name: 'Around',
        steps: [
          nested('with', { definition: between }),
          nested('without', { definition: between }, { history: false }),
          told('as said'),
        ],
        addWorkflowHistoryToSteps: true,
      })
      expect(await given(around)).toEqual([
        'with/own/as said',
        'with/own/on',
        'with/own/agent',
        'with/own/group/deep',
        'as said',
      ])
    })
  })
})
