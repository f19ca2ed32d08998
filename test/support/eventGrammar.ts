import {
  type EventRecord,
  isFinal,
  isFinalEvent,
  isReused,
  type RunRecord,
  type StepRecord,
} from '../../src/engine/records.ts'

/*
 * The grammar of the events of a run:
 *
 *   run      = RUN_QUEUED RUN_CANCELLED | RUN_QUEUED RUN_STARTED { anything below } [ end ]
 *   end      = RUN_COMPLETED | RUN_FAILED | RUN_CANCELLED
 *   pause    = RUN_PAUSED ( RUN_RESUMED | { STEP_CANCELLED } RUN_CANCELLED )
 *   step     = attempt { again } [ over ]
 *   attempt  = STEP_STARTED { LOG | CUSTOM | STATE_CHANGED | events of the steps below it }
 *   again    = STEP_RETRYING attempt | STEP_PAUSED attempt (where a person said RETRY to a failure)
 *            | attempt (where the attempt before was INTERRUPTED with its process)
 *   over     = [ STEP_PAUSED ] ( STEP_COMPLETED | STEP_FAILED | STEP_SKIPPED | STEP_CANCELLED )
 *            | STEP_RETRYING ( STEP_CANCELLED | STEP_FAILED with the run, not by itself )
 *
 * `seq` counts from 1 without a gap, times never go back, and nothing follows the end. A step lies between the start and
 * the end of the one that it is in. Two steps are open at the same time only where one is in the other, or where they are
 * in other branches of a parallel or other items of a map. RUN_PAUSED names the steps that wait then, at least one.
 * STEP_PROGRESS is never stored. Steps that were taken over from another run have no events. Rows and counts of the run
 * say what the events say, and a run that is over has no step that is not.
 */

/** A run with everything that was recorded of it. */
export interface RecordedRun {
  readonly run: Pick<RunRecord, 'status' | 'lastSeq' | 'stepCount' | 'attemptCount' | 'error' | 'stoppedBy'>
  readonly steps: readonly StepRecord[]
  readonly events: readonly EventRecord[]
}

/** Where the events of a step have brought it. */
type State = 'STARTED' | 'RETRYING' | 'PAUSED' | 'COMPLETED' | 'FAILED' | 'SKIPPED' | 'CANCELLED'

/** What the events of a run have said of a step so far. */
interface Said {
  state: State
  attempt: number
  /** Whether it waits for what a person says to its failure. */
  failed: boolean
}

interface Reading {
  readonly recorded: RecordedRun
  readonly rows: ReadonlyMap<string, StepRecord>
  readonly said: Map<string, Said>
}

const OVER: ReadonlySet<State> = new Set(['COMPLETED', 'FAILED', 'SKIPPED', 'CANCELLED'])

/** Every way in which the events of a run break the rules for them, or contradict its rows; none for a sound run. */
export function grammarFaults(recorded: RecordedRun): string[] {
  const { run, steps, events } = recorded
  const rows = new Map(steps.map((step) => [step.path, step]))
  const reading: Reading = { recorded, rows, said: new Map() }
  const stepFaults = events.flatMap((event) =>
    eventFaults(reading, event).map((fault) => `event ${event.seq}, ${event.type} of ${event.stepPath}: ${fault}`),
  )
  return [
    ...listFaults(run, events),
    ...pauseFaults(events),
    ...stepFaults,
    ...rowFaults(reading),
    ...countFaults(recorded),
  ]
}

/** What concerns the list as a whole. */
function listFaults(run: RecordedRun['run'], events: readonly EventRecord[]): string[] {
  const types = events.map(({ type }) => type)
  const started = types.indexOf('RUN_STARTED')
  const finals = types.filter(isFinalEvent)
  const expected = isFinal(run.status) ? [`RUN_${run.status}`] : []
  return [
    ...events.flatMap(({ seq, at }, index) => [
      ...faultUnless(seq === index + 1, `event ${seq} stands in place ${index + 1}`),
      ...faultUnless(at >= (events[index - 1]?.at ?? at), `event ${seq} is older than the one before it`),
    ]),
    ...faultUnless(types.lastIndexOf('RUN_QUEUED') === 0, 'RUN_QUEUED is not the first and only one'),
    ...faultUnless(started === types.lastIndexOf('RUN_STARTED'), 'RUN_STARTED comes twice'),
    ...faultUnless(started === 1 || (started === -1 && events.length <= 2), 'RUN_STARTED is not the second'),
    ...faultUnless(!types.includes('STEP_PROGRESS'), 'STEP_PROGRESS is stored'),
    ...faultUnless(
      finals.join() === expected.join(),
      `a run that is ${run.status} has ${finals.join() || 'no final event'}`,
    ),
    ...faultUnless(!isFinal(run.status) || isFinalEvent(types.at(-1) ?? 'LOG'), 'the final event is not the last'),
    ...faultUnless(run.lastSeq === events.length, `lastSeq is ${run.lastSeq} with ${events.length} events`),
    ...faultUnless(
      (run.status === 'PAUSED') === isPausedAfter(events),
      `its events do not say that it is ${run.status}`,
    ),
  ]
}

function faultUnless(holds: boolean, fault: string): string[] {
  return holds ? [] : [fault]
}

/** Whether the newest event that speaks of a pause says that the run is paused, and it is not over. */
function isPausedAfter(events: readonly EventRecord[]): boolean {
  const last = events.findLast(({ type }) => type === 'RUN_PAUSED' || type === 'RUN_RESUMED' || isFinalEvent(type))
  return last?.type === 'RUN_PAUSED'
}

/** While a run is paused, nothing happens but that it goes on or is cancelled. */
function pauseFaults(events: readonly EventRecord[]): string[] {
  const faults: string[] = []
  let paused = false
  for (const { seq, type } of events) {
    const fits = paused
      ? type === 'RUN_RESUMED' || type === 'STEP_CANCELLED' || type === 'RUN_CANCELLED'
      : type !== 'RUN_RESUMED'
    if (!fits) faults.push(`event ${seq}, ${type}: the run is ${paused ? '' : 'not '}paused`)
    if (type === 'RUN_PAUSED') paused = true
    if (type === 'RUN_RESUMED' || isFinalEvent(type)) paused = false
    if (paused && type === 'STEP_CANCELLED' && events.at(-1)?.type !== 'RUN_CANCELLED') {
      faults.push(`event ${seq}, ${type}: the run is paused and was not cancelled`)
    }
  }
  return faults
}

function eventFaults(reading: Reading, event: EventRecord): string[] {
  const { type, stepPath: path } = event
  if (type === 'RUN_PAUSED') return waitingFaults(reading, event)
  // A run is resumed by the answer to a step that waits.
  if (type === 'RUN_RESUMED')
    return path === null ? [] : faultUnless(stateOf(reading, path) === 'PAUSED', 'the step does not wait')
  if (path === null) return type.startsWith('STEP_') ? ['it is of no step'] : []
  switch (type) {
    case 'STEP_STARTED':
      return startFaults(reading, path, event)
    case 'STEP_RETRYING':
      return changeFaults(reading, path, 'RETRYING')
    case 'STEP_PAUSED':
      return pausedFaults(reading, path, event)
    case 'STEP_COMPLETED':
      return endFaults(reading, path, 'COMPLETED')
    case 'STEP_FAILED':
      return endFaults(reading, path, 'FAILED')
    case 'STEP_SKIPPED':
      return endFaults(reading, path, 'SKIPPED')
    case 'STEP_CANCELLED':
      return endFaults(reading, path, 'CANCELLED')
    default:
      return faultUnless(stateOf(reading, path) === 'STARTED', 'the step is not open')
  }
}

function stateOf({ said }: Reading, path: string): State | undefined {
  return said.get(path)?.state
}

function startFaults(reading: Reading, path: string, event: EventRecord): string[] {
  const { rows, said } = reading
  const before = said.get(path)
  const attempt = attemptOf(event)
  const parent = rows.get(path)?.parentPath ?? null
  const cutOff = rows.get(path)?.attempts[attempt - 2]?.error?.code === 'INTERRUPTED'
  said.set(path, { state: 'STARTED', attempt, failed: false })
  const beside = [...said].filter(([other, { state }]) => other !== path && !OVER.has(state) && !isAround(other, path))
  return [
    ...faultUnless(parent === null || stateOf(reading, parent) === 'STARTED', 'its parent is not open'),
    ...beside.flatMap(([other]) => faultUnless(mayOverlap(reading, path, other), `${other} is open beside it`)),
    ...faultUnless(attempt === (before?.attempt ?? 0) + 1, `attempt ${attempt} comes after ${before?.attempt ?? 0}`),
    ...faultUnless(before === undefined || !OVER.has(before.state), 'the step was over'),
    ...faultUnless(before?.state !== 'STARTED' || cutOff, 'the attempt before it has not ended'),
    ...faultUnless(before?.state !== 'PAUSED' || before.failed, 'it waits for data, and nothing else'),
  ]
}

function changeFaults({ said }: Reading, path: string, state: State, failed = false): string[] {
  const before = said.get(path)
  said.set(path, { state, attempt: before?.attempt ?? 0, failed })
  return faultUnless(before?.state === 'STARTED', 'the step is not open')
}

function pausedFaults(reading: Reading, path: string, { data }: EventRecord): string[] {
  const reason = typeof data === 'object' && data !== null && 'reason' in data ? data.reason : undefined
  return [
    ...faultUnless(reason === 'input' || reason === 'error', 'it does not say for what the step waits'),
    ...changeFaults(reading, path, 'PAUSED', reason === 'error'),
  ]
}

function endFaults(reading: Reading, path: string, state: State): string[] {
  const { said, rows, recorded } = reading
  const before = said.get(path)
  said.set(path, { state, attempt: before?.attempt ?? 0, failed: false })
  const open = [...said].filter(([other, { state: its }]) => !OVER.has(its) && isAround(path, other))
  const withRun = state === 'FAILED' && rows.get(path)?.error?.code === recorded.run.error?.code
  return [
    ...faultUnless(before !== undefined, 'the step has not started'),
    ...faultUnless(before === undefined || !OVER.has(before.state), 'the step was over'),
    ...faultUnless(before?.state !== 'RETRYING' || state === 'CANCELLED' || withRun, 'another attempt was to come'),
    ...open.map(([other]) => `${other}, which is in it, is open`),
  ]
}

function waitingFaults({ said }: Reading, { data }: EventRecord): string[] {
  const told = typeof data === 'object' && data !== null && 'waiting' in data ? data.waiting : undefined
  const waiting = [...said].filter(([, { state }]) => state === 'PAUSED').map(([path]) => path)
  const names = Array.isArray(told) ? told.map(String).sort() : []
  return faultUnless(
    waiting.length > 0 && names.join() === waiting.sort().join(),
    `it names ${names.join() || 'no step'}, while ${waiting.join() || 'none'} wait`,
  )
}

/** Whether `inner` is a step in `outer`, at any depth: `refine[2]/draft` is in `refine`. */
function isAround(outer: string, inner: string): boolean {
  return inner.startsWith(`${outer}/`) || inner.startsWith(`${outer}[`)
}

/** Two steps may be open at the same time in other branches of a parallel, or other items of a map. */
function mayOverlap({ rows }: Reading, path: string, other: string): boolean {
  const [ours, theirs] = [path.split('/'), other.split('/')]
  const index = ours.findIndex((name, place) => name !== theirs[place])
  const [our = '', their = ''] = [ours[index], theirs[index]]
  const above = ours.slice(0, index)
  const inOneNode = withoutIndex(our) === withoutIndex(their)
  // They part in the items of one node, or at the names of two.
  const container = [...above, ...(inOneNode ? [our] : [])].join('/')
  const kind = rows.get(withoutIndex(container))?.kind
  return inOneNode ? kind === 'map' : kind === 'parallel'
}

function withoutIndex(path: string): string {
  return path.replace(/\[\d+\]$/, '')
}

function rowFaults({ recorded: { run, steps }, said }: Reading): string[] {
  const faults = [...said.keys()]
    .filter((path) => !steps.some((step) => step.path === path))
    .map((path) => `events speak of ${path}, which has no row`)
  for (const step of steps) {
    const { path, status, attempts, completedAt, position, parentPath } = step
    const told = said.get(path)
    const fault = (text: string) => faults.push(`step ${path}, ${status}: ${text}`)
    const above = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    if (withoutIndex(above) !== (parentPath ?? '')) fault(`its parent is ${parentPath}`)
    if (parentPath !== null && !steps.some((other) => other.path === parentPath)) fault('its parent has no row')
    if (steps.some((other) => other.position === position && other.path !== path)) fault(`shares position ${position}`)
    if (attempts.some(({ number }, index) => number !== index + 1)) fault('its attempts are not numbered 1, 2, 3')
    const closed = completedAt !== null && attempts.every((attempt) => attempt.completedAt !== null)
    if (isFinal(run.status) && !closed) fault('is open')
    if (isReused(step)) {
      if (told) fault('events speak of it, and it was taken over from another run')
      continue
    }
    // What is taken over around the first step to run begins when the run comes to it, which it may never do.
    const untouched = attempts.length === 0 && (isFinal(run.status) ? status !== 'RUNNING' : status === 'RUNNING')
    if (!told && !untouched) fault('no event speaks of it')
    if (told && told.attempt !== attempts.length) fault(`${told.attempt} attempts were told, ${attempts.length} kept`)
    const expected = told?.state === 'STARTED' ? 'RUNNING' : told?.state
    if (told && expected !== status) fault(`its events say ${told.state}`)
    // Beside others that went on, a branch may have failed before the run was stopped from further outside.
    const cutOff = steps.some((other) => other.status === 'CANCELLED' && path.startsWith(`${other.path}/`))
    if (run.status === 'COMPLETED' && status === 'FAILED' && !cutOff) fault('its run is COMPLETED')
    if (run.status === 'COMPLETED' && status === 'CANCELLED' && run.stoppedBy === null) fault('its run was not stopped')
  }
  return faults
}

function countFaults({ run, steps }: RecordedRun): string[] {
  const attempts = steps.reduce((sum, step) => sum + step.attempts.length, 0)
  return [
    ...faultUnless(run.stepCount === steps.length, `stepCount is ${run.stepCount} with ${steps.length} rows`),
    ...faultUnless(run.attemptCount === attempts, `attemptCount is ${run.attemptCount} with ${attempts} in the rows`),
  ]
}

function attemptOf({ data }: EventRecord): number {
  const attempt = typeof data === 'object' && data !== null && 'attempt' in data ? data.attempt : undefined
  return typeof attempt === 'number' ? attempt : Number.NaN
}
