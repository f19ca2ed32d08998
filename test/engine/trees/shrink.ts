import { named, QUIET, withChildren } from './change.ts'
import { fits } from './generate.ts'
import type { Tree, TreeSpec } from './spec.ts'

/** Tells of each tree what is wrong with it. */
export type Try = (trees: readonly Tree[]) => Promise<readonly (readonly string[])[]>

/** How many smaller trees are tried at the same time. */
const AT_ONCE = 100

/** Makes a tree that fails as small as it can be while it fails, before `deadline`, in the machine's milliseconds. */
export async function shrunk(
  tree: Tree,
  attempt: Try,
  deadline: number,
): Promise<{ readonly tree: Tree; readonly faults: readonly string[] } | null> {
  let smallest: { readonly tree: Tree; readonly faults: readonly string[] } | null = null
  let candidates = smaller(tree)
  while (candidates.length > 0 && Date.now() < deadline) {
    const batch = candidates.slice(0, AT_ONCE)
    const faults = await attempt(batch)
    const index = faults.findIndex((its) => its.length > 0)
    const found = batch[index]
    if (!found) {
      candidates = candidates.slice(AT_ONCE)
      continue
    }
    smallest = { tree: found, faults: faults[index] ?? [] }
    candidates = smaller(found)
  }
  return smallest
}

/** Trees that are simpler in one place, the simplest first. */
function smaller(tree: Tree): Tree[] {
  const all = [
    ...smallerLists(tree.steps).map((steps) => ({ ...tree, steps })),
    ...(tree.input === 'in' ? [] : [{ ...tree, input: 'in' }]),
    ...(Object.keys(tree.state).length === 0 ? [] : [{ ...tree, state: {} }]),
  ]
  return all.map(named).filter(fits)
}

function smallerLists(list: readonly TreeSpec[]): TreeSpec[][] {
  const replaced = (index: number, by: readonly TreeSpec[]) => [
    ...list.slice(0, index),
    ...by,
    ...list.slice(index + 1),
  ]
  return [
    ...(list.length > 1 ? list.map((_, index) => replaced(index, [])) : []),
    ...list.flatMap((spec, index) => listsIn(spec).map((inner) => replaced(index, inner))),
    ...list.flatMap((spec, index) => smallerSpecs(spec).map((simple) => replaced(index, [simple]))),
  ]
}

/** The lists in a spec that could stand in its place. */
function listsIn(spec: TreeSpec): (readonly TreeSpec[])[] {
  const lists: (readonly TreeSpec[])[] = []
  withChildren(spec, (list) => {
    if (list.length > 0) lists.push(list)
    return list
  })
  return lists
}

function smallerSpecs(spec: TreeSpec): TreeSpec[] {
  const inside = listsIn(spec).flatMap((list) =>
    smallerLists(list).map((simple) => withChildren(spec, (other) => (other === list ? simple : other))),
  )
  const plain = plainer(spec).filter((other) => JSON.stringify(other) !== JSON.stringify(spec))
  return [...(spec.kind === 'step' ? [] : [QUIET]), ...inside, ...plain]
}

/** The same kind with plainer settings. */
function plainer(spec: TreeSpec): TreeSpec[] {
  switch (spec.kind) {
    case 'step':
      return [
        QUIET,
        { ...QUIET, patch: spec.patch },
        { ...spec, patch: null },
        { ...spec, gives: 'text' },
        { ...spec, reads: false },
        { ...spec, turns: 0 },
        { ...spec, delayMs: 0 },
        { ...spec, maxAttempts: 1 },
        { ...spec, said: spec.said.slice(1) },
        { ...spec, onError: 'fail', said: [] },
      ]
    case 'sleep':
      return [{ ...spec, ms: 0 }]
    case 'approval':
    case 'input':
      return [{ ...spec, end: 'answered' }]
    case 'parallel':
      return [
        { ...spec, concurrency: null },
        { ...spec, failFast: true },
      ]
    case 'condition':
      return [
        { ...spec, says: true },
        { ...spec, wavers: false },
      ]
    case 'router':
      return [
        { ...spec, selects: spec.selects.slice(0, 1) },
        { ...spec, wavers: false },
      ]
    case 'loop':
      return [
        { ...spec, rounds: 1 },
        { ...spec, maxIterations: 1 },
        { ...spec, carry: false },
        { ...spec, wavers: false },
      ]
    case 'map':
      return [
        { ...spec, items: 1 },
        { ...spec, items: 2 },
        { ...spec, concurrency: 10 },
        { ...spec, wavers: false },
      ]
    case 'sequence':
    case 'workflow':
      return []
  }
}

/** A tree as text, in which a step without settings of its own is `"step"`. */
export function textOfTree(tree: Tree): string {
  return JSON.stringify(tree, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || !('kind' in value) || value.kind !== 'step') return value
    const own = Object.entries(value).filter(
      ([key, its]) =>
        key === 'kind' ||
        JSON.stringify(its) !== JSON.stringify(Object.entries(QUIET).find(([name]) => name === key)?.[1]),
    )
    return Object.fromEntries(own)
  })
}
