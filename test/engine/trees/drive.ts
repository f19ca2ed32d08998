import { type EventRecord, isFinal, type RunRecord, type StepSummary } from '../../../src/engine/records.ts'
import { isKernError } from '../../../src/errors.ts'
import type { Json } from '../../../src/json.ts'
import type { Kern } from '../../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import { definitionPathOf } from '../../../src/workflow/nodes.ts'
import { approvalAnswer, childrenOf, type Tree, type TreeSpec } from './spec.ts'

export interface Drive {
  readonly kern: Kern
  /** Of the workflow and of the session, of which the tree's run is the first. */
  readonly ids: { readonly workflowId: string; readonly sessionId: string }
  readonly tree: Tree
  /** How long it may take, in milliseconds. What is not over by then hangs. */
  readonly patienceMs: number
  /** Called with each event, as it comes; null if they are not of interest. */
  readonly seen: ((event: EventRecord) => void) | null
}

/**
 * Starts the run of a tree, or finds it again, follows it to its end, and answers what it waits for as the tree says.
 *
 * @returns what went wrong with that
 * @throws KernError UNAVAILABLE if the Kern is closed before
 */
export async function drive(given: Drive): Promise<string[]> {
  return given.seen !== null || needsEvents(given.tree) ? await driveByEvents(given) : await driveByPauses(given)
}

/** A run is over or paused at once where nothing is answered early, and nothing ends by itself while it is paused. */
function needsEvents({ steps, eager }: Tree): boolean {
  const waits = [...specsByPath(steps).values()].filter(({ kind }) => kind !== 'sleep')
  return waits.some((spec) => {
    if (spec.kind === 'approval' || spec.kind === 'input') return eager || spec.end === 'late'
    return eager && spec.kind === 'step' && spec.onError === 'pause'
  })
}

/** The first call starts the run; each later one finds it by its key. */
async function started({ kern, ids, tree }: Drive, waitMs: number): Promise<RunRecord> {
  const { input, state: sessionState } = tree
  const request = { ...ids, input, sessionState, idempotencyKey: ids.sessionId, waitMs }
  return await kern.commands.runWorkflow(SYSTEM_VIEWER, request)
}

async function driveByPauses(given: Drive): Promise<string[]> {
  const faults: string[] = []
  while (faults.length === 0) {
    const run = await started(given, given.patienceMs)
    if (isFinal(run.status)) break
    const waiting = run.status === 'PAUSED' ? await waitingRows(given.kern, run.runId) : []
    if (waiting.length === 0) faults.push(`the run hangs as ${run.status} after event ${run.lastSeq}`)
    for (const row of waiting) faults.push(...(await answer(given, row)))
  }
  return faults
}

async function driveByEvents(given: Drive): Promise<string[]> {
  const { kern, tree, seen, patienceMs } = given
  const faults: string[] = []
  const { runId } = await started(given, 0)
  const stream = await kern.streams.run(SYSTEM_VIEWER, { runId })
  let hangs = false
  const patience = setTimeout(() => {
    hangs = true
    void stream.return?.()
  }, patienceMs)
  let last: EventRecord | undefined
  try {
    for await (const event of stream) {
      last = event
      seen?.(event)
      if (event.type !== (tree.eager ? 'STEP_PAUSED' : 'RUN_PAUSED')) continue
      for (const row of await waitingRows(kern, runId)) {
        if (event.stepPath === null || event.stepPath === row.path) faults.push(...(await answer(given, row)))
      }
    }
  } finally {
    clearTimeout(patience)
  }
  if (hangs) faults.push(`the run hangs after event ${last?.seq}, ${last?.type} of ${last?.stepPath}`)
  return faults
}

/** The steps that wait for a person who has not spoken. */
async function waitingRows(kern: Kern, runId: string): Promise<StepSummary[]> {
  const [steps = []] = await kern.readerFor(SYSTEM_VIEWER).stepSummaries([runId])
  return steps.filter(
    ({ status, pending, answer }) => status === 'PAUSED' && pending !== null && answer?.number !== pending.number,
  )
}

/** Answers a step as the tree says. @returns what went wrong */
async function answer({ kern, tree }: Drive, row: StepSummary): Promise<string[]> {
  const spec = specsByPath(tree.steps).get(definitionPathOf(row.path))
  const fault = spec ? await answerAs(kern, row, spec) : `${row.path} waits, which is not in the tree`
  return fault === null ? [] : [fault]
}

async function answerAs(kern: Kern, row: StepSummary, spec: TreeSpec): Promise<string | null> {
  const wait = { runId: row.runId, stepPath: row.path }
  switch (spec.kind) {
    case 'step':
      return await resume(kern, { ...wait, action: spec.said[(await timesPaused(kern, row)) - 1] ?? 'FAIL' })
    case 'approval':
    case 'input': {
      if (spec.end === 'late') return null
      if (spec.end === 'cancelled') return await cancel(kern, row.runId)
      const [good, bad]: [Json, Json] =
        spec.kind === 'approval'
          ? [{ ...approvalAnswer(spec) }, { approved: 'yes' }]
          : [{ value: spec.value }, { value: 'much' }]
      const fault = spec.end === 'answered badly first' ? await refused(kern, { ...wait, data: bad }) : null
      return fault ?? (await resume(kern, { ...wait, data: good }))
    }
    default:
      return `${row.path} waits, which is a ${spec.kind}`
  }
}

/** How often a step has begun to wait for a person so far. */
async function timesPaused(kern: Kern, { runId, path }: StepSummary): Promise<number> {
  const query = { afterSeq: 0, limit: 10_000, types: ['STEP_PAUSED'] } as const
  const events = await kern.readerFor(SYSTEM_VIEWER).events(runId, query)
  return events.filter(({ stepPath }) => stepPath === path).length
}

type Answer = Parameters<Kern['commands']['resumeRun']>[1]

/** A conflict is no fault: where steps race to end the run, the wait may be over. An answer that is lost, hangs. */
async function resume(kern: Kern, request: Answer): Promise<string | null> {
  try {
    await kern.commands.resumeRun(SYSTEM_VIEWER, request)
    return null
  } catch (error) {
    if (isKernError(error, 'CONFLICT')) return null
    if (isKernError(error, 'UNAVAILABLE')) throw error
    return `the answer to ${request.stepPath} was refused: ${String(error)}`
  }
}

async function refused(kern: Kern, request: Answer): Promise<string | null> {
  try {
    await kern.commands.resumeRun(SYSTEM_VIEWER, request)
    return `a bad answer to ${request.stepPath} was taken`
  } catch (error) {
    if (isKernError(error, 'UNAVAILABLE')) throw error
    const expected = isKernError(error, 'INPUT_INVALID') || isKernError(error, 'CONFLICT')
    return expected ? null : `a bad answer to ${request.stepPath} was refused: ${String(error)}`
  }
}

async function cancel(kern: Kern, runId: string): Promise<null> {
  await kern.commands.cancelRun(SYSTEM_VIEWER, { runId })
  return null
}

/** All specs of a tree by their path in the definition. */
function specsByPath(specs: readonly TreeSpec[], prefix = ''): Map<string, TreeSpec> {
  return new Map(
    specs.flatMap((spec) => [
      [prefix + spec.name, spec] as const,
      ...specsByPath(childrenOf(spec), `${prefix}${spec.name}/`),
    ]),
  )
}
