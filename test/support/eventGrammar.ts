import { type EventRecord, isFinal, isFinalEvent, type RunRecord, type StepRecord } from '../../src/engine/records.ts'

/** A run with everything that was recorded of it. */
export interface RecordedRun {
  readonly run: Pick<RunRecord, 'status' | 'lastSeq' | 'stepCount' | 'attemptCount'>
  readonly steps: readonly StepRecord[]
  readonly events: readonly EventRecord[]
}

/** What the events of a run have said of a step so far. */
interface Said {
  state: 'STARTED' | 'RETRYING' | 'COMPLETED' | 'FAILED'
  attempt: number
}

/** Every way in which the events of a run break the rules for them, or contradict its rows; none for a sound run. */
export function grammarFaults({ run, steps, events }: RecordedRun): string[] {
  const faults = [...orderFaults(run, events)]
  const parents = new Map(steps.map(({ path, parentPath }) => [path, parentPath]))
  const said = new Map<string, Said>()
  const isOpen = (path: string | null | undefined) => path == null || said.get(path)?.state === 'STARTED'
  for (const event of events) {
    const { seq, type, stepPath: path } = event
    const fault = (text: string) => faults.push(`event ${seq}, ${type} of ${path}: ${text}`)
    if (type === 'STEP_STARTED' && path !== null) {
      if (!isOpen(parents.get(path))) fault('its parent is not open')
      for (const [other, { state }] of said) {
        const around = path.startsWith(`${other}/`)
        if (state === 'STARTED' && other !== path && !around) fault(`${other} is open beside it`)
      }
      const before = said.get(path)
      if (before?.state === 'COMPLETED' || before?.state === 'FAILED') fault('the step was over')
      const attempt = attemptOf(event)
      if (attempt !== (before?.attempt ?? 0) + 1) fault(`attempt ${attempt} comes after ${before?.attempt ?? 0}`)
      said.set(path, { state: 'STARTED', attempt })
    } else if (type.startsWith('STEP_') && path !== null) {
      const before = said.get(path)
      if (before?.state !== 'STARTED') fault('the step is not open')
      const state = type === 'STEP_RETRYING' ? 'RETRYING' : type === 'STEP_COMPLETED' ? 'COMPLETED' : 'FAILED'
      said.set(path, { state, attempt: before?.attempt ?? 0 })
    } else if (!isOpen(path)) fault('the step is not open')
  }
  return [...faults, ...rowFaults({ run, steps, events }, said)]
}

function orderFaults(run: RecordedRun['run'], events: readonly EventRecord[]): string[] {
  const faults: string[] = []
  const check = (holds: boolean, text: string) => {
    if (!holds) faults.push(text)
  }
  const types = events.map(({ type }) => type)
  events.forEach(({ seq, at }, index) => {
    check(seq === index + 1, `event ${seq} stands in place ${index + 1}`)
    check(at >= (events[index - 1]?.at ?? at), `event ${seq} is older than the one before it`)
  })
  check(types[0] === 'RUN_QUEUED' && types.lastIndexOf('RUN_QUEUED') === 0, 'RUN_QUEUED is not the first and only one')
  const started = types.indexOf('RUN_STARTED')
  check(started === types.lastIndexOf('RUN_STARTED'), 'RUN_STARTED comes twice')
  check(started === 1 || (started === -1 && events.length <= 2), 'RUN_STARTED is not the second')
  const finals = types.filter(isFinalEvent)
  const expected = isFinal(run.status) ? [`RUN_${run.status}`] : []
  check(finals.join() === expected.join(), `a run that is ${run.status} has ${finals.join() || 'no final event'}`)
  if (isFinal(run.status)) check(isFinalEvent(types.at(-1) ?? 'LOG'), 'the final event is not the last')
  check(run.lastSeq === events.length, `lastSeq is ${run.lastSeq} with ${events.length} events`)
  return faults
}

function rowFaults({ run, steps }: RecordedRun, said: ReadonlyMap<string, Said>): string[] {
  const faults: string[] = []
  const over = isFinal(run.status)
  for (const { path, status, attempts, completedAt, position } of steps) {
    const told = said.get(path)
    const fault = (text: string) => faults.push(`step ${path}, ${status}: ${text}`)
    if (!told) fault('no event speaks of it')
    if (told && told.attempt !== attempts.length) fault(`${told.attempt} attempts were told, ${attempts.length} kept`)
    if (attempts.some(({ number }, index) => number !== index + 1)) fault('its attempts are not numbered 1, 2, 3')
    const ended = told?.state === 'COMPLETED' || told?.state === 'FAILED'
    if (ended && told.state !== status) fault(`its events say ${told.state}`)
    if (!ended && (status === 'COMPLETED' || status === 'FAILED')) fault('no event says so')
    if (over && (completedAt === null || attempts.some((attempt) => attempt.completedAt === null))) fault('is open')
    if (steps.filter((step) => step.position === position).length > 1) fault(`shares position ${position}`)
    if (run.status === 'COMPLETED' && status !== 'COMPLETED') fault('its run is COMPLETED')
  }
  for (const path of said.keys()) {
    if (!steps.some((step) => step.path === path)) faults.push(`events speak of ${path}, which has no row`)
  }
  const attempts = steps.reduce((sum, step) => sum + step.attempts.length, 0)
  if (run.stepCount !== steps.length) faults.push(`stepCount is ${run.stepCount} with ${steps.length} rows`)
  if (run.attemptCount !== attempts) faults.push(`attemptCount is ${run.attemptCount} with ${attempts} in the rows`)
  return faults
}

function attemptOf({ data }: EventRecord): number {
  const attempt = typeof data === 'object' && data !== null && 'attempt' in data ? data.attempt : undefined
  return typeof attempt === 'number' ? attempt : Number.NaN
}
