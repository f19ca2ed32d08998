import { KernError, shown } from '../errors.ts'
import type { PlacedNode, WorkflowDefinition, WorkflowNode } from './definition.ts'
import { refused } from './validate.ts'

/** How deep nodes may stand in each other; a step of a workflow stands at depth 1. */
export const MAX_DEPTH = 32
/** How many nodes a workflow may have. */
export const MAX_NODES = 1_000
/** How long a path may be, in UTF-16 code units: the database has it in a key, which has a limit in bytes. */
export const MAX_PATH_LENGTH = 500
/** How many items an array can have: no index of an item in a path is larger. */
const MAX_ARRAY_LENGTH = 2 ** 32 - 1

/** Marks the nodes that Kern made and checked. Registered, so that two copies of Kern in a process know each other's. */
const MADE_BY_KERN = Symbol.for('kern.node')
/** Marks the definitions alike. */
const DEFINED_BY_KERN = Symbol.for('kern.definition')

/** Freezes and marks a node that has been checked. */
export function sealNode<Node extends WorkflowNode>(node: Node): Node {
  Object.defineProperty(node, MADE_BY_KERN, { value: true })
  return Object.freeze(node)
}

/** Freezes and marks a definition that has been checked. */
export function sealDefinition<Definition extends WorkflowDefinition>(definition: Definition): Definition {
  Object.defineProperty(definition, DEFINED_BY_KERN, { value: true })
  return Object.freeze(definition)
}

/** True for what `step()`, `sequence()` and the like returned; false for a copy of it. */
export function isNode(value: unknown): value is WorkflowNode {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, MADE_BY_KERN)
}

/** True for the definition of a workflow; false for a copy of it. */
export function isDefinition(value: unknown): value is WorkflowDefinition {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, DEFINED_BY_KERN)
}

/**
 * Reads a list of nodes with at least one.
 *
 * @param place the owner of the list, for the error
 * @param list what the owner calls it
 * @returns a frozen copy
 * @throws KernError DEFINITION_INVALID if it is no list, empty, or holds something else
 */
export function readSteps(place: string, value: unknown, list = 'steps'): readonly WorkflowNode[] {
  const nodes = readNodes(place, value, list)
  if (nodes.length === 0) throw new KernError('DEFINITION_INVALID', `${place} has no ${list}: at least one is needed`)
  return nodes
}

/** Reads a list of nodes that may be empty; else like {@link readSteps}. @throws KernError DEFINITION_INVALID */
export function readNodes(place: string, value: unknown, list: string): readonly WorkflowNode[] {
  const makers = 'what step(), sequence(), parallel() and the like return'
  if (!Array.isArray(value)) throw refused(`${list} of ${place}`, value, `allowed is a list of ${makers}`)
  // Array.from also visits the holes of a sparse list, as undefined.
  const nodes = Array.from(value, (node: unknown, index): WorkflowNode => {
    if (!isNode(node)) throw refused(`${list}[${index}] of ${place}`, node, `allowed is ${makers}, and no copy of it`)
    return node
  })
  return Object.freeze(nodes)
}

/** A list of children. */
interface ChildList {
  /** Where the list stands in the options of its owner. */
  readonly list: string
  readonly nodes: readonly WorkflowNode[]
}

/** The direct children of a node, in order: first `then` and then `else` of a condition, the steps of a nested workflow. */
export function childrenOf(node: WorkflowNode): readonly WorkflowNode[] {
  return listsOf(node).flatMap(({ nodes }) => nodes)
}

function listsOf(node: WorkflowNode): readonly ChildList[] {
  switch (node.kind) {
    case 'step':
    case 'agent':
    case 'approval':
    case 'input':
    case 'sleep':
      return []
    case 'sequence':
    case 'parallel':
    case 'loop':
    case 'map':
      return [{ list: 'steps', nodes: node.steps }]
    case 'condition':
      return [
        { list: 'then', nodes: node.then },
        { list: 'else', nodes: node.else },
      ]
    case 'router':
      return [{ list: 'choices', nodes: node.choices }]
    case 'workflow':
      return [{ list: 'workflow.steps', nodes: node.workflow.steps }]
  }
}

/** How many characters the number of an iteration or item may add to the path of a step below this node. */
function numberRoom(node: WorkflowNode): number {
  switch (node.kind) {
    case 'loop':
      return `[${node.maxIterations}]`.length
    case 'map':
      return `[${MAX_ARRAY_LENGTH}]`.length
    default:
      return 0
  }
}

/** The path in the definition of a path in a run: without the numbers of iterations and items. */
export function definitionPathOf(path: string): string {
  return path.replace(/\[\d+\]/g, '')
}

/**
 * All nodes of a tree with their paths, parents before their children, in order; those of nested workflows below the
 * nodes that hold them.
 *
 * @param place the owner of the tree, for the error
 * @throws KernError DEFINITION_INVALID for two nodes with one path, or a tree that is too deep, too large or whose
 *   paths are too long
 */
export function placeNodes(place: string, steps: readonly WorkflowNode[]): readonly PlacedNode[] {
  const placed: PlacedNode[] = []
  const positions = new Map<string, string>()

  // Depth and count are checked before going on: shared children can unfold a small graph into a tree without end.
  const visit = ({ list, nodes }: ChildList, parent: Position | null): void => {
    for (const [index, node] of nodes.entries()) {
      const position = `${parent === null ? '' : `${parent.position}.`}${list}[${index}]`
      const path = parent === null ? node.name : `${parent.path}/${node.name}`
      const depth = (parent?.depth ?? 0) + 1
      const length = path.length + (parent?.room ?? 0)
      checkRoom(place, { path, length, depth, count: placed.length + 1 })
      const twin = positions.get(path)
      if (twin !== undefined) throw twoWithOnePath(place, path, [twin, position])
      positions.set(path, position)
      placed.push(Object.freeze({ path, parentPath: parent?.path ?? null, node }))
      const room = (parent?.room ?? 0) + numberRoom(node)
      for (const below of listsOf(node)) visit(below, { path, position, depth, room })
    }
  }
  visit({ list: 'steps', nodes: steps }, null)
  return Object.freeze(placed)
}

interface Position {
  readonly path: string
  /** Where it stands in the options: `steps[1].then[0]`. */
  readonly position: string
  readonly depth: number
  /** How many characters the numbers of the iterations and items around may add to the path in a run. */
  readonly room: number
}

function twoWithOnePath(place: string, path: string, [first, second]: readonly [string, string]): KernError {
  return new KernError(
    'DEFINITION_INVALID',
    `${place} has two steps with the path ${shown(path)}, ${first} and ${second}: give one of them another name`,
  )
}

interface Room {
  readonly path: string
  /** Of the path in a run, with the longest numbers. */
  readonly length: number
  readonly depth: number
  readonly count: number
}

function checkRoom(place: string, { path, length, depth, count }: Room): void {
  const fault = (text: string) => new KernError('DEFINITION_INVALID', `${place} ${text}`)
  if (depth > MAX_DEPTH) {
    throw fault(`nests steps too deep at ${shown(path)}: allowed are ${MAX_DEPTH} levels`)
  }
  if (length > MAX_PATH_LENGTH) {
    const numbers = length > path.length ? ', numbers of iterations and items counted' : ''
    throw fault(`has a path of ${length} characters${numbers}, ${shown(path)}: allowed are ${MAX_PATH_LENGTH}`)
  }
  if (count > MAX_NODES) throw fault(`has too many steps: allowed are ${MAX_NODES}, nested ones counted`)
}
