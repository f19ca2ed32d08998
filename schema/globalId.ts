import type { StepKey } from '../src/engine/reader.ts'
import type { EventRecord } from '../src/engine/records.ts'
import { KernError, shown } from '../src/errors.ts'
import { isUuid } from '../src/ids.ts'

/** The types that have a global id. */
export const NODE_TYPES = ['Workflow', 'Session', 'Run', 'StepResult', 'RunEvent'] as const
export type NodeType = (typeof NODE_TYPES)[number]

/** A stored event of a run. */
export interface EventKey {
  readonly runId: string
  readonly seq: number
}

/** A global id, read. */
export interface GlobalId {
  readonly typename: NodeType
  /** The key within its type, of the form that the type asks for. */
  readonly id: string
}

const MAX_SEQ = 2_147_483_647

/**
 * True for text that a row can hold. Postgres takes neither NUL nor half a surrogate pair, so nothing with such an id
 * exists, and asking for it would be an error there.
 */
export function canExist(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}

/** The opaque global id of a node: base64url of `Type:key`. */
export function encodeGlobalId(typename: string, key: string): string {
  return Buffer.from(`${typename}:${key}`).toString('base64url')
}

/**
 * Reads a global id. What it names need not exist.
 *
 * @throws KernError INPUT_INVALID for anything that {@link encodeGlobalId} did not make of a key of the type
 */
export function decodeGlobalId(globalId: string): GlobalId {
  const text = Buffer.from(globalId, 'base64url').toString()
  const colon = text.indexOf(':')
  const typename = NODE_TYPES.find((type) => type === text.slice(0, colon))
  const id = text.slice(colon + 1)
  if (!typename || !isKey(typename, id) || encodeGlobalId(typename, id) !== globalId) {
    throw new KernError(
      'INPUT_INVALID',
      `id is ${shown(globalId)}: allowed is the id field of a ${NODE_TYPES.slice(0, -1).join(', ')} or ${NODE_TYPES.at(-1)}`,
    )
  }
  return { typename, id }
}

function isKey(typename: NodeType, key: string): boolean {
  switch (typename) {
    case 'Workflow':
    case 'Session':
      return key !== '' && canExist(key)
    case 'Run':
      return isUuid(key)
    case 'StepResult':
      return readStepKey(key) !== null
    case 'RunEvent':
      return readEventKey(key) !== null || isProgressKey(key)
  }
}

/** The key of a step result within its type. */
export function stepKey({ runId, path }: StepKey): string {
  return `${runId}:${path}`
}

/** Null for what {@link stepKey} did not make. */
export function readStepKey(key: string): StepKey | null {
  const [runId, path] = cut(key)
  return isUuid(runId) && path !== '' && canExist(path) ? { runId, path } : null
}

/** What the key of progress has in the place of the `seq` of a stored event. */
const PROGRESS = 'progress:'

/**
 * The key of an event within its type. The progress of a step has one key, which no stored event has: it is no part of the
 * list of events, each takes the place of the one before, and what keeps objects by their ids keeps one for each step.
 */
export function eventKey({ runId, seq, type, stepPath }: EventRecord): string {
  return type === 'STEP_PROGRESS' ? `${runId}:${PROGRESS}${stepPath}` : `${runId}:${seq}`
}

function isProgressKey(key: string): boolean {
  const [runId, rest] = cut(key)
  return rest.startsWith(PROGRESS) && readStepKey(`${runId}:${rest.slice(PROGRESS.length)}`) !== null
}

/** Null for what {@link eventKey} did not make of a stored event. */
export function readEventKey(key: string): EventKey | null {
  const [runId, digits] = cut(key)
  const seq = Number(digits)
  return isUuid(runId) && /^[1-9]\d{0,9}$/.test(digits) && seq <= MAX_SEQ ? { runId, seq } : null
}

function cut(key: string): [runId: string, rest: string] {
  const colon = key.indexOf(':')
  return [key.slice(0, Math.max(colon, 0)), key.slice(colon + 1)]
}

/** The type of a record that stands behind a node; undefined for anything else. */
export function nodeTypeOf(record: unknown): NodeType | undefined {
  if (typeof record !== 'object' || record === null) return undefined
  if ('workflowData' in record) return 'Session'
  if ('historyRunIds' in record) return 'Run'
  if ('inputFrom' in record) return 'StepResult'
  if ('seq' in record) return 'RunEvent'
  return 'nodes' in record ? 'Workflow' : undefined
}
