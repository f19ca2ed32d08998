import { type JsonObject, previewOf } from '../../json.ts'
import { deepMerge } from '../../session/mergePatch.ts'
import { checkSessionId, manualName } from '../../session/naming.ts'
import type { Viewer } from '../../viewer.ts'
import type { WorkflowDefinition } from '../../workflow/definition.ts'
import { accept } from './accept.ts'
import { handOver, sessionOf } from './acceptance.ts'
import type { Commands, RunRequest } from '../api.ts'
import {
  checkInput,
  checkObject,
  checkPriority,
  checkTags,
  checkText,
  checkValue,
  checkWait,
  requestHash,
  servedWorkflow,
} from './checks.ts'
import type { CommandDeps } from './commandDeps.ts'
import type { NewRun } from './commandStore.ts'
import { checkedState, ownerOf } from './sessionCommands.ts'
import { hasJustBegun, waitUntilSettled } from './waiting.ts'

/** Accepts a run, hands it over when it has its turn, and waits until it is settled where the caller wants to. */
export function createRunCommand(deps: CommandDeps): Commands['runWorkflow'] {
  const { workflows, readerFor, hub, clock, closing } = deps
  return async (viewer, request) => {
    const definition = servedWorkflow(workflows, request.workflowId)
    const waitMs = checkWait(request.waitMs)
    const outcome = await accept(deps, await newRun(deps, viewer, request, definition))
    const run = handOver(deps, outcome, request)
    if (waitMs === 0) return run
    const { runId } = run
    const waiting = {
      runId,
      reader: readerFor(viewer),
      hub,
      clock,
      closing,
      timeoutMs: waitMs,
      begun: hasJustBegun(run),
    }
    return (await waitUntilSettled(waiting))?.run ?? run
  }
}

/** What is asked for, checked. @throws KernError INPUT_INVALID, STATE_INVALID, FORBIDDEN */
export async function newRun(
  deps: CommandDeps,
  viewer: Viewer,
  request: RunRequest,
  definition: WorkflowDefinition,
): Promise<NewRun> {
  const { limits, newId, clock } = deps
  const input = await checkInput(definition, request.input, limits)
  const name = request.sessionName === undefined ? null : manualName(request.sessionName)
  const userId = ownerOf(viewer, request.userId)
  const at = clock.now()
  const inputPreview = previewOf(input)
  const { idempotencyKey } = request
  const isNew = request.sessionId === undefined
  const sessionId = request.sessionId === undefined ? newId() : checkSessionId(request.sessionId)
  return {
    runId: newId(),
    session: sessionOf(definition, { sessionId, isNew, userId, name, inputPreview, at }),
    workflowVersion: definition.version,
    userId,
    input,
    inputPreview,
    stateGiven: await givenState(deps, viewer, request, definition),
    metadata: checkValue('metadata', request.metadata, limits),
    tags: checkTags(request.tags),
    idempotencyKey: idempotencyKey === undefined ? null : checkText('idempotencyKey', idempotencyKey, 200),
    requestHash: idempotencyKey === undefined ? null : requestHash(request),
    onBusy: request.onBusy ?? 'QUEUE',
    priority: checkPriority(request.priority) ?? definition.priority,
    retryOf: null,
    reused: [],
    at,
  }
}

/**
 * The state that is given with the run. That it fits with the session's is checked once more when the run starts: runs
 * before it may change the session.
 */
async function givenState(
  { limits, readerFor }: CommandDeps,
  viewer: Viewer,
  { sessionId, sessionState }: RunRequest,
  definition: WorkflowDefinition,
): Promise<JsonObject | undefined> {
  const given = checkObject('sessionState', sessionState, limits)
  if (given === undefined) return undefined
  const [session] = sessionId === undefined ? [] : await readerFor(viewer).sessions([checkSessionId(sessionId)])
  const present = deepMerge(definition.initialState, session?.state ?? {})
  await checkedState(definition, deepMerge(present, given), { limits, path: 'sessionState' })
  return given
}
