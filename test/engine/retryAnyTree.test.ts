/* oxlint-disable unicorn/no-thenable -- `then` of a condition is a list of steps */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { StepRecord } from '../../src/engine/records.ts'
import { reusedRows } from '../../src/engine/commands/retry.ts'
import { condition } from '../../src/workflow/condition.ts'
import type { WorkflowDefinition, WorkflowNode } from '../../src/workflow/definition.ts'
import { loop } from '../../src/workflow/loop.ts'
import { map } from '../../src/workflow/map.ts'
import { parallel } from '../../src/workflow/parallel.ts'
import { router } from '../../src/workflow/router.ts'
import { sequence } from '../../src/workflow/sequence.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'
import { rowsOf, runOf } from './recordedRuns.ts'

interface Spec {
  readonly kind: 'step' | 'sequence' | 'parallel' | 'condition' | 'router' | 'loop' | 'map'
  readonly below: readonly Spec[]
  readonly flag: boolean
}

/** Lists of trees that are at most so deep. */
function specsOf(depth: number): fc.Arbitrary<readonly Spec[]> {
  const leaf = { kind: fc.constant('step' as const), below: fc.constant([]), flag: fc.constant(false) }
  if (depth === 1) return fc.array(fc.record(leaf), { minLength: 1, maxLength: 3 })
  const kinds = ['sequence', 'parallel', 'condition', 'router', 'loop', 'map'] as const
  const inner = { kind: fc.constantFrom(...kinds), below: specsOf(depth - 1), flag: fc.boolean() }
  return fc.array(fc.oneof(fc.record(leaf), fc.record(inner)), { minLength: 1, maxLength: 3 })
}

function nodeOf({ kind, below, flag }: Spec, index: number): WorkflowNode {
  const name = `${kind}-${index}`
  const steps = below.map(nodeOf)
  switch (kind) {
    case 'step':
      return step(name, () => name)
    case 'sequence':
      return sequence(name, steps)
    case 'parallel':
      return parallel(name, steps)
    case 'condition':
      return condition(name, { if: () => flag, then: steps })
    case 'router':
      return router(name, { select: () => '', choices: steps })
    case 'loop':
      return loop(name, { maxIterations: 3, carry: flag, steps })
    case 'map':
      return map(name, { ...(flag ? { items: () => [] } : {}), steps })
  }
}

/** Where two rows part: in branches that run at the same time, or not. */
function besideEachOther(definition: WorkflowDefinition, a: string, b: string): boolean {
  const [left, right] = [a.split('/'), b.split('/')]
  const at = left.findIndex((segment, index) => segment !== right[index])
  const [here = '', there = ''] = [left[at], right[at]]
  const bare = (path: string) => path.replaceAll(/\[\d+\]/g, '')
  const around = bare(left.slice(0, bare(here) === bare(there) ? at + 1 : at).join('/'))
  const kind = definition.nodes.find(({ path }) => path === around)?.node.kind
  return bare(here) === bare(there) ? kind === 'map' : kind === 'parallel'
}

const isAbove = (path: string, other: string) => other.startsWith(`${path}/`) || other.startsWith(`${path}[`)

describe('of any run, and from any of its steps', () => {
  const trees = fc.tuple(specsOf(4), fc.array(fc.nat(40), { maxLength: 4 }))

  function forEach(check: (definition: WorkflowDefinition, rows: readonly StepRecord[], from: StepRecord) => void) {
    fc.assert(
      fc.property(trees, ([list, places]) => {
        const definition = defineWorkflow({ name: 'Any tree', steps: list.map(nodeOf) })
        const leaves = rowsOf(definition).filter(({ kind }) => kind === 'step')
        const failing = places.flatMap((place) => leaves[place]?.path ?? [])
        const rows = rowsOf(definition, { failing })
        for (const from of rows) check(definition, rows, from)
      }),
      { numRuns: 100 },
    )
  }
  const taken = (definition: WorkflowDefinition, steps: readonly StepRecord[], fromStep: string) =>
    reusedRows({ run: runOf(definition), steps, definition, fromStep, newInput: false, runId: 'new', at: new Date() })

  test('everything before the step is taken as it is, nothing of it or after it, and what is around it goes on', () => {
    let before = 0
    forEach((definition, rows, from) => {
      const byPath = new Map(taken(definition, rows, from.path).map((row) => [row.path, row]))
      for (const row of rows) {
        const now = byPath.get(row.path)
        if (isAbove(row.path, from.path)) {
          expect(now).toMatchObject({ status: 'RUNNING', attempts: [], completedAt: null, output: undefined })
        } else if (row.path === from.path || isAbove(from.path, row.path)) expect(now).toBeUndefined()
        else if (!besideEachOther(definition, row.path, from.path)) {
          const { status, output, input, inputFrom, decision } = row
          if (row.position > from.position) expect(now).toBeUndefined()
          else expect(now).toMatchObject({ status, output, input, inputFrom, decision, attempts: [] })
          before += 1
        }
      }
    })
    expect(before).toBeGreaterThan(1_000)
  })

  test('whatever is taken has its parent and its input among what is taken, and keeps the order', () => {
    forEach((definition, rows, from) => {
      const reused = taken(definition, rows, from.path)
      const paths = new Set(reused.map(({ path }) => path))
      const ended = new Set(reused.filter(({ completedAt }) => completedAt !== null).map(({ path }) => path))
      const order = reused.map(({ path }) => rows.findIndex((row) => row.path === path))
      expect(order).toEqual(order.toSorted((a, b) => a - b))
      expect(reused.map(({ position }) => position)).toEqual([...reused.keys()])
      const lost = reused.filter(
        ({ parentPath, inputFrom }) =>
          (parentPath !== null && !paths.has(parentPath)) ||
          (inputFrom.startsWith('step:') && !ended.has(inputFrom.slice('step:'.length))),
      )
      expect(lost).toEqual([])
    })
  })

  test('a retry of what was taken takes the same again', () => {
    forEach((definition, rows, from) => {
      const once = taken(definition, rows, from.path)
      const twice = taken(definition, once, from.path)
      const times = (row: StepRecord) => ({ ...row, startedAt: null })
      expect(twice.map(times)).toEqual(once.map(times))
    })
  })
})
