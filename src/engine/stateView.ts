import { deepFreeze, isJsonObject, type Json, type JsonObject, jsonEquals } from '../json.ts'
import { mergePatch } from '../session/mergePatch.ts'

/** The session's state as one branch of a run sees it: what it was where the branch began, and the branch's own changes. */
export interface StateView {
  readonly state: JsonObject
  /** Takes a recorded change in, for this branch and for what comes after those around it. */
  apply(path: string, patch: JsonObject): void
  /** What a change of the step at `path` would contradict; null if it fits. */
  conflict(path: string, patch: JsonObject): StateConflict | null
  /** Splits the branch into branches that run at the same time. */
  fork(): StateFork
}

/** Branches that run at the same time. */
export interface StateFork {
  /**
   * Tells what a step of a branch has changed before, ahead of the replay in which the branch takes it in: a sibling that is
   * faster must find it.
   */
  recall(index: number, path: string, patch: JsonObject): void
  /** The view of a branch, as it was at the fork. Asked for again when the branch is replayed. */
  branch(index: number): StateView
}

/** Two steps that ran at the same time and set one place of the state to different values. */
export interface StateConflict {
  /** The step that was first. */
  readonly path: string
  /** The place, as a list of keys from the outside in. */
  readonly keys: readonly string[]
}

/** A view that no other runs beside. */
export function createStateView(state: JsonObject): StateView {
  return createView(state, null)
}

interface Around {
  readonly writes: Writes
  readonly branch: number
  readonly parent: StateView
}

function createView(base: JsonObject, around: Around | null): StateView {
  let state = base
  const view: StateView = {
    get state() {
      return state
    },
    apply(path, patch) {
      state = patched(state, patch)
      around?.writes.add({ path, branch: around.branch, patch })
      around?.parent.apply(path, patch)
    },
    conflict: (path, patch) =>
      around && (around.writes.conflict({ path, branch: around.branch, patch }) ?? around.parent.conflict(path, patch)),
    fork() {
      const forked = state
      const writes = createWrites()
      return {
        recall: (branch, path, patch) => writes.add({ path, branch, patch }),
        branch: (index) => createView(forked, { writes, branch: index, parent: view }),
      }
    },
  }
  return view
}

/** A state with a change: it can be shared, so it cannot be changed. */
export function patched(state: JsonObject, patch: JsonObject): JsonObject {
  const result = mergePatch(state, patch)
  return isJsonObject(result) ? deepFreeze(result) : state
}

interface Write {
  readonly path: string
  readonly branch: number
  readonly patch: JsonObject
}

/** What the branches of a fork have written, place by place. */
interface Writes {
  add(write: Write): void
  conflict(write: Write): StateConflict | null
}

/** Who set something: the first step, and the first one of another branch, which set the same. */
interface Claim {
  readonly branch: number
  readonly path: string
  other: string | null
}

/** One place of the state. It may have been set as a whole, and parts of it too. */
interface Place {
  /** What was set here as a whole, one for each value; several only where no other branch has set it. */
  readonly wholes: (Claim & { readonly value: Json })[]
  /** That something below was set. */
  parts: Claim | null
  readonly below: Map<string, Place>
}

/**
 * Whether two branches contradict each other must not depend on which was faster. So every pair of writes counts: also
 * a value that its branch has replaced since contradicts what another branch sets. Whatever is here agrees, so for each
 * value two of those who set it say all.
 */
function createWrites(): Writes {
  const root = createPlace()
  return {
    add: ({ path, branch, patch }) => addBelow(root, patch, { path, branch }),
    conflict: ({ branch, patch }) => conflictBelow(root, patch, { branch, keys: [] }),
  }
}

function createPlace(): Place {
  return { wholes: [], parts: null, below: new Map() }
}

type Writer = Pick<Write, 'path' | 'branch'>

function addBelow(place: Place, patch: JsonObject, by: Writer): void {
  for (const [key, value] of Object.entries(patch)) {
    const at = place.below.get(key) ?? createPlace()
    place.below.set(key, at)
    if (isJsonObject(value)) {
      at.parts = claimed(at.parts ?? { ...by, other: null }, by)
      addBelow(at, value, by)
    } else {
      const same = at.wholes.find((whole) => jsonEquals(whole.value, value))
      if (same) claimed(same, by)
      else at.wholes.push({ ...by, other: null, value })
    }
  }
}

function claimed<Held extends Claim>(claim: Held, by: Writer): Held {
  if (claim.branch !== by.branch) claim.other ??= by.path
  return claim
}

/** A step of another branch that is among those who claim the place. */
function otherThan(branch: number, claim: Claim): string | null {
  return claim.branch === branch ? claim.other : claim.path
}

interface Looking {
  readonly branch: number
  readonly keys: readonly string[]
}

function conflictBelow(place: Place, patch: JsonObject, { branch, keys }: Looking): StateConflict | null {
  for (const [key, value] of Object.entries(patch)) {
    const at = place.below.get(key)
    if (!at) continue
    const here = [...keys, key]
    const others = at.wholes.filter((whole) => isJsonObject(value) || !jsonEquals(whole.value, value))
    const claims = at.parts && !isJsonObject(value) ? [...others, at.parts] : others
    const path = claims.map((claim) => otherThan(branch, claim)).find((found) => found !== null)
    if (path !== undefined) return { path, keys: here }
    const deeper = isJsonObject(value) ? conflictBelow(at, value, { branch, keys: here }) : null
    if (deeper) return deeper
  }
  return null
}
