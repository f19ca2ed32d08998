import type { Database } from '../../../src/db/client.ts'
import type { EventRecord } from '../../../src/engine/records.ts'
import { isKernError } from '../../../src/errors.ts'
import { newId } from '../../../src/ids.ts'
import { createKernOn, type Kern } from '../../../src/kern.ts'
import { createLog } from '../../../src/log.ts'
import { createReaderFor } from '../../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import { workflowOf } from './build.ts'
import { faultsOf, type Outcome } from './compare.ts'
import { decisionsIn, type Entry, recordedOf, watchOf } from './diary.ts'
import { drive } from './drive.ts'
import { expectedOf } from './model.ts'
import type { Tree } from './spec.ts'

/** A tree that is run, with what its functions did so far. */
export interface Plant {
  /** Of its workflow. */
  readonly id: string
  readonly sessionId: string
  readonly tree: Tree
  readonly diary: Entry[]
}

export function plantOf(tree: Tree): Plant {
  return { id: newId(), sessionId: newId(), tree, diary: [] }
}

/** Longer waits are kept in the database. */
const PARK_MS = 5

/** A process that serves trees. */
export interface Life {
  readonly database: Database
  readonly plants: readonly Plant[]
  /** How long a run may take, in the machine's milliseconds. @default far longer than any does */
  readonly patienceMs?: number
  /** Called for each new event and for each entry in a diary. True to stop then. */
  readonly moment?: ((plant: Plant, entry: Entry | null) => boolean) | null
}

/**
 * Serves trees in a Kern until all their runs are over, those that were begun before too.
 *
 * @returns what went wrong with the answers to each; null if it was stopped before the end
 */
export async function live({ database, plants, patienceMs = 30_000, moment = null }: Life): Promise<string[][] | null> {
  const earlier = await Promise.all(plants.map((plant) => earlierEvents(database, plant)))
  let kern: Kern | null = null
  let stopped = false
  const note = (plant: Plant, entry: Entry | null): void => {
    if (entry) plant.diary.push(entry)
    if (!moment?.(plant, entry)) return
    stopped = true
    void kern?.close()
  }
  const workflows = plants.map((plant) =>
    workflowOf(
      plant.id,
      plant.tree,
      watchOf(plant.diary, (entry) => note(plant, entry)),
    ),
  )
  kern = await startTrees(database, workflows)
  await using open = kern
  if (stopped) await open.close()
  const follow = async (plant: Plant, index: number): Promise<string[]> => {
    const known = earlier[index] ?? 0
    const seen = ({ seq }: EventRecord) => {
      if (seq > known) note(plant, null)
    }
    const { id: workflowId, sessionId, tree } = plant
    return await drive({ kern: open, ids: { workflowId, sessionId }, tree, patienceMs, seen: moment && seen })
  }
  const results = await Promise.allSettled(plants.map(follow))
  for (const result of results) {
    if (result.status === 'rejected' && !(stopped && isKernError(result.reason, 'UNAVAILABLE'))) throw result.reason
  }
  return stopped ? null : results.map((result) => (result.status === 'fulfilled' ? result.value : []))
}

/**
 * The number of events that the run of a plant has, 0 if it was not started. What is recorded of it must not be done
 * again: its diary says so.
 */
async function earlierEvents(database: Database, { sessionId, diary }: Plant): Promise<number> {
  const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
  const [session] = await reader.sessions([sessionId])
  const runId = session?.lastRunId
  if (!runId) return 0
  const [[run], [steps = []]] = await Promise.all([reader.runs([runId]), reader.steps([runId])])
  diary.push({ recorded: steps.flatMap(recordedOf) })
  return run?.lastSeq ?? 0
}

/** Starts a Kern in which waits of milliseconds are kept in the database, as else those of seconds are. */
async function startTrees(database: Database, workflows: ReturnType<typeof workflowOf>[]): Promise<Kern> {
  const concurrency = Math.max(1, workflows.length)
  const options = { workflows, concurrency, drainMs: 0, log: createLog({ level: 'silent' }) }
  return await createKernOn(database, options, { parkMs: PARK_MS, pollMs: 100, heartbeatMs: 200, leaseMs: 1_000 })
}

/** Lives on until nothing stops it, and tells of each tree what was wrong with its run. */
export async function grow(life: Life): Promise<string[][]> {
  let driven: string[][] | null = null
  let lives = 0
  while (driven === null) {
    driven = await live(life)
    lives += 1
  }
  const faults = driven
  return await Promise.all(
    life.plants.map(async (plant, index) => await judged(life.database, plant, { driven: faults[index] ?? [], lives })),
  )
}

interface Judged {
  readonly driven: readonly string[]
  /** How many processes have served it. */
  readonly lives: number
}

/** What is wrong with a run that is over, followed by its events; nothing for a sound one. */
export async function judged(database: Database, plant: Plant, { driven, lives }: Judged): Promise<string[]> {
  const outcome = await outcomeOf(database, plant, lives > 1)
  const decisions = decisionsIn(plant.diary, outcome.steps)
  const faults = driven.length > 0 ? driven : faultsOf(expectedOf(plant.tree, decisions), outcome)
  return faults.length === 0 ? [] : [...faults, ...outcome.events.map(lineOf)]
}

async function outcomeOf(database: Database, { sessionId, diary }: Plant, interrupted: boolean): Promise<Outcome> {
  const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
  const [session] = await reader.sessions([sessionId])
  const runId = session?.lastRunId ?? ''
  const [[run], [payload], [steps = []], events] = await Promise.all([
    reader.runs([runId]),
    reader.payloads([runId]),
    reader.steps([runId]),
    reader.events(runId, { afterSeq: 0, limit: 100_000, types: null }),
  ])
  if (!session || !run || !payload) throw new Error(`session ${sessionId} has no run`)
  return { run, payload, session, steps, events, diary, interrupted }
}

function lineOf({ seq, type, stepPath, data }: EventRecord): string {
  return `${seq} ${type} ${stepPath ?? ''} ${JSON.stringify(data) ?? ''}`
}
