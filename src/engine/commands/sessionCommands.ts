import { isKernError, KernError, shown } from '../../errors.ts'
import type { JsonObject, ValueLimits } from '../../json.ts'
import { renderHistory, withinBudget } from '../../session/history.ts'
import { deepMerge, mergePatch } from '../../session/mergePatch.ts'
import { checkSessionId, displayNameOf, generatedName, manualName } from '../../session/naming.ts'
import type { Viewer } from '../../viewer.ts'
import type { WorkflowDefinition } from '../../workflow/definition.ts'
import type { Commands, NameRequest, UpdateSessionRequest } from '../api.ts'
import { checkObject, checkTags, checkText, checkValue, invalid, servedWorkflow } from './checks.ts'
import type { CommandDeps } from './commandDeps.ts'
import type { SessionChange, UpdateOutcome } from './commandStore.ts'
import type { SessionRecord } from '../records.ts'
import { stateWithDefaults } from '../start.ts'

type SessionCommands = Omit<Commands, 'runWorkflow' | 'cancelRun' | 'resumeRun' | 'retryRun'>

const DEFAULT_HISTORY_RUNS = 3
const MAX_HISTORY_RUNS = 100

export function createSessionCommands(deps: CommandDeps): SessionCommands {
  const { workflows, store, clock, limits } = deps
  return {
    async setSessionName(viewer, request) {
      const session = await visibleSession(deps, viewer, request.sessionId)
      const { name, source } = nameFor(deps, session, request)
      const named = await store.nameSession(session.sessionId, name, source, clock.now())
      if (!named) throw noSession(request.sessionId)
      return named
    },

    async createSession(viewer, request) {
      const definition = servedWorkflow(workflows, request.workflowId)
      const sessionId = request.sessionId === undefined ? deps.newId() : checkSessionId(request.sessionId)
      const name = request.sessionName === undefined ? null : manualName(request.sessionName)
      const given = checkObject('state', request.state, limits) ?? {}
      const { created, session } = await store.createSession({
        sessionId,
        isNew: request.sessionId === undefined,
        workflowId: definition.id,
        workflowName: definition.name,
        userId: ownerOf(viewer, request.userId),
        name,
        displayName: displayNameOf({ name, firstInputPreview: '', workflowName: definition.name }),
        state: await checkedState(definition, deepMerge(definition.initialState, given), { limits, path: 'state' }),
        workflowVersion: definition.version,
        metadata: checkValue('metadata', request.metadata, limits),
        tags: checkTags(request.tags),
        at: clock.now(),
      })
      if (created) return session
      throw new KernError('CONFLICT', `session ${shown(sessionId)} exists already`, { sessionId })
    },

    async updateSession(viewer, request) {
      const session = await visibleSession(deps, viewer, request.sessionId)
      const patch = checkObject('statePatch', request.statePatch, limits)
      const { metadata, tags } = request
      if (patch === undefined && metadata === undefined && tags === undefined) {
        throw invalid(['statePatch'], 'is missing, and so are metadata and tags: allowed is any of them, but not none')
      }
      const change = {
        expectedStateVersion: request.expectedStateVersion,
        metadata: checkValue('metadata', metadata, limits),
        tags: tags === undefined ? undefined : checkTags(tags),
        at: clock.now(),
      }
      return patch === undefined
        ? updated(await store.updateSession(session.sessionId, change), session, request)
        : await patchState(deps, { session, patch, change, request })
    },

    async deleteSession(viewer, request) {
      const { sessionId } = await visibleSession(deps, viewer, request.sessionId)
      const outcome = await store.deleteSession(sessionId)
      if (outcome === 'deleted') return sessionId
      if (outcome === 'not-found') throw noSession(sessionId)
      throw new KernError(
        'CONFLICT',
        `session ${shown(sessionId)} has run ${outcome.activeRunId} that is not over: cancel it first`,
        {
          sessionId,
          runId: outcome.activeRunId,
        },
      )
    },

    async historyContext(viewer, session, numRuns) {
      const definition = workflows.get(session.workflowId)
      const count = numRuns ?? definition?.numHistoryRuns ?? DEFAULT_HISTORY_RUNS
      if (!Number.isInteger(count) || count < 1 || count > MAX_HISTORY_RUNS) {
        throw invalid(['numRuns'], `is ${shown(numRuns)}: allowed are 1 to ${MAX_HISTORY_RUNS}`)
      }
      const runs = await deps.readerFor(viewer).completedRuns(session.sessionId, null, count)
      return renderHistory(withinBudget(runs, definition?.historyBudget ?? null)) || null
    },
  }
}

interface StatePatchCall {
  readonly session: SessionRecord
  readonly patch: JsonObject
  readonly change: Omit<SessionChange, 'state'>
  readonly request: UpdateSessionRequest
}

/** How often a patch is applied anew because another caller changed the state meanwhile. */
const MAX_PATCH_TRIES = 5

/**
 * The new state is made and checked outside of the transaction, since the schema is an author's code; the version says
 * whether the state is still the one that it was made from.
 */
async function patchState(deps: CommandDeps, call: StatePatchCall): Promise<SessionRecord> {
  const { patch, change, request } = call
  let { session } = call
  for (let tries = 1; ; tries += 1) {
    const expectedStateVersion = request.expectedStateVersion ?? session.stateVersion
    const state = await patchedState(deps, session, patch)
    const outcome = await deps.store.updateSession(session.sessionId, { ...change, state, expectedStateVersion })
    const again = outcome.type === 'version-conflict' && request.expectedStateVersion === undefined
    if (!again || tries === MAX_PATCH_TRIES) return updated(outcome, session, request)
    session = outcome.session
  }
}

async function patchedState(deps: CommandDeps, session: SessionRecord, patch: JsonObject): Promise<JsonObject> {
  const state = checkObject('statePatch', mergePatch(session.state, patch), deps.limits) ?? {}
  const definition = deps.workflows.get(session.workflowId)
  if (definition) await checkedState(definition, state, { limits: deps.limits, path: 'statePatch' })
  return state
}

function updated(outcome: UpdateOutcome, { sessionId }: SessionRecord, request: UpdateSessionRequest): SessionRecord {
  switch (outcome.type) {
    case 'updated':
      return outcome.session
    case 'not-found':
      throw noSession(sessionId)
    case 'version-conflict': {
      const { stateVersion } = outcome.session
      const expected = request.expectedStateVersion ?? 'the one that was read'
      throw new KernError(
        'CONFLICT',
        `the state of session ${shown(sessionId)} has version ${stateVersion}, not ${expected}: read it again`,
        { sessionId },
      )
    }
    case 'busy':
      throw new KernError(
        'CONFLICT',
        `run ${outcome.runId} is using the state of session ${shown(sessionId)}: change it when the run is over`,
        { sessionId, runId: outcome.runId },
      )
  }
}

/** Whose a new session or run is. @throws KernError FORBIDDEN, INPUT_INVALID */
export function ownerOf(viewer: Viewer, userId: string | undefined): string | null {
  if (userId === undefined) return viewer.userId
  checkText('userId', userId, 200)
  if (viewer.userId === null || viewer.userId === userId) return userId
  throw new KernError('FORBIDDEN', `userId is ${shown(userId)}: allowed is your own, ${shown(viewer.userId)}`)
}

function noSession(sessionId: string): KernError {
  return new KernError('NOT_FOUND', `there is no session ${shown(sessionId)}`)
}

async function visibleSession(deps: CommandDeps, viewer: Viewer, sessionId: string): Promise<SessionRecord> {
  const [session] = await deps.readerFor(viewer).sessions([checkSessionId(sessionId)])
  if (session) return session
  throw noSession(sessionId)
}

function nameFor(deps: CommandDeps, session: SessionRecord, { sessionName, autogenerate = false }: NameRequest) {
  if (sessionName === undefined && !autogenerate) {
    throw invalid(['sessionName'], 'is missing, and so is autogenerate: allowed is a name, or autogenerate: true')
  }
  if (sessionName !== undefined && autogenerate) {
    throw invalid(
      ['sessionName'],
      `is ${shown(sessionName)}, and autogenerate is true: allowed is one of them, not both`,
    )
  }
  if (sessionName !== undefined) return { name: manualName(sessionName), source: 'MANUAL' } as const
  const { description } = session.workflowData
  const name = generatedName({
    description: typeof description === 'string' ? description : null,
    workflowName: session.workflowName,
    now: deps.clock.now(),
    timeZone: deps.timeZone,
  })
  return { name, source: 'GENERATED' } as const
}

/** The state that a caller gave, with defaults. @throws KernError INPUT_INVALID where it does not fit */
export async function checkedState(
  definition: WorkflowDefinition,
  state: JsonObject,
  { limits, path: argument }: { readonly limits: ValueLimits; readonly path: string },
): Promise<JsonObject> {
  try {
    return await stateWithDefaults(definition, state, limits)
  } catch (error) {
    if (!isKernError(error)) throw error
    const issues = (error.details.issues ?? []).map(({ path, message }) => ({ path: [argument, ...path], message }))
    throw new KernError('INPUT_INVALID', error.message, { cause: error, issues })
  }
}
