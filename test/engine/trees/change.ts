import type { StepSpec, Tree, TreeSpec } from './spec.ts'

/** How often a step fails that always does. */
export const ALWAYS = 99

/** A step without settings of its own. */
export const QUIET: StepSpec = {
  kind: 'step',
  name: '',
  gives: 'text',
  failures: 0,
  how: 'throws',
  maxAttempts: 1,
  delayMs: 0,
  onError: 'fail',
  said: [],
  patch: null,
  reads: false,
  turns: 0,
}

/** The same spec with other children. `change` is given each list, and how many siblings stand before it. */
export function withChildren(
  spec: TreeSpec,
  change: (list: readonly TreeSpec[], from: number) => readonly TreeSpec[],
): TreeSpec {
  switch (spec.kind) {
    case 'step':
    case 'approval':
    case 'input':
    case 'sleep':
      return spec
    case 'condition':
      // oxlint-disable-next-line unicorn/no-thenable -- a list of steps, and no function: nothing takes it for a promise
      return { ...spec, then: change(spec.then, 0), else: change(spec.else, spec.then.length) }
    case 'router':
      return { ...spec, choices: change(spec.choices, 0) }
    case 'sequence':
    case 'parallel':
    case 'loop':
    case 'map':
    case 'workflow':
      return { ...spec, steps: change(spec.steps, 0) }
  }
}

/** Names all steps by their kind and their place among their siblings. */
export function named(tree: Tree): Tree {
  return { ...tree, steps: namedList(tree.steps) }
}

function namedList(list: readonly TreeSpec[], from = 0): TreeSpec[] {
  return list.map((spec, index) => ({
    ...withChildren(spec, namedList),
    name: `${spec.kind}${from + index}`,
  }))
}

/**
 * The same tree, with steps that fail always or until their retries help. Where processes are stopped, attempts are
 * more than in an undisturbed run, and what an attempt does must not depend on its number.
 */
export function steadied(tree: Tree): Tree {
  return { ...tree, steps: steadiedList(tree.steps) }
}

function steadiedList(list: readonly TreeSpec[]): TreeSpec[] {
  return list.map((spec) => {
    if (spec.kind !== 'step') return withChildren(spec, steadiedList)
    const fails = spec.failures >= spec.maxAttempts || (spec.how === 'final' && spec.failures > 0)
    return fails ? { ...spec, failures: ALWAYS } : spec
  })
}
