import { isReused, type RunRecord, type SessionRecord, type StepRecord } from '../../../src/engine/records.ts'
import type { RunPayload } from '../../../src/engine/records.ts'
import { isJsonObject, type Json, type JsonObject, jsonEquals } from '../../../src/json.ts'
import { mergePatch } from '../../../src/session/mergePatch.ts'
import { grammarFaults, type RecordedRun } from '../../support/eventGrammar.ts'
import { type Entry, repetitionsIn } from './diary.ts'
import type { End, Expected, Row } from './expected.ts'

/** A run of a tree with everything that was recorded of it, and of what its functions did. */
export interface Outcome extends RecordedRun {
  readonly run: RunRecord
  readonly payload: RunPayload
  readonly session: SessionRecord
  readonly diary: readonly Entry[]
  /** Whether processes were stopped while it ran: attempts that were cut off came again then. */
  readonly interrupted: boolean
}

/** Every way in which a run is not what it must be; none for a sound one. */
export function faultsOf(expected: Expected, outcome: Outcome): string[] {
  return [
    ...grammarFaults(outcome),
    ...endFaults(expected, outcome),
    ...rowFaults(expected, outcome),
    ...orderFaults(expected, outcome),
    ...firstFailureFaults(outcome),
    ...stateFaults(expected, outcome),
    ...(outcome.interrupted ? repetitionsIn(outcome.diary) : diaryFaults(outcome)),
  ]
}

function text(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}

function equal(a: Json | undefined, b: Json | undefined): boolean {
  return a === undefined || b === undefined ? a === b : jsonEquals(a, b)
}

function endFaults({ ends }: Expected, { run, payload }: Outcome): string[] {
  const { status, error, stoppedBy } = run
  const { output } = payload
  if (ends.some((end) => isEnd(end, { status, error, output, stoppedBy }))) return []
  return [`the run is ${text({ status, error, output, stoppedBy })}, and not one of ${text(ends)}`]
}

type Ending = Pick<StepRecord, 'status' | 'error' | 'output'> | Pick<RunRecord, 'status' | 'error'>

/** Whether what was recorded of a run, or of a step that the end went through, is this end. */
function isEnd(end: End, given: Ending & { output: Json | undefined; stoppedBy?: string | null }): boolean {
  if (given.status !== end.status) return false
  switch (end.status) {
    case 'COMPLETED':
      return equal(given.output, end.output) && (given.stoppedBy === undefined || given.stoppedBy === end.stoppedBy)
    case 'FAILED':
      return given.error?.code === end.error.code && given.error.stepPath === end.error.stepPath
    case 'CANCELLED':
      return given.output === undefined
  }
}

function rowFaults({ rows }: Expected, { steps, events, interrupted }: Outcome): string[] {
  const faults: string[] = []
  for (const step of steps) {
    if (!rows.has(step.path)) faults.push(`${step.path} is ${step.status}, which should not run at all`)
  }
  for (const [path, row] of rows) {
    const step = steps.find((one) => one.path === path)
    if (!step) {
      if (row.sure) faults.push(`${path} has no row, and should be ${row.status}`)
      continue
    }
    const fault = rowFault(row, step, interrupted)
    if (fault !== null) faults.push(`${path}: ${fault}`)
    if (fault !== null || interrupted || !isAsExpected(row, step) || step.status === 'CANCELLED') continue
    const told = (type: string) => events.filter((event) => event.type === type && event.stepPath === path).length
    const counts = [told('STEP_STARTED'), told('STEP_RETRYING'), told('STEP_PAUSED')]
    const right = [row.attempts, row.retries, row.waits]
    if (text(counts) !== text(right))
      faults.push(`${path} was started, retried and paused ${counts.join()} times, not ${right.join()}`)
  }
  return faults
}

function rowFault(row: Row, step: StepRecord, interrupted: boolean): string | null {
  const { kind, parentPath, input, status, output, error, attempts } = step
  if (kind !== row.kind) return `it is a ${kind}, not a ${row.kind}`
  if (parentPath !== row.parentPath) return `its parent is ${parentPath}, not ${row.parentPath}`
  if (!equal(input, row.input)) return `its input is ${text(input)}, not ${text(row.input)}`
  if (isReused(step)) return 'it is marked as taken over from another run'
  const number = attempts.length
  if (isAsExpected(row, step)) {
    if (interrupted || status === 'CANCELLED' ? number >= 1 : number === row.attempts) return null
    return `it has ${number} attempts, not ${row.attempts}`
  }
  if (!row.sure && status === 'CANCELLED') return null
  if (row.clashes && status === 'FAILED' && error?.code === 'STATE_CONFLICT') return null
  return `it is ${text({ status, output, error })}, not ${text(row)}`
}

function isAsExpected(row: Row, { status, output, error }: StepRecord): boolean {
  if (row.ends.length > 0) return row.ends.some((end) => isEnd(end, { status, output, error }))
  if (status !== row.status) return false
  return status === 'SKIPPED' ? error !== null : equal(output, row.output)
}

/** In one list, an earlier step starts before a later one; the model has them in that order. */
function orderFaults({ rows }: Expected, { steps }: Outcome): string[] {
  const kinds = new Map([...rows].map(([path, { kind }]) => [path, kind]))
  const lists = new Map<string, string[]>()
  for (const [path, { parentPath }] of rows) {
    const isList = parentPath === null || kinds.get(parentPath) !== 'parallel'
    // All before the name: in a loop or map with the number, so that each iteration and item has a list of its own.
    const list = path.slice(0, path.lastIndexOf('/') + 1)
    if (isList) lists.set(list, [...(lists.get(list) ?? []), path])
  }
  const positions = new Map(steps.map(({ path, position }) => [path, position]))
  return [...lists.values()].flatMap((paths) => {
    const there = paths.map((path) => positions.get(path)).filter((position) => position !== undefined)
    const ordered = there.toSorted((a, b) => a - b)
    return text(there) === text(ordered) ? [] : [`${paths.join()} started in the order ${there.join()}`]
  })
}

/** Of failures beside each other, the first in the order of the steps is the one that is told. */
function firstFailureFaults({ steps }: Outcome): string[] {
  return steps.flatMap((step) => {
    if ((step.kind !== 'parallel' && step.kind !== 'map') || step.status !== 'FAILED') return []
    const failed = steps.filter(({ parentPath, status }) => parentPath === step.path && status === 'FAILED')
    const [first] = step.kind === 'map' ? failed.toSorted((a, b) => itemOf(a.path) - itemOf(b.path)) : inOrder(failed)
    const told = step.error?.stepPath
    if (first === undefined || told === first.error?.stepPath || step.error?.code === 'STATE_CONFLICT') return []
    return [`${step.path} tells of the failure of ${told}, while ${first.path} is the first that failed`]
  })
}

/** Steps get names with their index among their siblings. */
function inOrder(steps: readonly StepRecord[]): StepRecord[] {
  return steps.toSorted((a, b) => indexOf(a.name) - indexOf(b.name))
}

function indexOf(name: string): number {
  return Number(/\d+$/.exec(name)?.[0])
}

function itemOf(path: string): number {
  return Number(/\[(\d+)\]\/[^/]*$/.exec(path)?.[1])
}

function stateFaults({ state }: Expected, { run, payload, session, steps, events }: Outcome): string[] {
  const { stateBefore = {}, stateAfter } = payload
  const faults: string[] = []
  if (!equal(stateAfter, session.state)) {
    faults.push(`the session's state is ${text(session.state)}, and that after the run ${text(stateAfter)}`)
  }
  if (state !== null && !equal(stateAfter, state)) {
    faults.push(`the state after the run is ${text(stateAfter)}, not ${text(state)}`)
  }
  const patches = new Map(steps.map(({ path, statePatch }) => [path, statePatch]))
  let together: JsonObject = stateBefore
  for (const { type, stepPath } of events) {
    const patch = type === 'STEP_COMPLETED' && stepPath !== null ? patches.get(stepPath) : undefined
    const after = patch === undefined ? together : mergePatch(together, patch)
    if (isJsonObject(after)) together = after
  }
  if (!equal(stateAfter, together)) {
    faults.push(`the state after the run is ${text(stateAfter)}, and the patches of its steps make ${text(together)}`)
  }
  if (session.activeRunId !== null) faults.push(`run ${run.runId} is over and still has the turn of its session`)
  return faults
}

/** Without a stop, each attempt that was recorded of a step is one call of its body, and nobody is asked twice. */
function diaryFaults({ steps, diary }: Outcome): string[] {
  const asked = diary.flatMap((entry) => ('asked' in entry ? [entry.asked] : []))
  const twice = asked.filter((place, index) => asked.indexOf(place) < index)
  const bodies = steps.flatMap(({ path, kind, attempts, status }) => {
    const called = diary.flatMap((entry) => ('began' in entry && entry.began === path ? [entry.attempt] : []))
    const kept = kind === 'step' ? attempts.map(({ number }) => number) : []
    // An attempt may be recorded and cut off before its body is called.
    const allowed = status === 'CANCELLED' ? [text(kept), text(kept.slice(0, -1))] : [text(kept)]
    return allowed.includes(text(called))
      ? []
      : [`attempts ${kept.join()} of ${path} were recorded, and ${called.join()} called`]
  })
  return [...twice.map((place) => `${place} was asked twice`), ...bodies]
}
