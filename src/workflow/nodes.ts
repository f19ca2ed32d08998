import { KernError, shown } from '../errors.ts'
import type { PlacedNode, WorkflowNode } from './definition.ts'
import { refused } from './validate.ts'

/** How deep nodes may stand in each other; a step of a workflow stands at depth 1. */
export const MAX_DEPTH = 32
/** How many nodes a workflow may have. */
export const MAX_NODES = 1_000
/** How long a path may be, in UTF-16 code units: the database has it in a key, which has a limit in bytes. */
export const MAX_PATH_LENGTH = 500

/** Marks the nodes that Kern made and checked. Registered, so that two copies of Kern in a process know each other's. */
const MADE_BY_KERN = Symbol.for('kern.node')

/** Freezes and marks a node that has been checked. */
export function sealNode<Node extends WorkflowNode>(node: Node): Node {
  Object.defineProperty(node, MADE_BY_KERN, { value: true })
  return Object.freeze(node)
}

/** True for what `step()`, `sequence()` and the like returned; false for a copy of it. */
export function isNode(value: unknown): value is WorkflowNode {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, MADE_BY_KERN)
}

/**
 * Reads a list of nodes.
 *
 * @param place the owner of the list, for the error
 * @returns a frozen copy
 * @throws KernError DEFINITION_INVALID if it is no list, empty, or holds something else
 */
export function readSteps(place: string, value: unknown): readonly WorkflowNode[] {
  const makers = 'what step() and sequence() return'
  if (!Array.isArray(value)) throw refused(`steps of ${place}`, value, `allowed is a list of ${makers}`)
  if (value.length === 0) throw new KernError('DEFINITION_INVALID', `${place} has no steps: at least one is needed`)
  // Array.from also visits the holes of a sparse list, as undefined.
  const steps = Array.from(value, (node: unknown, index): WorkflowNode => {
    if (!isNode(node)) throw refused(`steps[${index}] of ${place}`, node, `allowed is ${makers}, and no copy of it`)
    return node
  })
  return Object.freeze(steps)
}

/** The direct children of a node, in order. */
export function childrenOf(node: WorkflowNode): readonly WorkflowNode[] {
  switch (node.kind) {
    case 'step':
      return []
    case 'sequence':
      return node.steps
  }
}

/**
 * All nodes of a tree with their paths, parents before their children, in order.
 *
 * @param place the owner of the tree, for the error
 * @throws KernError DEFINITION_INVALID for two nodes with one path, or a tree that is too deep, too large or whose
 *   paths are too long
 */
export function placeNodes(place: string, steps: readonly WorkflowNode[]): readonly PlacedNode[] {
  const placed: PlacedNode[] = []
  const positions = new Map<string, string>()

  // Depth and count are checked before going on: shared children can unfold a small graph into a tree without end.
  const visit = (nodes: readonly WorkflowNode[], parent: Position | null): void => {
    for (const [index, node] of nodes.entries()) {
      const position = `${parent === null ? '' : `${parent.position}.`}steps[${index}]`
      const path = parent === null ? node.name : `${parent.path}/${node.name}`
      const depth = (parent?.depth ?? 0) + 1
      checkRoom(place, { path, depth, count: placed.length + 1 })
      const twin = positions.get(path)
      if (twin !== undefined) throw twoWithOnePath(place, path, [twin, position])
      positions.set(path, position)
      placed.push(Object.freeze({ path, parentPath: parent?.path ?? null, node }))
      visit(childrenOf(node), { path, position, depth })
    }
  }
  visit(steps, null)
  return Object.freeze(placed)
}

interface Position {
  readonly path: string
  /** Where it stands in the options: `steps[1].steps[0]`. */
  readonly position: string
  readonly depth: number
}

function twoWithOnePath(place: string, path: string, [first, second]: readonly [string, string]): KernError {
  return new KernError(
    'DEFINITION_INVALID',
    `${place} has two steps with the path ${shown(path)}, ${first} and ${second}: give one of them another name`,
  )
}

function checkRoom(place: string, at: { readonly path: string; readonly depth: number; readonly count: number }): void {
  const fault = (text: string) => new KernError('DEFINITION_INVALID', `${place} ${text}`)
  if (at.depth > MAX_DEPTH) {
    throw fault(`nests steps too deep at ${shown(at.path)}: allowed are ${MAX_DEPTH} levels`)
  }
  if (at.path.length > MAX_PATH_LENGTH) {
    throw fault(`has a path of ${at.path.length} characters, ${shown(at.path)}: allowed are ${MAX_PATH_LENGTH}`)
  }
  if (at.count > MAX_NODES) throw fault(`has too many steps: allowed are ${MAX_NODES}, nested ones counted`)
}
