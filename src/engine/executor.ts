import type { Clock } from '../clock.ts'
import { isKernError, KernError } from '../errors.ts'
import { jsonEquals, type ValueLimits } from '../json.ts'
import { SYSTEM_VIEWER } from '../viewer.ts'
import type { WorkflowDefinition, WorkflowNode } from '../workflow/definition.ts'
import { unlessAborted } from './abort.ts'
import { cancellation, changeOf, type Ending, endingOfError, endingOfOutcome } from './ending.ts'
import { type Execution, type Flow, type NodeOutcome, type Place, type RunNodes } from './execution.ts'
import { describeFailure, Interrupted } from './failure.ts'
import { runSequence } from './kinds/sequence.ts'
import { runStep } from './kinds/step.ts'
import type { Hub, Journal, ReaderFor, TakenRun } from './ports.ts'
import { createRecorder, type Recorder } from './recorder.ts'
import type { StepRecord } from './records.ts'
import { beginRun, startOf } from './start.ts'

/** Executes runs that this process owns. */
export interface Executor {
  /**
   * Runs a run to its end, or until it must be left to another process.
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
}

export interface ExecutorDeps {
  readonly journal: Journal
  readonly readerFor: ReaderFor
  readonly hub: Hub
  readonly clock: Clock
  readonly limits: ValueLimits
  /** How long a body may go on after its run was aborted, in milliseconds. */
  readonly graceMs: number
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
      committed: ({ nextRunId, over }) => {
        next ??= nextRunId
        deps.hub.publish({ runId: run.runId, sessionId: run.sessionId, workflowId: run.workflowId, over })
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
      const timer = armTimeout(deps.clock, definition, taken, control.abort)
      const lost = (error: KernError) => control.abort.abort(error)
      try {
        return await recording(taken, lost, (recorder) => runToItsEnd(deps, { taken, definition, control, recorder }))
      } finally {
        timer.abort()
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
          await recorder.end(changeOf(ending, { steps: byPath(taken), state: taken.state, clock: deps.clock }))
        },
      ),
  }
}

interface Work {
  readonly taken: TakenRun
  readonly definition: WorkflowDefinition
  readonly control: RunControl
  readonly recorder: Recorder
}

async function runToItsEnd(deps: ExecutorDeps, work: Work): Promise<void> {
  const { taken, definition, recorder } = work
  let progress: Pick<Execution, 'steps' | 'state'> = { steps: byPath(taken), state: taken.state }
  let ending: Ending | null
  try {
    if (taken.run.cancelRequestedAt) throw cancellation(taken.run.cancelReason)
    const execution = await begin(deps, work)
    progress = execution
    ending = endingOfOutcome(await runNodes(execution, definition.steps, null, firstFlow(execution, taken)))
  } catch (thrown) {
    ending = endingOfError(thrown)
    if (ending === null) throw thrown instanceof Interrupted ? thrown.reason : thrown
  }
  const { clock } = deps
  if (await recorder.end(changeOf(ending, { ...progress, clock }))) return
  // A cancel was accepted after the last step and before the end: it wins.
  const [row] = await deps.readerFor(SYSTEM_VIEWER).runs([taken.run.runId])
  const cancelled = endingOfError(cancellation(row?.cancelReason ?? null))
  if (cancelled) await recorder.end(changeOf(cancelled, { ...progress, clock }))
}

/** Sets up what the nodes share, and notes the start of a run that had not started before. */
async function begin(deps: ExecutorDeps, { taken, definition, control, recorder }: Work): Promise<Execution> {
  const { run, fresh } = taken
  const reader = deps.readerFor(SYSTEM_VIEWER)
  const options = { taken, definition, reader, limits: deps.limits }
  // The schemas that are asked here are an author's code, which may never answer.
  const beginning = unlessAborted(control.abort.signal, beginRun(options))
  const { runInput, state, historyRuns, change } = await beginning.catch((error: unknown) => {
    // A run that is to go on elsewhere starts there.
    if (fresh && endingOfError(error) !== null) recorder.note(startOf({ stateBefore: taken.state, historyRunIds: [] }))
    throw error
  })
  if (change) recorder.note(change)
  return {
    run,
    definition,
    recorder,
    clock: deps.clock,
    random: deps.random,
    limits: deps.limits,
    graceMs: deps.graceMs,
    signal: control.abort.signal,
    draining: control.draining,
    runInput,
    historyRuns,
    readHistory: async (count) => {
      try {
        return await reader.completedRuns(run.sessionId, run.number, count)
      } catch (error) {
        // The step did not fail, its database did: the run goes on when that is back.
        if (isKernError(error, 'UNAVAILABLE')) control.abort.abort(error)
        throw error
      }
    },
    steps: byPath(taken),
    state,
    position: taken.steps.length,
    authorEvents: 0,
  }
}

/** The run's input as its schema gives it; stored again only where the schema changed it. */
function firstFlow({ runInput: value }: Execution, { payload: { input } }: TakenRun): Flow {
  const same = value === undefined || input === undefined ? value === input : jsonEquals(value, input)
  return same ? { value: input, source: 'run' } : { value, source: 'own' }
}

function byPath(taken: TakenRun): Map<string, StepRecord> {
  return new Map(taken.steps.map((step) => [step.path, step]))
}

const runNodes: RunNodes = async (execution, nodes, parentPath, input) => {
  let flow = input
  for (const node of nodes) {
    const path = parentPath === null ? node.name : `${parentPath}/${node.name}`
    const outcome = await runNode(execution, node, { path, parentPath }, flow)
    if (outcome.type === 'stopped') return outcome
    flow = outcome.flow
  }
  return { type: 'done', flow }
}

function runNode(execution: Execution, node: WorkflowNode, place: Place, input: Flow): Promise<NodeOutcome> {
  switch (node.kind) {
    case 'step':
      return runStep(execution, node, place, input)
    case 'sequence':
      return runSequence(execution, node, place, input, runNodes)
  }
}

/** Aborts the run when its time is over, counted from its first start, also after it went from one process to another. */
function armTimeout(
  clock: Clock,
  { timeoutMs }: WorkflowDefinition,
  { run }: TakenRun,
  abort: AbortController,
): AbortController {
  const disarm = new AbortController()
  if (timeoutMs === null) return disarm
  const elapsed = clock.now().getTime() - (run.startedAt ?? clock.now()).getTime()
  const expire = () =>
    abort.abort(new KernError('RUN_TIMEOUT', `the run took longer than its timeout of ${timeoutMs} ms`))
  clock.sleep(Math.max(0, timeoutMs - elapsed), disarm.signal).then(expire, () => undefined)
  return disarm
}
