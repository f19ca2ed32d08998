/* oxlint-disable unicorn/no-thenable -- `then` of a condition is a list of steps */
import { describe, expect, test } from 'vitest'
import { type StepRecord, isReused } from '../../src/engine/records.ts'
import { reusedRows } from '../../src/engine/commands/retry.ts'
import { defaultStart } from '../../src/engine/commands/retryFrom.ts'
import { approval } from '../../src/workflow/approval.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { WorkflowDefinition, WorkflowNode } from '../../src/workflow/definition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { nested } from '../../src/workflow/nested.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { type Happenings, rowsOf, runOf } from './recordedRuns.ts'

const s = (name: string): WorkflowNode => step(name, () => name)

function workflowOf(...steps: readonly WorkflowNode[]): WorkflowDefinition {
  return defineWorkflow({ name: 'Tried again', steps })
}

interface Trying extends Happenings {
  readonly from?: string
  readonly newInput?: boolean
  /** The definition that the retry finds. @default the one that the run had */
  readonly now?: WorkflowDefinition
  readonly status?: 'FAILED' | 'COMPLETED' | 'CANCELLED'
}

/** What a retry takes over of a run that went as told. */
function reused(definition: WorkflowDefinition, trying: Trying = {}): readonly StepRecord[] {
  const { from, newInput = false, now = definition, status = 'FAILED', ...happenings } = trying
  const source = { run: runOf(definition, { status }), steps: rowsOf(definition, happenings), definition: now }
  const fromStep = from ?? defaultStart(source)
  return reusedRows({ ...source, fromStep, newInput, runId: 'new', at: new Date() })
}

/** The rows in short: `a`, and `seq…` for a container that goes on. */
function lines(definition: WorkflowDefinition, trying?: Trying): readonly string[] {
  return reused(definition, trying).map((row) => (row.completedAt === null ? `${row.path}…` : row.path))
}

const plain = workflowOf(s('a'), s('b'), s('c'))

describe('a retry begins', () => {
  const deep = workflowOf(s('a'), sequence('seq', [s('x'), parallel('par', [s('y'), s('z')])]), s('b'))

  test('with the innermost step that failed', () => {
    expect(lines(deep, { failing: ['seq/par/z'] })).toEqual(['a', 'seq…', 'seq/x', 'seq/par…', 'seq/par/y'])
  })

  test('with the first of several that failed', () => {
    const source = { run: runOf(deep), steps: rowsOf(deep, { failing: ['seq/par/y', 'seq/par/z'] }), definition: deep }
    expect(defaultStart(source)).toBe('seq/par/y')
  })

  test('with a container that failed by itself, and not what is in it', () => {
    const looping = workflowOf(s('a'), loop('refine', { maxIterations: 2, until: () => false, steps: [s('draft')] }))
    const steps = rowsOf(looping).map((row): StepRecord => (row.kind === 'loop' ? { ...row, status: 'FAILED' } : row))
    expect(defaultStart({ run: runOf(looping), steps, definition: looping })).toBe('refine')
  })

  test('with the first step that a cancel cut off', () => {
    const steps = rowsOf(deep, { failing: ['seq/x'] }).map(
      (row): StepRecord => (row.status === 'FAILED' ? { ...row, status: 'CANCELLED' } : row),
    )
    expect(defaultStart({ run: runOf(deep, { status: 'CANCELLED' }), steps, definition: deep })).toBe('seq/x')
  })

  test('with the first step that has no result where nothing was cut off', () => {
    const run = runOf(plain, { status: 'CANCELLED' })
    expect(defaultStart({ run, steps: rowsOf(plain).slice(0, 2), definition: plain })).toBe('c')
    expect(defaultStart({ run, steps: [], definition: plain })).toBe('a')
  })

  test('nowhere by itself in a run without a failure', () => {
    expect(() => lines(plain, { status: 'COMPLETED' })).toThrow(
      /fromStep is missing: every step of run .* which is COMPLETED, has a result/,
    )
    expect(() => lines(plain, { status: 'CANCELLED' })).toThrow(/fromStep is missing: every step of run .* CANCELLED/)
  })

  test('nowhere by itself where the definition lost the step that failed', () => {
    const now = workflowOf(s('a'), s('other'), s('c'))
    expect(() => lines(plain, { failing: ['b'], now })).toThrow(
      expect.objectContaining({
        code: 'CONFLICT',
        message: expect.stringMatching(
          new RegExp(`step "b" .* is FAILED in version ${plain.version} .* version ${now.version} .* give fromStep`),
        ),
      }),
    )
  })
})

describe('a step is named', () => {
  const all = workflowOf(
    s('a'),
    loop('refine', { maxIterations: 3, steps: [s('draft'), s('critique')] }),
    map('each', { items: () => ['one', 'two'], steps: [s('fetch')] }),
  )
  const refused = (from: string, message: string) => {
    const error = expect.objectContaining({ code: 'INPUT_INVALID', message, details: expect.anything() })
    expect(() => lines(all, { from })).toThrow(error)
  }

  test('by its path, or the call is refused with what is there', () => {
    refused('b', 'fromStep is "b": workflow "tried-again" has no such step, there are "a", "refine", "each"')
    refused(
      'refine[1]/x',
      'fromStep is "refine[1]/x": workflow "tried-again" has no such step, there are "refine[1]/draft", "refine[1]/critique"',
    )
    refused('a/x', 'fromStep is "a/x": workflow "tried-again" has no such step, nothing is below "a"')
    refused('', 'fromStep is "": workflow "tried-again" has no such step, there are "a", "refine", "each"')
  })

  test('with its iteration or item, and only where there are some', () => {
    refused(
      'refine/draft',
      'fromStep is "refine/draft": a step in loop "refine" is in an iteration, such as "refine[1]"',
    )
    refused('each/fetch', 'fromStep is "each/fetch": a step in map "each" is in an item, such as "each[0]"')
    refused('refine[2]', 'fromStep is "refine[2]": allowed is "refine"')
    refused('a[1]', 'fromStep is "a[1]": allowed is "a"')
    refused('refine[01]/draft', expect.stringContaining('has no such step'))
  })

  test('in an iteration that the loop may have', () => {
    refused('refine[4]/draft', 'fromStep is "refine[4]/draft": loop "refine" has no iteration 4, allowed are 1 to 3')
    refused('refine[0]/draft', 'fromStep is "refine[0]/draft": loop "refine" has no iteration 0, allowed are 1 to 3')
  })
})

describe('a retry takes over', () => {
  test('nothing from the first step on', () => {
    expect(lines(plain, { from: 'a' })).toEqual([])
  })

  test('what comes before the step, as rows of the new run without attempts', () => {
    const [a, b, ...more] = reused(plain, { from: 'c' })
    expect(more).toEqual([])
    expect([a?.position, b?.position]).toEqual([0, 1])
    expect(b).toMatchObject({
      runId: 'new',
      path: 'b',
      status: 'COMPLETED',
      inputFrom: 'step:a',
      output: 'b',
      attempts: [],
      usage: null,
    })
    expect(b && isReused(b)).toBe(true)
  })

  test('skipped steps', () => {
    expect(reused(plain, { from: 'c', skipped: ['b'], failing: ['b'] })[1]).toMatchObject({
      path: 'b',
      status: 'SKIPPED',
    })
  })

  test('what a container holds, with the container', () => {
    const outer = workflowOf(sequence('seq', [s('x'), sequence('in', [s('y')])]), s('b'))
    expect(lines(outer, { from: 'b' })).toEqual(['seq', 'seq/x', 'seq/in', 'seq/in/y'])
  })

  test('the containers around the step as rows that go on, without an end', () => {
    const outer = workflowOf(s('a'), sequence('seq', [s('x'), s('y')]))
    const [, seq] = reused(outer, { failing: ['seq/y'] })
    expect(seq).toMatchObject({
      path: 'seq',
      status: 'RUNNING',
      attempts: [],
      inputFrom: 'step:a',
      output: undefined,
      outputPreview: null,
      error: null,
      completedAt: null,
    })
  })

  test('the steps of a nested workflow, but not what that decided about its input', () => {
    const sub = defineWorkflow({ name: 'Sub', steps: [s('x'), s('y')] })
    const outer = workflowOf(s('a'), nested('sub', { definition: sub }))
    const steps = rowsOf(outer, { failing: ['sub/y'] }).map((row) =>
      row.kind === 'workflow' ? { ...row, decision: { input: 'a' }, statePatch: { added: 1 } } : row,
    )
    const source = { run: runOf(outer), steps, definition: outer }
    const rows = reusedRows({ ...source, fromStep: 'sub/y', newInput: false, runId: 'new', at: new Date() })
    expect(rows.map(({ path }) => path)).toEqual(['a', 'sub', 'sub/x'])
    expect(rows[1]).toMatchObject({ decision: undefined, statePatch: undefined, status: 'RUNNING' })
  })
})

describe('in a condition', () => {
  const definition = workflowOf(condition('if', { if: () => true, then: [s('x'), s('y')], else: [s('z')] }), s('b'))

  test('its decision stands', () => {
    const [row, ...more] = reused(definition, { failing: ['if/y'] })
    expect(row).toMatchObject({ path: 'if', status: 'RUNNING', decision: true })
    expect(more.map(({ path }) => path)).toEqual(['if/x'])
  })

  test('that decided otherwise, a step is refused', () => {
    expect(() => lines(definition, { from: 'if/z', failing: ['if/y'] })).toThrow(
      /fromStep is "if\/z": condition "if" decided otherwise in run .*, true; to have it decide again, allowed is "if"/,
    )
  })

  test('that has decided nothing, a step is refused', () => {
    const steps = rowsOf(definition)
      .slice(0, 1)
      .map((row): StepRecord => ({ ...row, status: 'FAILED', decision: undefined }))
    const source = { run: runOf(definition), steps, definition }
    expect(() => reusedRows({ ...source, fromStep: 'if/x', newInput: false, runId: 'new', at: new Date() })).toThrow(
      /step "if" has decided nothing/,
    )
    expect(defaultStart(source)).toBe('if')
  })
})

describe('in a router', () => {
  const choices = [s('x'), s('y'), s('z')]
  const definition = workflowOf(router('route', { select: () => 'x', choices }))
  const decisions = { route: ['z', 'x'] }

  test('the choices count in the order in which it named them', () => {
    expect(lines(definition, { decisions, failing: ['route/x'] })).toEqual(['route…', 'route/z'])
    expect(reused(definition, { decisions, failing: ['route/x'] })[0]?.decision).toEqual(['z', 'x'])
    expect(lines(definition, { decisions, from: 'route/z' })).toEqual(['route…'])
  })

  test('a choice that it did not name is refused', () => {
    expect(() => lines(definition, { decisions, from: 'route/y' })).toThrow(
      /router "route" decided otherwise in run .*, \["z","x"\]/,
    )
  })

  test('a named choice that is there no more is a conflict', () => {
    const now = workflowOf(router('route', { select: () => 'x', choices: choices.slice(0, 2) }))
    expect(() => lines(definition, { decisions, failing: ['route/x'], now })).toThrow(
      expect.objectContaining({ code: 'CONFLICT', message: expect.stringContaining('router "route" chose "z" in it') }),
    )
  })
})

describe('in a loop', () => {
  const looping = (maxIterations: number) =>
    workflowOf(s('a'), loop('refine', { maxIterations, until: () => false, steps: [s('draft'), s('critique')] }))
  const definition = looping(5)
  const decisions = { refine: 4 }

  test('earlier iterations are taken, and the loop goes on with this one', () => {
    const rows = reused(definition, { decisions, failing: ['refine[3]/critique'] })
    expect(rows.map(({ path }) => path)).toEqual([
      'a',
      'refine',
      'refine[1]/draft',
      'refine[1]/critique',
      'refine[2]/draft',
      'refine[2]/critique',
      'refine[3]/draft',
    ])
    expect(rows[1]).toMatchObject({ status: 'RUNNING', decision: { iterations: 2, over: false } })
  })

  test('the first iteration may be the one', () => {
    const rows = reused(definition, { decisions, from: 'refine[1]/draft' })
    expect(rows[1]).toMatchObject({ path: 'refine', decision: { iterations: 0, over: false } })
    expect(rows).toHaveLength(2)
  })

  test('that was over, later iterations are refused', () => {
    expect(() => lines(definition, { decisions, from: 'refine[5]/draft', status: 'COMPLETED' })).toThrow(
      /loop "refine" was over after iteration 4 in run/,
    )
  })

  test('with fewer iterations now, one beyond them is refused', () => {
    expect(() => lines(definition, { decisions, failing: ['refine[4]/draft'], now: looping(3) })).toThrow(
      'loop "refine" has no iteration 4, allowed are 1 to 3',
    )
  })
})

describe('beside others', () => {
  const definition = workflowOf(
    parallel('par', [
      s('x'),
      sequence('seq', [s('y'), s('z')]),
      loop('again', { maxIterations: 2, steps: [s('w')] }),
      s('v'),
    ]),
  )

  test('what has ended is taken, unfinished sequences up to where they were, and nothing else', () => {
    const failing = ['par/seq/z', 'par/again[2]/w', 'par/v']
    expect(lines(definition, { failing, from: 'par/v' })).toEqual(['par…', 'par/x', 'par/seq…', 'par/seq/y'])
    expect(lines(definition, { failing, from: 'par/x' })).toEqual(['par…', 'par/seq…', 'par/seq/y'])
    expect(lines(definition, { failing, from: 'par/seq/z' })).toEqual(['par…', 'par/x', 'par/seq…', 'par/seq/y'])
  })

  test('what stopped the run is executed again', () => {
    const trying: Trying = { stopping: ['par/x'], from: 'par/v', status: 'COMPLETED' }
    expect(lines(definition, trying)).not.toContain('par/x')
  })

  test('the order in which they started does not count', () => {
    const now = workflowOf(parallel('par', [s('v'), s('x'), s('new')]))
    expect(lines(definition, { failing: ['par/v'], now })).toEqual(['par…', 'par/x'])
  })
})

describe('in a map', () => {
  const mapping = (given: object) => workflowOf(map('each', { ...given, steps: [s('fetch'), s('sum')] }))
  const definition = mapping({ items: () => [] })
  const decisions = { each: { items: ['p', 'q', 'r'] } }

  test('the items stand, and what ran beside is taken up to where it was', () => {
    const rows = reused(definition, { decisions, failing: ['each[1]/sum', 'each[2]/sum'] })
    expect(rows.map(({ path }) => path)).toEqual([
      'each',
      'each[0]/fetch',
      'each[0]/sum',
      'each[1]/fetch',
      'each[2]/fetch',
    ])
    expect(rows[0]).toMatchObject({ status: 'RUNNING', decision: { items: ['p', 'q', 'r'] } })
  })

  test('an item that is not there is refused', () => {
    expect(() => lines(definition, { decisions, from: 'each[3]/fetch' })).toThrow(
      /map "each" has no item 3 in run .*, allowed are 0 to 2/,
    )
  })

  test('whose items are the input of the run, another input is refused', () => {
    const own = mapping({})
    expect(lines(own, { from: 'each[1]/fetch' })).toEqual(['each…', 'each[0]/fetch', 'each[0]/sum'])
    expect(() => lines(own, { from: 'each[1]/fetch', newInput: true })).toThrow(
      'fromStep is "each[1]/fetch": the items of map "each" are the input of the run, and that is another now; allowed is "each"',
    )
  })
})

describe('with another input', () => {
  test('what is reused keeps the old one', () => {
    const [a] = reused(plain, { from: 'b', newInput: true })
    expect(a).toMatchObject({ inputFrom: 'own', input: 'input' })
    expect(reused(plain, { from: 'b' })[0]).toMatchObject({ inputFrom: 'run' })
  })

  test('a container around the step is given the new one if it is the first, and keeps what it was given if not', () => {
    const inner = [sequence('in', [s('x'), s('y')])]
    const first = workflowOf(sequence('seq', inner))
    expect(reused(first, { from: 'seq/in/y', newInput: true })).toMatchObject([
      { path: 'seq', inputFrom: 'run', input: undefined },
      { path: 'seq/in', inputFrom: 'run', input: undefined },
      { path: 'seq/in/x', inputFrom: 'own', input: 'input' },
    ])
    // The step before it was skipped, and so passed the old input on.
    const second = workflowOf(s('a'), sequence('seq', inner))
    const skipped = { skipped: ['a'], failing: ['a'] }
    expect(reused(second, { from: 'seq/in/y', newInput: true, ...skipped })).toMatchObject([
      { path: 'a', inputFrom: 'own', input: 'input' },
      { path: 'seq', inputFrom: 'own', input: 'input' },
      { path: 'seq/in', inputFrom: 'own', input: 'input' },
      { path: 'seq/in/x', inputFrom: 'own', input: 'input' },
    ])
  })
})

describe('with what the run did not come to', () => {
  test('a retry is refused, and told what is in the way', () => {
    expect(() => lines(plain, { from: 'c', failing: ['b'] })).toThrow(
      expect.objectContaining({
        code: 'INPUT_INVALID',
        message: expect.stringMatching(
          /^fromStep is "c": step "b" is FAILED in run .*; allowed is that step, or one before it$/,
        ),
      }),
    )
    expect(() => lines(plain, { from: 'c', failing: ['a'] })).toThrow(/step "a" is FAILED/)
    const deep = workflowOf(s('a'), sequence('seq', [s('x')]), s('b'))
    expect(() => lines(deep, { from: 'seq/x', failing: ['a'] })).toThrow(/step "a" is FAILED/)
    const open = { run: runOf(deep), steps: rowsOf(deep).slice(0, 1), definition: deep }
    expect(() => reusedRows({ ...open, fromStep: 'seq/x', newInput: false, runId: 'new', at: new Date() })).toThrow(
      /step "seq" has not started in run/,
    )
  })

  test('a step after the one that stopped the run is refused', () => {
    expect(() => lines(plain, { from: 'c', stopping: ['b'], status: 'COMPLETED' })).toThrow(
      /step "b" stopped run .*, so nothing came after it; allowed is "b", or a step before it/,
    )
    expect(lines(plain, { from: 'b', stopping: ['b'], status: 'COMPLETED' })).toEqual(['a'])
  })
})

describe('where the definition changed', () => {
  const conflict = (message: string | RegExp) =>
    expect.objectContaining({ code: 'CONFLICT', message: expect.stringMatching(message) })
  const versions = (now: WorkflowDefinition) => `version ${now.version} .* it ran with version ${plain.version}`

  test('a new step before the one where it begins is a conflict that names both versions', () => {
    const now = workflowOf(s('a'), s('new'), s('b'), s('c'))
    expect(() => lines(plain, { failing: ['b'], now })).toThrow(
      conflict(`before step "b" do not fit ${versions(now)}, and step "new" has not started in it`),
    )
    expect(lines(plain, { failing: ['b'], from: 'new', now })).toEqual(['a'])
  })

  test('a step that is gone is a conflict, unless it came later', () => {
    const now = workflowOf(s('b'), s('c'))
    expect(() => lines(plain, { from: 'b', now })).toThrow(conflict('step "a" ran in it, which is not there any more'))
    expect(() => lines(plain, { from: 'c', now })).toThrow(conflict('its steps before "b" were others'))
    expect(lines(plain, { from: 'b', now: workflowOf(s('a'), s('b')) })).toEqual(['a'])
  })

  test('another order is a conflict', () => {
    const now = workflowOf(s('b'), s('a'), s('c'))
    expect(() => lines(plain, { from: 'c', now })).toThrow(
      conflict('its steps before "b" were others, or in another order'),
    )
  })

  test('another kind is a conflict, also deep inside of what is taken over', () => {
    const kinds = (x: WorkflowNode) => workflowOf(sequence('seq', [x]), s('b'))
    const then = kinds(s('x'))
    const now = kinds(approval('x', { prompt: 'So?' }))
    expect(() => lines(then, { from: 'b', now })).toThrow(
      conflict('step "seq/x" was of kind step in it, and is approval now'),
    )
    const lost = kinds(s('y'))
    expect(() => lines(then, { from: 'b', now: lost })).toThrow(
      conflict('step "seq/x" was of kind step in it, and is nothing now'),
    )
  })

  test('what comes after the step does not matter', () => {
    const now = workflowOf(s('a'), approval('b', { prompt: 'So?' }), s('other'))
    expect(lines(plain, { failing: ['b'], now })).toEqual(['a'])
  })
})
