import DataLoader from 'dataloader'
import type { Commands, EventStreams, Workflows } from '../src/engine/api.ts'
import type { Page, PageRequest, Reader, RunFilter, RunOrder, StepKey } from '../src/engine/reader.ts'
import type { RunPayload, RunRecord, SessionRecord, StepSummary, StepValues } from '../src/engine/records.ts'
import { isUuid } from '../src/ids.ts'
import type { Viewer } from '../src/viewer.ts'
import { canExist } from './globalId.ts'

/** What every resolver is given. Everything that reads, writes or streams arrives through it. */
export interface KernContext {
  readonly viewer: Viewer
  /** Reads on behalf of `viewer`. */
  readonly reader: Reader
  readonly commands: Commands
  readonly workflows: Workflows
  readonly streams: EventStreams
  /** Reads of `reader` that many resolvers ask for at once, gathered into few calls. */
  readonly loaders: Loaders
}

/** Some of the runs of one session. */
export interface RunsOfSession {
  readonly sessionId: string
  readonly filter: RunFilter
}

/** A page of the runs of one session. */
export interface RunPageOfSession extends RunsOfSession {
  readonly order: RunOrder
  readonly page: PageRequest
}

/**
 * Reads by key. Calls of one moment become one call of the reader for each method (and for each set of equal
 * arguments), however many keys there are. What does not exist, or cannot exist because its id is malformed, is null or
 * empty; a malformed id never reaches the reader.
 *
 * Nothing is kept: the context of a subscription lives long, and what is read for an event must be as of that event or
 * newer.
 */
export interface Loaders {
  session(sessionId: string): Promise<SessionRecord | null>
  run(runId: string): Promise<RunRecord | null>
  payload(runId: string): Promise<RunPayload | null>
  queuePosition(runId: string): Promise<number | null>
  retries(runId: string): Promise<readonly RunRecord[]>
  steps(runId: string): Promise<readonly StepSummary[]>
  step(key: StepKey): Promise<StepSummary | null>
  stepValues(key: StepKey): Promise<StepValues | null>
  runPage(key: RunPageOfSession): Promise<Page<RunRecord>>
  runCount(key: RunsOfSession): Promise<number>
}

/** Makes the loaders of one operation. */
export function createLoaders(reader: Reader): Loaders {
  const byRunId = { idOf: (runId: string) => runId, canExist: isUuid }
  const session = createLoader({
    idOf: (sessionId: string) => sessionId,
    canExist,
    absent: null,
    load: (ids) => reader.sessions(ids),
  })
  const run = createLoader({ ...byRunId, absent: null, load: (ids) => reader.runs(ids) })
  const payload = createLoader({ ...byRunId, absent: null, load: (ids) => reader.payloads(ids) })
  const queuePosition = createLoader({ ...byRunId, absent: null, load: (ids) => reader.queuePositions(ids) })
  const retries = createLoader({ ...byRunId, absent: [], load: (ids) => reader.retries(ids) })
  const steps = createLoader({ ...byRunId, absent: [], load: (ids) => reader.stepSummaries(ids) })
  const byStepKey = {
    idOf: ({ runId, path }: StepKey) => `${runId}:${path}`,
    canExist: ({ runId, path }: StepKey) => isUuid(runId) && canExist(path),
    absent: null,
  }
  const step = createLoader({ ...byStepKey, load: (keys) => reader.stepsByPath(keys) })
  const stepValues = createLoader({ ...byStepKey, load: (keys) => reader.stepValues(keys) })
  const runPage = createGroupLoader(
    ({ filter, order, page }: RunPageOfSession) => JSON.stringify([filter, order, page]),
    (sessionIds, { filter, order, page }) => reader.runPagesOfSessions(sessionIds, filter, order, page),
  )
  const runCount = createGroupLoader(
    ({ filter }: RunsOfSession) => JSON.stringify(filter),
    (sessionIds, { filter }) => reader.runCountsOfSessions(sessionIds, filter),
  )
  return { session, run, payload, queuePosition, retries, steps, step, stepValues, runPage, runCount }
}

interface LoaderOptions<Key, Value> {
  /** Equal for keys that stand for the same thing. */
  idOf(key: Key): string
  /** False for a key that nothing can have. */
  canExist(key: Key): boolean
  /** What a key is answered with if it cannot exist. */
  readonly absent: Value
  /** Answers in the order of the keys. */
  load(keys: readonly Key[]): Promise<readonly Value[]>
}

function createLoader<Key, Value>(options: LoaderOptions<Key, Value>): (key: Key) => Promise<Value> {
  const { idOf, canExist, absent, load } = options
  const loader = new DataLoader<Key, Value>(
    async (keys) => {
      const distinct = new Map(keys.map((key) => [idOf(key), key]))
      const values = await load([...distinct.values()])
      const byId = new Map([...distinct.keys()].map((id, index) => [id, values[index]]))
      return keys.map((key) => byId.get(idOf(key)) ?? absent)
    },
    { cache: false },
  )
  return async (key) => (canExist(key) ? loader.load(key) : absent)
}

/** A loader of something that each of many sessions has, where the other arguments are equal within a group. */
function createGroupLoader<Key extends RunsOfSession, Value>(
  groupOf: (key: Key) => string,
  load: (sessionIds: readonly string[], like: Key) => Promise<readonly Value[]>,
): (key: Key) => Promise<Value> {
  const loader = new DataLoader<Key, Value>(
    async (keys) => {
      const groups = Map.groupBy(keys, groupOf)
      const answers = new Map<string, Map<string, Value | Error>>()
      await Promise.all(
        [...groups].map(async ([group, [like, ...rest]]) => {
          if (like) answers.set(group, await ofSessions(like, [like, ...rest]))
        }),
      )
      return keys.map((key) => answers.get(groupOf(key))?.get(key.sessionId) ?? new Error('a session was not answered'))
    },
    { cache: false },
  )

  /** One group's fault, such as a malformed cursor, is not its neighbours'. */
  async function ofSessions(like: Key, keys: readonly Key[]): Promise<Map<string, Value | Error>> {
    const sessionIds = [...new Set(keys.map((key) => key.sessionId))]
    try {
      const values = await load(sessionIds, like)
      return new Map(
        sessionIds.flatMap((id, index) => {
          const value = values[index]
          return value === undefined ? [] : [[id, value]]
        }),
      )
    } catch (error) {
      const fault = error instanceof Error ? error : new Error(String(error))
      return new Map(sessionIds.map((id) => [id, fault]))
    }
  }

  return (key) => loader.load(key)
}
