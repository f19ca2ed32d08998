import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { agentStep } from '../../src/workflow/agentStep.ts'
import { approval } from '../../src/workflow/approval.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { WorkflowNode } from '../../src/workflow/definition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { childrenOf, definitionPathOf } from '../../src/workflow/nodes.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { sleep } from '../../src/workflow/sleep.ts'
import { step } from '../../src/workflow/step.ts'
import { waitForInput } from '../../src/workflow/waitForInput.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { looseWorkflow, refusal, thawed } from './support.ts'

const one = step('one', () => 1)
const two = step('two', () => 2)
const yes = () => true
const inner = { definition: defineWorkflow({ name: 'Inner', description: 'Within', steps: [sequence('s', [one])] }) }

const gather = parallel('gather', [one, two])
const enough = condition('enough', { if: yes, then: [one], else: [two] })
const route = router('route', { select: () => 'one' as const, choices: [one, two] })
const refine = loop('refine', { steps: [one, two], maxIterations: 3 })
const each = map('each', { items: () => [1], steps: [one] })
const sub = nested('sub', inner)
const leaves = [
  agentStep({ name: 'write', model: 'some/model', prompt: 'Write' }),
  approval('ok?', { prompt: 'Go on?' }),
  waitForInput('details', { prompt: 'Where?', schema: z.string() }),
  sleep('rest', '1s'),
] as const

describe('a tree of all kinds', () => {
  const { nodes, data } = defineWorkflow({
    name: 'Whole',
    steps: [gather, enough, route, refine, each, sub, ...leaves],
  })

  test('lists every node by the names around it, whatever holds it', () => {
    expect(nodes.map(({ path, parentPath, node }) => [path, parentPath, node.kind])).toEqual([
      ['gather', null, 'parallel'],
      ['gather/one', 'gather', 'step'],
      ['gather/two', 'gather', 'step'],
      ['enough', null, 'condition'],
      ['enough/one', 'enough', 'step'],
      ['enough/two', 'enough', 'step'],
      ['route', null, 'router'],
      ['route/one', 'route', 'step'],
      ['route/two', 'route', 'step'],
      ['refine', null, 'loop'],
      ['refine/one', 'refine', 'step'],
      ['refine/two', 'refine', 'step'],
      ['each', null, 'map'],
      ['each/one', 'each', 'step'],
      ['sub', null, 'workflow'],
      ['sub/s', 'sub', 'sequence'],
      ['sub/s/one', 'sub/s', 'step'],
      ['write', null, 'agent'],
      ['ok?', null, 'approval'],
      ['details', null, 'input'],
      ['rest', null, 'sleep'],
    ])
  })

  test('has the same tree as data, each list under the name that it has in the options', () => {
    const leaf = (name: string, path: string) => ({ kind: 'step', name, description: null, path })
    const holder = (kind: string, name: string) => ({ kind, name, description: null, path: name })
    const steps = (name: string) => [leaf('one', `${name}/one`), leaf('two', `${name}/two`)]
    expect(data['steps']).toEqual([
      { ...holder('parallel', 'gather'), steps: steps('gather') },
      { ...holder('condition', 'enough'), then: [leaf('one', 'enough/one')], else: [leaf('two', 'enough/two')] },
      { ...holder('router', 'route'), choices: steps('route') },
      { ...holder('loop', 'refine'), steps: steps('refine') },
      { ...holder('map', 'each'), steps: [leaf('one', 'each/one')] },
      {
        ...holder('workflow', 'sub'),
        workflowId: 'inner',
        workflowVersion: inner.definition.version,
        steps: [{ ...holder('sequence', 's'), path: 'sub/s', steps: [leaf('one', 'sub/s/one')] }],
      },
      holder('agent', 'write'),
      holder('approval', 'ok?'),
      holder('input', 'details'),
      holder('sleep', 'rest'),
    ])
    expect(thawed(data, 'data')).toEqual([])
  })

  test('is walked by the children of each node, in order', () => {
    const named = (node: WorkflowNode) => childrenOf(node).map(({ name }) => name)
    for (const node of [gather, enough, route, refine]) expect(named(node)).toEqual(['one', 'two'])
    expect(named(each)).toEqual(['one'])
    expect(named(sub)).toEqual(['s'])
    for (const node of [one, ...leaves]) expect(named(node)).toEqual([])
  })
})

describe('two steps with one path', () => {
  const twice = (node: WorkflowNode) => refusal(() => defineWorkflow({ name: 'w', steps: [node] }))

  test('are refused by their places, under the names that their lists have in the options', () => {
    expect(twice(parallel('p', [one, one]))).toContain('path "p/one", steps[0].steps[0] and steps[0].steps[1]')
    expect(twice(condition('c', { if: yes, then: [two, one], else: [one] }))).toContain(
      'path "c/one", steps[0].then[1] and steps[0].else[0]',
    )
    expect(twice(router('r', { select: () => 'one' as const, choices: [one, one] }))).toContain(
      'path "r/one", steps[0].choices[0] and steps[0].choices[1]',
    )
    expect(twice(sequence('s', [sub, sub]))).toContain('path "s/sub", steps[0].steps[0] and steps[0].steps[1]')
  })

  test('may stand in workflows that are nested under different names', () => {
    expect(defineWorkflow({ name: 'w', steps: [sub, nested('again', inner)] }).nodes).toHaveLength(6)
  })
})

describe('limits of a tree', () => {
  test('count the steps of nested workflows', () => {
    const nestedDeep = (levels: number): WorkflowNode =>
      levels === 1
        ? one
        : nested(`l${levels}`, { definition: defineWorkflow({ name: 'n', steps: [nestedDeep(levels - 1)] }) })
    expect(defineWorkflow({ name: 'w', steps: [nestedDeep(32)] }).nodes).toHaveLength(32)
    expect(refusal(() => nestedDeep(34))).toContain('workflow "n" nests steps too deep')
    const many = defineWorkflow({ name: 'm', steps: Array.from({ length: 400 }, (_, n) => step(`s${n}`, yes)) })
    const copies = ['a', 'b', 'c'].map((name) => nested(name, { definition: many }))
    expect(refusal(() => defineWorkflow({ name: 'w', steps: copies }))).toContain('workflow "w" has too many steps')
  })

  test('leave room in paths for the numbers of iterations and items', () => {
    const name = 'x'.repeat(98)
    const within = (node: WorkflowNode) =>
      ['a', 'b', 'c'].reduce((child, letter) => sequence(letter + name, [child]), node)
    const define = (last: string, node: (step: WorkflowNode) => WorkflowNode) =>
      looseWorkflow({ name: 'w', steps: [within(node(step(last, yes)))] })
    // 3 × 100 + 'loop/' and 'map/' leave so many characters for the last name. Numbers: [1000] and [4294967295].
    const loops = (child: WorkflowNode) => loop(name, { steps: [child], maxIterations: 1_000 })
    const maps = (child: WorkflowNode) => map(name, { steps: [child] })
    const room = 500 - 3 * 100 - 99
    expect(() => define('y'.repeat(room - 6), loops)).not.toThrow()
    expect(refusal(() => define('y'.repeat(room - 5), loops))).toContain(
      'has a path of 501 characters, numbers of iterations and items counted',
    )
    expect(() => define('y'.repeat(room - 12), maps)).not.toThrow()
    expect(refusal(() => define('y'.repeat(room - 11), maps))).toContain('has a path of 501 characters')
  })
})

test.each([
  ['draft', 'draft'],
  ['refine[2]/draft', 'refine/draft'],
  ['a/each[0]/refine[10]/draft', 'a/each/refine/draft'],
  ['a b.c?/d', 'a b.c?/d'],
])('the path %j of a run is the path %j of the definition', (path, expected) => {
  expect(definitionPathOf(path)).toBe(expected)
})

describe('settings of history', () => {
  const reader = step({ name: 'reader', addWorkflowHistory: true, run: yes })
  const silent = step({ name: 'silent', addWorkflowHistory: false, run: yes })
  const agent = agentStep({ name: 'agent', model: 'a/b', prompt: 'x', addWorkflowHistory: false })

  test.each<[string, readonly WorkflowNode[]]>([
    ['a condition', [condition('c', { if: yes, then: [silent] })]],
    ['a router', [router('r', { select: () => 'silent' as const, choices: [silent] })]],
    ['until', [loop('l', { steps: [silent], until: yes, maxIterations: 2 })]],
    ['items', [map('m', { steps: [silent], items: () => [1] })]],
    ['the prompt of an approval', [approval('a', { prompt: ({ history }) => `${history.runs.length} runs?` })]],
    ['an agent step', [agentStep({ name: 'write', model: 'a/b', prompt: 'x' })]],
  ])('have an effect where the function of %s is given history', (_, steps) => {
    const options = { name: 'w', steps, addWorkflowHistoryToSteps: true, numHistoryRuns: 5 }
    expect(defineWorkflow(options).numHistoryRuns).toBe(5)
    expect(refusal(() => defineWorkflow({ ...options, addWorkflowHistoryToSteps: false }))).toContain('allowed is none')
  })

  test.each<[string, readonly WorkflowNode[]]>([
    ['a loop without until', [loop('l', { steps: [silent], maxIterations: 2 })]],
    ['a map without items', [map('m', { steps: [silent] })]],
    ['a wait whose prompt is text', [approval('a', { prompt: 'ok?' })]],
    ['a sleep', [sleep('z', 1)]],
    ['an agent step that says no', [agent]],
    ['a parallel', [parallel('p', [silent])]],
    [
      'a nested workflow, which has settings of its own',
      [nested('n', { definition: defineWorkflow({ name: 'n', steps: [reader], numHistoryRuns: 9 }) })],
    ],
  ])('are refused where there is only %s', (_, steps) => {
    expect(refusal(() => looseWorkflow({ name: 'w', steps, addWorkflowHistoryToSteps: true }))).toContain(
      'addWorkflowHistoryToSteps of workflow "w" is true: allowed is none where no step is given history',
    )
  })

  test('of an agent step are refused where neither it nor the workflow adds history', () => {
    const counting = agentStep({ name: 'counting', model: 'a/b', prompt: 'x', numHistoryRuns: 2 })
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [parallel('p', [counting])] }))).toContain(
      'numHistoryRuns of step "p/counting" of workflow "w" is 2: allowed is none',
    )
  })

  test('of a nested workflow may be turned off, also where it has none', () => {
    expect(defineWorkflow({ name: 'w', steps: [nested('n', inner, { history: false })] }).nodes).toHaveLength(3)
    const reading = { definition: defineWorkflow({ name: 'r', steps: [reader], numHistoryRuns: 9 }) }
    expect(defineWorkflow({ name: 'w', steps: [nested('n', reading, { history: false })] }).nodes).toHaveLength(2)
  })
})
