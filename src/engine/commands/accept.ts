import type { Reservation, TakenRun } from '../ports.ts'
import type { RunRecord } from '../records.ts'
import type { CommandDeps } from './commandDeps.ts'
import type { AcceptedRow, AcceptOutcome, NewRun } from './commandStore.ts'

/**
 * Accepts a run. Where this process has a place for it, that goes with what other runs write, and the run begins at once;
 * what is not plain, or is refused that way, takes a transaction of its own, which tells why.
 *
 * @throws KernError UNAVAILABLE
 */
export async function accept(
  deps: Pick<CommandDeps, 'store' | 'journal' | 'dispatcher'>,
  run: NewRun,
): Promise<AcceptOutcome> {
  const plain = run.onBusy === 'QUEUE' && run.retryOf === null
  const place = plain ? deps.dispatcher.reserve(run.runId, run.session.workflowId) : null
  return (place && (await acceptAt(place, run, deps))) ?? (await deps.store.accept(run))
}

async function acceptAt(
  place: Reservation,
  run: NewRun,
  { journal }: Pick<CommandDeps, 'journal'>,
): Promise<AcceptOutcome | null> {
  let row: AcceptedRow | null = null
  try {
    row = await journal.accept(run, place.owner)
  } finally {
    if (!row?.active) place.release()
  }
  if (!row) return null
  const record = recordOf(run, row)
  if (row.active) place.begin(takenOf(run, record, row))
  // It is begun, or waits: in neither case it is to be offered.
  return { type: 'accepted', run: record, active: false, interrupted: null }
}

/** The row of the run as it was just written. */
function recordOf(run: NewRun, { number, active, startedAt }: AcceptedRow): RunRecord {
  const { runId, session, at } = run
  return {
    runId,
    sessionId: session.sessionId,
    number,
    workflowId: session.workflowId,
    workflowName: session.workflowName,
    workflowVersion: run.workflowVersion,
    userId: run.userId,
    status: active ? 'RUNNING' : 'QUEUED',
    inputPreview: run.inputPreview,
    outputPreview: null,
    error: null,
    stoppedBy: null,
    historyRunIds: [],
    retryOf: null,
    metadata: run.metadata,
    tags: run.tags,
    idempotencyKey: run.idempotencyKey,
    priority: run.priority,
    stepCount: 0,
    attemptCount: 0,
    usage: null,
    lastSeq: 1,
    answers: 0,
    wakeAt: null,
    cancelRequestedAt: null,
    cancelReason: null,
    epoch: active ? 1 : 0,
    createdAt: at,
    startedAt: active ? startedAt : null,
    completedAt: null,
    durationMs: null,
  }
}

function takenOf({ runId, input, stateGiven }: NewRun, run: RunRecord, { state }: AcceptedRow): TakenRun {
  const payload = { runId, input, stateGiven, output: undefined, stateBefore: undefined, stateAfter: undefined }
  return { run, payload, state, steps: [], authorEvents: 0, fresh: true, deaths: 0 }
}
