import type { Clock } from '../clock.ts'
import { isKernError, KernError } from '../errors.ts'
import { jsonEquals, type ValueLimits } from '../json.ts'
import { SYSTEM_VIEWER } from '../viewer.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'
import { unlessAborted } from './abort.ts'
import { createAnswers } from './answers.ts'
import type { Bell } from './bell.ts'
import { cancellation, changeOf, type Ending, endingOfError, endingOfOutcome } from './ending.ts'
import type { Execution, Flow, Overrides, Scope } from './execution.ts'
import { describeFailure, Interrupted } from './failure.ts'
import { finishedRun } from './finished.ts'
import { deadlineOf, park, waitHere } from './parking.ts'
import { createPartials } from './partials.ts'
import type { Hub, Journal, RunWrite, TakenRun } from './ports.ts'
import type { ReaderFor } from './reader.ts'
import { createRecorder, type Recorder } from './recorder.ts'
import { isReused, type StepRecord } from './records.ts'
import { type Beginning, beginRun, startOf } from './start.ts'
import { createStateView } from './stateView.ts'
import { runNodes } from './walk.ts'

/** Executes runs that this process owns. */
export interface Executor {
  /**
   * Runs a run to its end, or until it is put aside, or must be left to another process.
   *
   * @returns the run of the session that has its turn now, or null
   * @throws KernError FENCED or UNAVAILABLE if the run has to go on elsewhere
   */
  execute(taken: TakenRun, definition: WorkflowDefinition, control: RunControl): Promise<string | null>
  /** Ends a run without executing it: as CANCELLED by a CANCELLED error, else as FAILED. @returns as `execute` does */
  endBy(taken: TakenRun, error: KernError): Promise<string | null>
}

export interface RunControl {
  /** Aborts the run, also in the middle of a step, with the KernError that says why. */
  readonly abort: AbortController
  /** Aborts when no further step may start here. */
  readonly draining: AbortSignal
  /** Rings when somebody may have answered the run. */
  readonly answers: Bell
}

export interface ExecutorDeps {
  readonly journal: Journal
  readonly readerFor: ReaderFor
  readonly hub: Hub
  readonly clock: Clock
  readonly limits: ValueLimits
  /** How long a body may go on after its run was aborted, in milliseconds. */
  readonly graceMs: number
  /** A wait for a time that is longer than this puts the run aside, in milliseconds. */
  readonly parkMs: number
  /** Functions that take the place of those of steps, by the id of the workflow; for tests of authors. */
  readonly overrides: ReadonlyMap<string, Overrides>
  /** From 0 to 1, for the spread of retries. */
  readonly random: () => number
}

export function createExecutor(deps: ExecutorDeps): Executor {
  /** Gives `work` a recorder, and the run that has its turn after it. */
  async function recording(
    taken: TakenRun,
    lost: (error: KernError) => void,
    work: (recorder: Recorder) => Promise<void>,
  ): Promise<string | null> {
    const { run, steps } = taken
    let next: string | null = null
    const recorder = createRecorder({
      journal: deps.journal,
      clock: deps.clock,
      run,
      steps,
      startOwed: startOwedBy(taken),
      committed: ({ nextRunId, settled, end }) => {
        next ??= nextRunId
        const { runId, sessionId, workflowId } = run
        deps.hub.publish({ runId, sessionId, workflowId, settled }, end ? finishedRun(taken, end) : undefined)
      },
      lost,
    })
    try {
      await work(recorder)
    } finally {
      await recorder.idle()
    }
    return next
  }

  return {
    async execute(taken, definition, control) {
      const disarm = armTimeout(deps.clock, definition, taken, control.abort)
      const lost = (error: KernError) => control.abort.abort(error)
      try {
        return await recording(taken, lost, (recorder) => runToItsEnd({ deps, taken, definition, control, recorder }))
      } finally {
        disarm()
      }
    },
    endBy: (taken, error) =>
      recording(
        taken,
        () => undefined,
        async (recorder) => {
          const ending: Ending = {
            status: error.code === 'CANCELLED' ? 'CANCELLED' : 'FAILED',
            error: describeFailure(error, null),
          }
          // Only a cancel ends a run that has not started.
          if (taken.fresh && ending.status === 'FAILED') {
            recorder.note(startOf({ stateBefore: taken.state, historyRunIds: [] }))
          }
          await recorder.settle(changeOf(ending, { steps: byPath(taken), state: taken.state, clock: deps.clock }))
        },
      ),
  }
}

/** A run that went from one process to another before it changed its session's state: that is still what it began with. */
function startOwedBy({ fresh, payload, state, run }: TakenRun): RunWrite['start'] {
  return fresh || payload.stateBefore ? undefined : { stateBefore: state, historyRunIds: run.historyRunIds }
}

interface Work {
  readonly deps: ExecutorDeps
  readonly taken: TakenRun
  readonly definition: WorkflowDefinition
  readonly control: RunControl
  readonly recorder: Recorder
}

/** What the end of a run is recorded from. */
type Progress = Pick<Execution, 'steps' | 'state'> & Partial<Pick<Execution, 'partials'>>

async function runToItsEnd(work: Work): Promise<void> {
  const { taken } = work
  let progress: Progress = { steps: byPath(taken), state: taken.state }
  const begun = (execution: Execution) => {
    progress = execution
  }
  try {
    const ending = await endingOf(work, begun)
    if (ending) await settleRun(work, ending, progress)
  } finally {
    progress.partials?.endAll()
  }
}

/** Executes the run; null if it was put aside. @throws KernError FENCED or UNAVAILABLE if it has to go on elsewhere */
async function endingOf(work: Work, begun: (execution: Execution) => void): Promise<Ending | null> {
  const { deps, taken } = work
  try {
    if (taken.run.cancelRequestedAt) throw cancellation(taken.run.cancelReason)
    const { execution, beginning } = await begin(deps, work)
    begun(execution)
    return await walkToItsEnd(execution, work, beginning)
  } catch (thrown) {
    const ending = endingOfError(thrown)
    if (ending) return ending
    throw thrown instanceof Interrupted ? thrown.reason : thrown
  }
}

/** Records how the run ends, unless a cancel was accepted before: then that. */
async function settleRun({ deps, taken, recorder }: Work, ending: Ending, progress: Progress): Promise<void> {
  const { clock } = deps
  const { steps, state, partials } = progress
  const ended = { steps, state, clock, ...(partials ? { partials } : {}) }
  if ((await recorder.settle(changeOf(ending, ended))) === 'committed') return
  const cancelled = endingOfError(await acceptedCancel(deps, taken))
  if (cancelled) await recorder.settle(changeOf(cancelled, ended))
}

/** Walks the tree, again after each wait, until the run ends; null if it was put aside. */
async function walkToItsEnd(execution: Execution, work: Work, beginning: Beginning): Promise<Ending | null> {
  const { taken, definition, control } = work
  const { runInput, stateBefore } = beginning
  for (;;) {
    const scope: Scope = {
      execution,
      definition,
      runInput,
      history: true,
      signal: control.abort.signal,
      state: createStateView(stateBefore),
    }
    const list = { nodes: definition.steps, parentPath: null, input: firstFlow(beginning, taken) }
    const answersSeen = execution.answers.seen()
    const outcome = await runNodes(scope, list)
    if (outcome.type !== 'waiting') return endingOfOutcome(outcome)
    // One branch may have read the answer to another, which was walked before and waits no more.
    if (execution.answers.seen() > answersSeen || (await waitHere(scope, outcome))) continue
    const parked = await park(execution, outcome)
    if (parked === 'committed') return null
    if (parked === 'cancel-requested') throw await acceptedCancel(work.deps, taken)
    await execution.answers.refresh()
  }
}

/** The cancel that the row of the run asks for. */
async function acceptedCancel({ readerFor }: ExecutorDeps, { run: { runId } }: TakenRun): Promise<KernError> {
  const [row] = await readerFor(SYSTEM_VIEWER).runs([runId])
  return cancellation(row?.cancelReason ?? null)
}

/** Gathers what the nodes share, and notes the start of a run that had not started before. */
async function begin(
  deps: ExecutorDeps,
  { taken, definition, control, recorder }: Work,
): Promise<{ readonly execution: Execution; readonly beginning: Beginning }> {
  const { run, fresh } = taken
  const reader = deps.readerFor(SYSTEM_VIEWER)
  const options = { taken, definition, reader, limits: deps.limits }
  // The schemas that are asked here are an author's code, which may never answer.
  const beginning = await unlessAborted(control.abort.signal, beginRun(options)).catch((error: unknown) => {
    // A run that is to go on elsewhere starts there.
    if (fresh && endingOfError(error) !== null) recorder.note(startOf({ stateBefore: taken.state, historyRunIds: [] }))
    throw error
  })
  if (beginning.change) recorder.note(beginning.change)
  const steps = byPath(taken)
  const { runId, sessionId, workflowId, number } = run
  const execution: Execution = {
    run,
    definition,
    recorder,
    cautious: taken.deaths > 0,
    clock: deps.clock,
    random: deps.random,
    limits: deps.limits,
    graceMs: deps.graceMs,
    parkMs: deps.parkMs,
    draining: control.draining,
    historyRuns: beginning.historyRuns,
    readHistory: async (count) => {
      try {
        return await reader.completedRuns(sessionId, number, count)
      } catch (error) {
        // The step did not fail, its database did: the run goes on when that is back.
        if (isKernError(error, 'UNAVAILABLE')) control.abort.abort(error)
        throw error
      }
    },
    overrides: deps.overrides.get(workflowId) ?? new Map(),
    steps,
    patches: taken.steps.flatMap((step) =>
      step.statePatch ? [{ path: step.path, patch: step.statePatch, reused: isReused(step) }] : [],
    ),
    answers: createAnswers({ runId, seen: run.answers, bell: control.answers, reader, steps }),
    partials: createPartials({
      clock: deps.clock,
      limits: deps.limits,
      publish: (path, partialOutput) => {
        const at = deps.clock.now()
        deps.hub.progress({ runId, path, sessionId, workflowId, number, seq: recorder.seq(), at, partialOutput })
      },
    }),
    state: beginning.state,
    position: taken.steps.length,
    authorEvents: taken.authorEvents,
  }
  return { execution, beginning }
}

/** The run's input as its schema gives it; stored again only where the schema changed it. */
function firstFlow({ runInput: value }: Beginning, { payload: { input } }: TakenRun): Flow {
  const same = value === undefined || input === undefined ? value === input : jsonEquals(value, input)
  return same ? { value: input, source: 'run' } : { value, source: 'own' }
}

function byPath(taken: TakenRun): Map<string, StepRecord> {
  return new Map(taken.steps.map((step) => [step.path, step]))
}

/** Aborts the run when its time is over, counted from its first start, also after it went from one process to another. */
function armTimeout(
  clock: Clock,
  definition: WorkflowDefinition,
  { run }: TakenRun,
  abort: AbortController,
): () => void {
  const deadline = deadlineOf(definition, run.startedAt ?? clock.now())
  if (!deadline) return () => undefined
  const disarm = new AbortController()
  const text = `the run took longer than its timeout of ${definition.timeoutMs} ms`
  const expire = () => abort.abort(new KernError('RUN_TIMEOUT', text))
  const left = deadline.getTime() - clock.now().getTime()
  // At once: what waits for a person would else be put aside again before a timer of no length strikes.
  if (left <= 0) expire()
  else clock.sleep(left, disarm.signal).then(expire, () => undefined)
  return () => disarm.abort()
}
