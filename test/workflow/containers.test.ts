import { describe, expect, test } from 'vitest'
import { condition } from '../../src/workflow/condition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import {
  looseCondition,
  looseLoop,
  looseMap,
  looseNested,
  looseParallel,
  looseRouter,
  refusal,
  thawed,
} from './support.ts'

const one = step('one', () => 1)
const two = step('two', () => 2)
const yes = () => true

describe('parallel', () => {
  test('is a frozen node with the defaults of every setting', () => {
    const node = parallel('gather', [one, two])
    expect(node).toEqual({
      kind: 'parallel',
      name: 'gather',
      description: null,
      steps: [one, two],
      concurrency: null,
      failFast: true,
    })
    expect(thawed(node, 'node')).toEqual([])
  })

  test('keeps every setting that is given', () => {
    const node = parallel('gather', [one], { description: 'Both', concurrency: 1_000, failFast: false })
    expect(node).toMatchObject({ description: 'Both', concurrency: 1_000, failFast: false })
  })

  test.each([
    [['a/b', [one]], 'the name of a parallel is "a/b"'],
    [['p', []], 'parallel "p" has no steps: at least one is needed'],
    [['p', one], 'steps of parallel "p" is {'],
    [['p', [one, 5]], 'steps[1] of parallel "p" is 5: allowed is what step()'],
    [['p', [one], { until: yes }], 'parallel "p" has the unknown option "until": allowed are description, concurrency'],
    [['p', [one], { concurrency: 0 }], 'concurrency of parallel "p" is 0: allowed is a whole number from 1 to 1000'],
    [['p', [one], { concurrency: 1_001 }], 'concurrency of parallel "p" is 1001'],
    [['p', [one], { failFast: 'no' }], 'failFast of parallel "p" is "no": allowed are true and false'],
    [['p', [one], { description: 5 }], 'description of parallel "p" is 5'],
  ])('refuses %j', (given, message) => {
    expect(refusal(() => looseParallel(...given))).toContain(message)
  })
})

describe('a condition', () => {
  test('is a frozen node with both its lists', () => {
    const node = condition('enough', { description: 'Sees', if: yes, then: [one], else: [two] })
    expect(node).toEqual({ kind: 'condition', name: 'enough', description: 'Sees', if: yes, then: [one], else: [two] })
    expect(thawed(node, 'node')).toEqual([])
  })

  test('may leave one list out, or empty', () => {
    expect(condition('c', { if: yes, then: [one] })).toMatchObject({ then: [one], else: [] })
    expect(condition('c', { if: yes, then: [], else: [two] })).toMatchObject({ then: [], else: [two] })
    expect(thawed(condition('c', { if: yes, else: [two] }), 'node')).toEqual([])
  })

  test.each([
    [['', { if: yes, then: [one] }], 'the name of a condition is ""'],
    [['c'], 'condition "c" is undefined: allowed is an object with description, if, then, else'],
    [['c', { if: yes }], 'condition "c" has no steps: at least one is needed in then or else'],
    [['c', { if: yes, then: [], else: [] }], 'condition "c" has no steps: at least one is needed in then or else'],
    [['c', { then: [one] }], 'if of condition "c" is undefined: allowed is a function'],
    [['c', { if: true, then: [one] }], 'if of condition "c" is true: allowed is a function'],
    [['c', { if: yes, then: one }], 'then of condition "c" is {'],
    [['c', { if: yes, then: [one, null] }], 'then[1] of condition "c" is null'],
    [['c', { if: yes, else: ['two'] }], 'else[0] of condition "c" is "two"'],
    [['c', { if: yes, then: [one], otherwise: [] }], 'condition "c" has the unknown option "otherwise"'],
  ])('refuses %j', (given, message) => {
    expect(refusal(() => looseCondition(...given))).toContain(message)
  })
})

describe('a router', () => {
  test('is a frozen node with its choices', () => {
    const select = () => 'one' as const
    const node = router('route', { select, choices: [one, two] })
    expect(node).toEqual({ kind: 'router', name: 'route', description: null, select, choices: [one, two] })
    expect(thawed(node, 'node')).toEqual([])
  })

  test.each([
    [['[', { select: yes, choices: [one] }], 'the name of a router is "["'],
    [['r', { choices: [one] }], 'select of router "r" is undefined: allowed is a function'],
    [['r', { select: 'one', choices: [one] }], 'select of router "r" is "one"'],
    [['r', { select: yes, choices: [] }], 'router "r" has no choices: at least one is needed'],
    [['r', { select: yes }], 'choices of router "r" is undefined: allowed is a list'],
    [['r', { select: yes, choices: { one } }], 'choices of router "r" is {'],
    [['r', { select: yes, choices: [{ ...one }] }], 'choices[0] of router "r" is {'],
    [['r', { select: yes, steps: [one] }], 'router "r" has the unknown option "steps"'],
  ])('refuses %j', (given, message) => {
    expect(refusal(() => looseRouter(...given))).toContain(message)
  })
})

describe('a loop', () => {
  test('is a frozen node with the defaults of every setting', () => {
    const node = loop('refine', { steps: [one, two], maxIterations: 10_000 })
    expect(node).toEqual({
      kind: 'loop',
      name: 'refine',
      description: null,
      steps: [one, two],
      until: null,
      maxIterations: 10_000,
      carry: false,
    })
    expect(thawed(node, 'node')).toEqual([])
  })

  test('keeps every setting that is given', () => {
    const given = { description: 'Again', steps: [one], until: yes, maxIterations: 1, carry: true } as const
    expect(loop('refine', given)).toEqual({ kind: 'loop', name: 'refine', ...given })
  })

  test.each([
    [
      { maxIterations: undefined },
      'loop "l" is a loop without a bound: maxIterations is needed, a whole number from 1',
    ],
    [{ maxIterations: 0 }, 'maxIterations of loop "l" is 0: allowed is a whole number from 1 to 10000'],
    [{ maxIterations: 10_001 }, 'maxIterations of loop "l" is 10001'],
    [{ maxIterations: Number.POSITIVE_INFINITY }, 'maxIterations of loop "l" is Infinity'],
    [{ steps: [] }, 'loop "l" has no steps'],
    [{ until: 3 }, 'until of loop "l" is 3: allowed is a function'],
    [{ carry: 1 }, 'carry of loop "l" is 1: allowed are true and false'],
    [{ while: yes }, 'loop "l" has the unknown option "while"'],
  ])('refuses %j', (options, message) => {
    expect(refusal(() => looseLoop('l', { steps: [one], maxIterations: 3, ...options }))).toContain(message)
  })
})

describe('a map', () => {
  test('is a frozen node with the defaults of every setting', () => {
    const node = map('each', { steps: [one] })
    expect(node).toEqual({
      kind: 'map',
      name: 'each',
      description: null,
      items: null,
      steps: [one],
      concurrency: 10,
    })
    expect(thawed(node, 'node')).toEqual([])
  })

  test('keeps every setting that is given', () => {
    const items = () => [1, 2]
    expect(map('each', { description: 'All', items, steps: [one], concurrency: 1 })).toMatchObject({
      description: 'All',
      items,
      concurrency: 1,
    })
  })

  test.each([
    [{ items: [1, 2] }, 'items of map "m" is [1,2]: allowed is a function'],
    [{ steps: undefined }, 'steps of map "m" is undefined'],
    [{ concurrency: 1.5 }, 'concurrency of map "m" is 1.5: allowed is a whole number from 1 to 1000'],
    [{ carry: true }, 'map "m" has the unknown option "carry"'],
  ])('refuses %j', (options, message) => {
    expect(refusal(() => looseMap('m', { steps: [one], ...options }))).toContain(message)
  })
})

describe('a nested workflow', () => {
  const definition = defineWorkflow({ name: 'Other', steps: [one, two] })

  test('is a frozen node with the definition of the other', () => {
    const node = nested('sub', { definition })
    expect(node).toEqual({ kind: 'workflow', name: 'sub', description: null, workflow: definition, history: true })
    expect(thawed(node, 'node')).toEqual([])
    expect(nested('sub', { definition }, { description: 'Other', history: false })).toMatchObject({
      description: 'Other',
      history: false,
    })
  })

  test.each([
    [['s/b', { definition }], 'the name of a nested workflow is "s/b"'],
    [['sub'], 'the workflow of nested workflow "sub" is undefined: allowed is a Workflow'],
    [['sub', definition], 'the workflow of nested workflow "sub" is {'],
    [['sub', { definition: { ...definition } }], 'the workflow of nested workflow "sub" is {'],
    [['sub', { definition: one }], 'allowed is a Workflow'],
    [['sub', { definition }, { history: 3 }], 'history of nested workflow "sub" is 3: allowed are true and false'],
    [['sub', { definition }, { carry: true }], 'nested workflow "sub" has the unknown option "carry"'],
  ])('refuses %j', (given, message) => {
    expect(refusal(() => looseNested(...given))).toContain(message)
  })
})
