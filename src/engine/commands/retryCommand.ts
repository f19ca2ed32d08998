import { KernError } from '../../errors.ts'
import { type Json, jsonEquals, previewOf } from '../../json.ts'
import { handOver, sessionOf } from './acceptance.ts'
import type { Commands, RetryRequest } from '../api.ts'
import { checkInput, noRun, servedWorkflow, visibleRun } from './checks.ts'
import type { CommandDeps } from './commandDeps.ts'
import type { NewRun } from './commandStore.ts'
import type { Reader } from '../reader.ts'
import { isFinal, type RunRecord } from '../records.ts'
import { reusedRows } from './retry.ts'
import { defaultStart, type RetrySource } from './retryFrom.ts'

/** Accepts a new run that takes over what another one has recorded, and hands it over when it has its turn. */
export function createRetryCommand(deps: CommandDeps): Commands['retryRun'] {
  const { workflows, store, readerFor } = deps
  return async (viewer, request) => {
    const reader = readerFor(viewer)
    const run = await visibleRun(reader, request.runId)
    if (!isFinal(run.status)) {
      const text = `run ${run.runId} is ${run.status}: only a run that is over can be tried again, so cancel it first, or answer what it waits for`
      throw new KernError('CONFLICT', text, { runId: run.runId })
    }
    const definition = servedWorkflow(workflows, run.workflowId)
    const [steps = []] = await reader.steps([run.runId])
    const outcome = await store.accept(await newRun(deps, { reader, request, source: { run, steps, definition } }))
    return handOver(deps, outcome, { workflowId: run.workflowId })
  }
}

interface Retrying {
  readonly reader: Reader
  readonly request: RetryRequest
  readonly source: RetrySource
}

/** The same run once more, in the same session. The state is none of its business: the session has it as it is now. */
async function newRun(deps: CommandDeps, { reader, request, source }: Retrying): Promise<NewRun> {
  const { run, definition } = source
  const before = await inputOf(reader, run)
  const input = await checkInput(definition, request.input === undefined ? before : request.input, deps.limits)
  const runId = deps.newId()
  const at = deps.clock.now()
  const { sessionId, userId, metadata, tags } = run
  const fromStep = request.fromStep ?? defaultStart(source)
  const inputPreview = previewOf(input)
  return {
    runId,
    session: sessionOf(definition, { sessionId, isNew: false, userId, name: null, inputPreview, at }),
    workflowVersion: definition.version,
    userId,
    input,
    inputPreview,
    stateGiven: undefined,
    metadata,
    tags,
    idempotencyKey: null,
    requestHash: null,
    onBusy: 'QUEUE',
    priority: run.priority,
    retryOf: run.runId,
    reused: reusedRows({ ...source, fromStep, newInput: !isSame(input, before), runId, at }),
    at,
  }
}

async function inputOf(reader: Reader, { runId }: RunRecord): Promise<Json | undefined> {
  const [payload] = await reader.payloads([runId])
  if (!payload) throw noRun(runId)
  return payload.input
}

function isSame(a: Json | undefined, b: Json | undefined): boolean {
  return a === undefined || b === undefined ? a === b : jsonEquals(a, b)
}
