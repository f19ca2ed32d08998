import { diffPatch, mergePatch } from '../../../src/session/mergePatch.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../src/json.ts'
import { clashing } from './conflicts.ts'
import type { End, Flow, Row, Scope, View } from './expected.ts'

/** A branch as it went, as if nothing beside it had ended the run. */
interface Branch {
  readonly flow: Flow
  readonly view: View
  readonly rows: readonly Row[]
}

/**
 * What branches beside each other lead to. Each is followed to its own end; what then depends on who is faster is marked
 * as not sure, and every end that may win is told.
 */
export function modelOfBranches(
  branches: readonly ((view: View) => Flow)[],
  { world, view }: Scope,
  failFast: boolean,
): { readonly outputs: readonly Json[] } | { readonly ends: readonly End[] } {
  const went = branches.map((branch): Branch => {
    const own: View = { state: view.state, writes: [], sure: true }
    const before = world.rows.size
    const flow = branch(own)
    return { flow, view: own, rows: [...world.rows.values()].slice(before) }
  })
  const ended = went.filter(({ flow }) => 'ends' in flow)
  const endsOf = ({ flow }: Branch) => ('ends' in flow ? flow.ends : [])
  const conflicts = clashing(went.map((branch) => branch.view.writes)).map(conflictAt)
  if (conflicts.length > 0) {
    for (const row of went.flatMap(({ rows }) => rows)) Object.assign(row, { sure: false, clashes: true })
    view.sure = false
    return { ends: [...ended.flatMap(endsOf), ...conflicts] }
  }
  // Where failures wait for all branches, only what ends the run otherwise cuts off the others.
  const cutsOff = failFast || ended.flatMap(endsOf).some(({ status }) => status !== 'FAILED')
  if (ended.length > 0 && cutsOff) {
    const only = ended.length === 1 ? ended[0] : undefined
    for (const branch of went.filter((one) => one !== only)) {
      for (const row of branch.rows) row.sure = false
      if (branch.view.writes.length > 0) view.sure = false
    }
  }
  join(view, went)
  const [first] = ended
  if (first) return { ends: cutsOff ? ended.flatMap(endsOf) : endsOf(first) }
  return { outputs: went.map(({ flow }) => ('output' in flow ? flow.output : null)) }
}

function conflictAt(stepPath: string): End {
  return { status: 'FAILED', error: { code: 'STATE_CONFLICT', stepPath } }
}

/** What the branches changed, all together. */
function join(view: View, went: readonly Branch[]): void {
  const fork = view.state
  for (const branch of went) {
    view.state = merged(view.state, diffPatch(fork, branch.view.state))
    view.writes.push(...branch.view.writes)
    if (!branch.view.sure) view.sure = false
  }
}

function merged(state: JsonObject, patch: JsonObject): JsonObject {
  const after = mergePatch(state, patch)
  if (!isJsonObject(after)) throw new Error('a patch that is an object made the state something else')
  return after
}
