import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { WorkflowNode } from '../../src/workflow/definition.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { slugOf } from '../../src/workflow/validate.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { looseSequence, looseWorkflow, refusal, thawed } from './support.ts'

const load = step('load', () => 1)
const clean = step({ name: 'clean', description: 'Removes noise', run: () => 2 })
const write = step('write', () => 'text')
const reader = step({ name: 'reader', addWorkflowHistory: true, run: () => 1 })
const nonReader = step({ name: 'non-reader', addWorkflowHistory: false, run: () => 1 })

describe('defineWorkflow', () => {
  test('makes a definition with the defaults of every setting', () => {
    const definition = defineWorkflow({ name: 'Research Pipeline', steps: [load] })
    expect(definition).toEqual({
      kind: 'workflow',
      id: 'research-pipeline',
      name: 'Research Pipeline',
      description: null,
      input: null,
      state: null,
      initialState: {},
      steps: [load],
      addWorkflowHistoryToSteps: false,
      numHistoryRuns: 3,
      historyBudget: null,
      timeoutMs: null,
      priority: 0,
      concurrency: null,
      onVersionChange: 'finish',
      retentionMs: null,
      schedule: null,
      version: expect.stringMatching(/^[0-9a-f]{12}$/),
      nodes: [{ path: 'load', parentPath: null, node: load }],
      data: {
        id: 'research-pipeline',
        name: 'Research Pipeline',
        description: null,
        version: definition.version,
        steps: [{ kind: 'step', name: 'load', description: null, path: 'load' }],
      },
    })
  })

  test('keeps every setting that is given', () => {
    const [input, state] = [z.object({ topic: z.string() }), z.object({ seen: z.array(z.string()) })]
    const definition = defineWorkflow({
      name: 'Research / Analysis',
      id: 'research.v2',
      description: 'Looks things up',
      input,
      state,
      initialState: { seen: ['a'] },
      steps: [load],
      addWorkflowHistoryToSteps: true,
      numHistoryRuns: 5,
      historyBudget: { characters: 4_000 },
      timeout: '1h',
    })
    expect(definition).toMatchObject({
      id: 'research.v2',
      name: 'Research / Analysis',
      description: 'Looks things up',
      initialState: { seen: ['a'] },
      addWorkflowHistoryToSteps: true,
      numHistoryRuns: 5,
      historyBudget: { characters: 4_000 },
      timeoutMs: 3_600_000,
    })
    expect([definition.input, definition.state]).toEqual([input, state])
  })

  test('lists all nodes with their paths, parents before children, and the same tree as data', () => {
    const inner = sequence('inner', [load, clean])
    const outer = sequence('outer', [load, inner], { description: 'Both' })
    const { nodes, data } = defineWorkflow({ name: 'Nested', steps: [outer, write] })
    expect(nodes).toEqual([
      { path: 'outer', parentPath: null, node: outer },
      { path: 'outer/load', parentPath: 'outer', node: load },
      { path: 'outer/inner', parentPath: 'outer', node: inner },
      { path: 'outer/inner/load', parentPath: 'outer/inner', node: load },
      { path: 'outer/inner/clean', parentPath: 'outer/inner', node: clean },
      { path: 'write', parentPath: null, node: write },
    ])
    expect(data['steps']).toEqual([
      {
        kind: 'sequence',
        name: 'outer',
        description: 'Both',
        path: 'outer',
        steps: [
          { kind: 'step', name: 'load', description: null, path: 'outer/load' },
          {
            kind: 'sequence',
            name: 'inner',
            description: null,
            path: 'outer/inner',
            steps: [
              { kind: 'step', name: 'load', description: null, path: 'outer/inner/load' },
              { kind: 'step', name: 'clean', description: 'Removes noise', path: 'outer/inner/clean' },
            ],
          },
        ],
      },
      { kind: 'step', name: 'write', description: null, path: 'write' },
    ])
  })

  test('is frozen in all that Kern made of it', () => {
    const schema = z.object({})
    const definition = defineWorkflow({
      name: 'Frozen',
      input: schema,
      initialState: { list: [{ deep: true }] },
      steps: [sequence('outer', [step({ name: 'one', retry: { maxAttempts: 2 }, run: () => 1 })])],
      addWorkflowHistoryToSteps: true,
      historyBudget: { characters: 9 },
    })
    expect(thawed(definition, 'definition')).toEqual([])
    expect(Object.isFrozen(schema)).toBe(false)
  })

  test('does not see later changes of the options', () => {
    const initialState = { list: [1] }
    const steps: WorkflowNode[] = [load]
    const definition = defineWorkflow({ name: 'Kept', initialState, steps })
    initialState.list.push(2)
    steps.push(clean)
    expect(definition.initialState).toEqual({ list: [1] })
    expect(definition.steps).toEqual([load])
    expect(Object.isFrozen(initialState)).toBe(false)
  })

  test.each([
    ['Research Pipeline', 'research-pipeline'],
    ['  --A  b__C--  ', 'a-b-c'],
    ['Über uns 2', 'ber-uns-2'],
    ['a.b', 'a-b'],
    ['日本', ''],
  ])('makes of the name %j the slug %j', (name, slug) => {
    expect(slugOf(name)).toBe(slug)
  })

  test('needs an id where the name gives none', () => {
    expect(refusal(() => defineWorkflow({ name: '日本', steps: [load] }))).toContain(
      'id of workflow "日本" cannot be made from the name "日本", which has no letter a-z and no digit: give an id',
    )
    expect(defineWorkflow({ name: '日本', id: 'japan', steps: [load] }).id).toBe('japan')
  })

  test.each([
    [{ name: '' }, 'the name of a workflow is "": it is empty'],
    [{ name: undefined }, 'the name of a workflow is undefined'],
    [{ name: ' a' }, 'the name of a workflow is " a": it has blanks at an end'],
    [{ id: '' }, 'id of workflow "w" is "": allowed are 1 to 100'],
    [{ id: 'A' }, 'id of workflow "w" is "A"'],
    [{ id: '-a' }, 'id of workflow "w" is "-a"'],
    [{ id: 'a/b' }, 'id of workflow "w" is "a/b"'],
    [{ id: 'a\n' }, 'id of workflow "w"'],
    [{ id: 'x'.repeat(101) }, 'id of workflow "w"'],
    [{ id: 5 }, 'id of workflow "w" is 5'],
    [{ description: 5 }, 'description of workflow "w" is 5'],
    [{ input: {} }, 'input of workflow "w" is {}: allowed is a Standard Schema'],
    [{ state: () => 1 }, 'state of workflow "w" is'],
    [{ initialState: [] }, 'initialState of workflow "w" is []: allowed is an object'],
    [{ initialState: null }, 'initialState of workflow "w" is null: allowed is an object'],
    [{ initialState: { at: new Date(0) } }, 'initialState of workflow "w" cannot be stored: $.at'],
    [{ timeout: 0 }, 'timeout of workflow "w" is 0'],
    [{ timeout: 'soon' }, 'timeout of workflow "w" is "soon"'],
    [{ addWorkflowHistoryToSteps: 1 }, 'addWorkflowHistoryToSteps of workflow "w" is 1: allowed are true and false'],
    [{ addWorkflowHistoryToSteps: true, numHistoryRuns: 0 }, 'numHistoryRuns of workflow "w" is 0'],
    [{ addWorkflowHistoryToSteps: true, numHistoryRuns: 101 }, 'numHistoryRuns of workflow "w" is 101'],
    [{ addWorkflowHistoryToSteps: true, historyBudget: 5 }, 'historyBudget of workflow "w" is 5: allowed is an object'],
    [{ addWorkflowHistoryToSteps: true, historyBudget: {} }, 'historyBudget of workflow "w" is {}: allowed is'],
    [
      { addWorkflowHistoryToSteps: true, historyBudget: { characters: 0 } },
      'historyBudget.characters of workflow "w" is 0',
    ],
    [
      { addWorkflowHistoryToSteps: true, historyBudget: { tokens: 1 } },
      'historyBudget of workflow "w" has the unknown option "tokens": allowed are characters',
    ],
    [{ step: [] }, 'workflow "w" has the unknown option "step": allowed are name, id, description'],
  ])('refuses the options %j', (options, message) => {
    expect(refusal(() => looseWorkflow({ name: 'w', steps: [load], ...options }))).toContain(message)
  })

  test('refuses what is no object of options', () => {
    expect(refusal(() => looseWorkflow('w'))).toContain('a workflow is "w": allowed is an object with name')
  })
})

describe('the steps of a workflow or sequence', () => {
  test.each([
    [undefined, 'is undefined: allowed is a list of what step(), sequence(), parallel() and the like return'],
    [load, 'allowed is a list'],
    [[], 'has no steps: at least one is needed'],
    [[load, () => 1], 'steps[1] of'],
    [[{ kind: 'step', name: 'forged', run: () => 1 }], 'steps[0] of'],
    [[{ ...load }], 'and no copy of it'],
    [[Object.create(load)], 'and no copy of it'],
    [Object.assign([], { length: 1 }), 'steps[0] of'],
    [[null], 'steps[0] of'],
  ])('may not be %j', (steps, message) => {
    const ofWorkflow = refusal(() => looseWorkflow({ name: 'w', steps }))
    expect(ofWorkflow).toContain('workflow "w"')
    expect(ofWorkflow).toContain(message)
    const ofSequence = refusal(() => looseSequence('s', steps))
    expect(ofSequence).toContain('sequence "s"')
    expect(ofSequence).toContain(message)
  })

  test('may not be a workflow', () => {
    const other = defineWorkflow({ name: 'other', steps: [load] })
    expect(refusal(() => looseWorkflow({ name: 'w', steps: [other] }))).toContain('steps[0] of workflow "w" is')
  })

  test('may not have one path twice, and the refusal names both places', () => {
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [load, clean, load] }))).toContain(
      'workflow "w" has two steps with the path "load", steps[0] and steps[2]',
    )
    const twice = sequence('twice', [load, step('load', () => 2)])
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [load, twice] }))).toContain(
      'workflow "w" has two steps with the path "twice/load", steps[1].steps[0] and steps[1].steps[1]',
    )
  })

  test('may nest 32 levels deep and no deeper', () => {
    const nested = (levels: number): WorkflowNode =>
      levels === 1 ? load : sequence(`l${levels}`, [nested(levels - 1)])
    expect(defineWorkflow({ name: 'w', steps: [nested(32)] }).nodes).toHaveLength(32)
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [nested(33)] }))).toMatch(
      /workflow "w" nests steps too deep at "l33\/l32.*: allowed are 32 levels/,
    )
  })

  test('may be 1,000 in all and no more, however few objects they are made of', () => {
    const many = (count: number) => Array.from({ length: count }, (_, n) => step(`s${n}`, () => n))
    expect(defineWorkflow({ name: 'w', steps: [sequence('all', many(999))] }).nodes).toHaveLength(1_000)
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [sequence('all', many(1_000))] }))).toContain(
      'workflow "w" has too many steps: allowed are 1000',
    )
    const doubled = (levels: number): WorkflowNode => {
      if (levels === 0) return load
      const shared = doubled(levels - 1)
      return sequence(`d${levels}`, [sequence('left', [shared]), sequence('right', [shared])])
    }
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [doubled(15)] }))).toContain('too many steps')
  })

  test('may not have paths of more than 500 characters', () => {
    const nested = (levels: number): WorkflowNode =>
      levels === 0 ? load : sequence('x'.repeat(99), [nested(levels - 1)])
    expect(defineWorkflow({ name: 'w', steps: [nested(4)] }).nodes).toHaveLength(5)
    expect(refusal(() => defineWorkflow({ name: 'w', steps: [nested(5)] }))).toContain(
      'workflow "w" has a path of 504 characters',
    )
  })

  test('may not have descriptions that a session could not keep', () => {
    const description = 'x'.repeat(2_000)
    const steps = Array.from({ length: 600 }, (_, n) => step({ name: `s${n}`, description, run: () => n }))
    expect(refusal(() => defineWorkflow({ name: 'w', steps }))).toContain('workflow "w" is too large for a session')
  })
})

describe('a sequence', () => {
  test('is a frozen node that keeps its steps in order', () => {
    const node = sequence('prepare', [load, clean], { description: 'Both' })
    expect(node).toEqual({ kind: 'sequence', name: 'prepare', description: 'Both', steps: [load, clean] })
    expect(thawed(node, 'node')).toEqual([])
  })

  test('has a name like that of a step, and no unknown options', () => {
    expect(refusal(() => looseSequence('a/b', [load]))).toContain('the name of a sequence is "a/b"')
    expect(refusal(() => looseSequence('s', [load], { concurrency: 2 }))).toContain(
      'sequence "s" has the unknown option "concurrency": allowed are description',
    )
    expect(refusal(() => looseSequence('s', [load], 'text'))).toContain('sequence "s" is "text"')
  })
})

describe('settings of history', () => {
  test.each([
    [{ numHistoryRuns: 5 }, [load]],
    [{ historyBudget: { characters: 10 } }, [load]],
    [{ numHistoryRuns: 5, addWorkflowHistoryToSteps: false }, [load, sequence('s', [nonReader])]],
    [{ addWorkflowHistoryToSteps: true }, [nonReader]],
  ])('are refused where no step can be given history: %j', (options, steps) => {
    expect(refusal(() => looseWorkflow({ name: 'w', steps, ...options }))).toContain('of workflow "w" is')
    expect(refusal(() => looseWorkflow({ name: 'w', steps, ...options }))).toContain(
      'allowed is none where no step is given history',
    )
  })

  test('are accepted where one step is given history, however deep', () => {
    const options = { name: 'w', numHistoryRuns: 5, historyBudget: { characters: 10 } }
    expect(defineWorkflow({ ...options, steps: [load, sequence('s', [reader])] }).numHistoryRuns).toBe(5)
    expect(
      defineWorkflow({ ...options, steps: [nonReader, load], addWorkflowHistoryToSteps: true }).numHistoryRuns,
    ).toBe(5)
  })

  test('of a step are refused where neither it nor the workflow adds history', () => {
    const counting = step({ name: 'counting', numHistoryRuns: 2, run: () => 1 })
    const steps = [sequence('s', [counting]), reader] as const
    expect(refusal(() => defineWorkflow({ name: 'w', steps }))).toContain(
      'numHistoryRuns of step "s/counting" of workflow "w" is 2: allowed is none',
    )
    expect(defineWorkflow({ name: 'w', steps, addWorkflowHistoryToSteps: true }).nodes).toHaveLength(3)
  })
})
