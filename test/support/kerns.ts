import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import type { Database } from '../../src/db/client.ts'
import type { StreamedEvent } from '../../src/engine/api.ts'
import type { RunFilter } from '../../src/engine/reader.ts'
import type { EventRecord, RunRecord } from '../../src/engine/records.ts'
import { createKernOn, type Kern, type KernOptions } from '../../src/kern.ts'
import type { Pace } from '../../src/wiring/pace.ts'
import { createLog } from '../../src/log.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { HasDefinition } from '../../src/workflow/definition.ts'
import { grammarFaults, type RecordedRun } from './eventGrammar.ts'

export type KernSettings = Omit<KernOptions, 'db' | 'workflows'> & Pace

/**
 * Starts a Kern for one test, and closes it at the end. Every run of its workflows is then read back and held to the
 * grammar of events, whatever the test was about.
 */
export async function startKern(
  database: Database,
  workflows: readonly HasDefinition[],
  { leaseMs, heartbeatMs, pollMs, parkMs, maxDeaths, hints, tamper, ...options }: KernSettings = {},
): Promise<Kern> {
  const log = createLog({ level: 'silent' })
  const settings = { log, graceMs: 1_000, drainMs: 0, ...options, workflows }
  const kern = await createKernOn(database, settings, {
    leaseMs,
    heartbeatMs,
    pollMs,
    parkMs,
    maxDeaths,
    hints,
    tamper,
  })
  onTestFinished(async () => {
    await kern.close()
    for (const { definition } of workflows) await expectSoundRuns(kern, { workflowId: definition.id })
  })
  return kern
}

/** All runs that a filter finds, oldest first. */
export async function allRuns(kern: Kern, filter: RunFilter): Promise<RunRecord[]> {
  const page = { limit: 10_000, fromEnd: false, after: null, before: null }
  const order = { field: 'CREATED_AT', direction: 'ASC' } as const
  const { items } = await kern.readerFor(SYSTEM_VIEWER).runPage(filter, order, page)
  return items.map(({ item }) => item)
}

/** The runs of a session, in the order of their numbers. */
export async function runsOf(kern: Kern, sessionId: string): Promise<RunRecord[]> {
  const runs = await allRuns(kern, { sessionId })
  return runs.sort((a, b) => a.number - b.number)
}

export async function eventsOf(kern: Kern, runId: string): Promise<EventRecord[]> {
  return await kern.readerFor(SYSTEM_VIEWER).events(runId, { afterSeq: 0, limit: 100_000, types: null })
}

/** An event of a stream as it is stored, without its place in the stream. */
export function asStored({
  spot: _spot,
  resume: _resume,
  ...event
}: EventRecord & Partial<StreamedEvent>): EventRecord {
  return event
}

/** The events of a run in short: `STEP_STARTED first`. */
export async function eventLines(kern: Kern, runId: string): Promise<string[]> {
  const events = await eventsOf(kern, runId)
  return events.map(({ type, stepPath }) => (stepPath === null ? type : `${type} ${stepPath}`))
}

/** A run with all its rows, read back. */
export async function recorded(kern: Kern, runId: string): Promise<RecordedRun & { readonly run: RunRecord }> {
  const reader = kern.readerFor(SYSTEM_VIEWER)
  const [[run], [steps = []], events] = await Promise.all([
    reader.runs([runId]),
    reader.steps([runId]),
    eventsOf(kern, runId),
  ])
  if (!run) throw new Error(`run ${runId} is not there`)
  return { run, steps, events }
}

async function expectSoundRuns(kern: Kern, filter: RunFilter): Promise<void> {
  for (const { runId } of await allRuns(kern, filter)) {
    const { run, steps, events } = await recorded(kern, runId)
    const faults = grammarFaults({ run, steps, events })
    if (faults.length > 0) expect({ faults, run, events, steps }).toMatchObject({ faults: [] })
  }
}

/** How long `expect.poll` waits for what no event tells: longer than a loaded machine needs. */
export const PATIENCE = { timeout: 15_000 }

/** A place in a body where it waits until the test lets it go on. */
export interface Gate {
  /** Resolves when the body has come here. */
  readonly reached: Promise<void>
  /** Called by the body. */
  pass(): Promise<void>
  /** Lets the body go on, also if it comes later. */
  open(): void
}

export function createGate(): Gate {
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  return {
    reached: reached.promise,
    pass: async () => {
      reached.resolve()
      await opened.promise
    },
    open: () => opened.resolve(),
  }
}

/** The machine's time, but waits of chosen lengths end when the test says so, or at once. */
export interface TestClock extends Clock {
  /** The lengths of the waits that were taken out of time's hands, in order, in milliseconds. */
  readonly held: readonly number[]
  /** Resolves when a wait of this length is under way. */
  asked(ms: number): Promise<void>
  /** Ends the waits of this length. */
  elapse(ms: number): void
}

export interface TestClockOptions {
  /** Which waits end only by `elapse`. @default none */
  readonly hold?: (ms: number) => boolean
  /** Which waits end at once. @default none */
  readonly skip?: (ms: number) => boolean
}

export function createTestClock(clock: Clock, { hold = () => false, skip = () => false }: TestClockOptions): TestClock {
  const held: number[] = []
  const waits = new Map<number, { asked: PromiseWithResolvers<void>; over: PromiseWithResolvers<void> }>()
  const waitOf = (ms: number) => {
    const wait = waits.get(ms) ?? { asked: Promise.withResolvers<void>(), over: Promise.withResolvers<void>() }
    waits.set(ms, wait)
    return wait
  }
  return {
    now: clock.now,
    idle: clock.idle,
    held,
    async sleep(ms, signal) {
      signal?.throwIfAborted()
      if (!hold(ms) && !skip(ms)) return await clock.sleep(ms, signal)
      held.push(ms)
      // A turn of the event loop: what is tried again until it is answered would else keep all else waiting.
      if (skip(ms)) return await nextTurn()
      const { asked, over } = waitOf(ms)
      asked.resolve()
      const aborted = new Promise<never>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
      await Promise.race([over.promise, aborted])
    },
    asked: (ms) => waitOf(ms).asked.promise,
    elapse(ms) {
      waitOf(ms).over.resolve()
      waits.delete(ms)
    },
  }
}
