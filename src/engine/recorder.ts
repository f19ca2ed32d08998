import type { Clock } from '../clock.ts'
import { KernError } from '../errors.ts'
import type { Json, JsonObject } from '../json.ts'
import { addUsage } from './agent/usage.ts'
import type { Journal, RunEnd, RunPark, RunWrite, WriteOutcome } from './ports.ts'
import type { EventRecord, RunEventType, RunRecord, StepRecord, TokenUsage } from './records.ts'

/** An event as the executor states it; the recorder gives it its number and time. */
export interface NewEvent {
  readonly type: RunEventType
  readonly stepPath?: string
  readonly name?: string
  readonly data?: Json | undefined
}

/** What happens together. */
export interface Change {
  readonly steps?: readonly StepRecord[]
  readonly events?: readonly NewEvent[]
  readonly state?: JsonObject
  readonly start?: RunWrite['start']
  readonly end?: Omit<RunEnd, 'at'>
  readonly park?: RunPark
}

/**
 * Writes down what one run does, in order. `note` is for what nobody waits for (a step started): it is written with the
 * next commit, or as soon as the event loop is idle. `commit` resolves when everything up to it is durable.
 */
export interface Recorder {
  note(change: Change): void
  commit(change: Change): Promise<void>
  /**
   * Like note, for a result: the author's code that comes after it must wait until it is durable. So what ends a run is
   * written together with the result that it follows from.
   */
  defer(change: Change): void
  /** Resolves when everything that was deferred is durable. */
  durable(): Promise<void>
  /**
   * Like commit, for the end of the run, or for putting it aside: both give way to a cancel that was accepted before, and
   * the second also to answers. Then nothing of the change is kept.
   */
  settle(change: Change): Promise<Exclude<WriteOutcome['type'], 'fenced'>>
  /** The `seq` of the newest event that is durable. */
  seq(): number
  /** Resolves when everything is written, or cannot be. */
  idle(): Promise<void>
}

export interface RecorderOptions {
  readonly journal: Journal
  readonly clock: Clock
  readonly run: RunRecord
  readonly steps: readonly StepRecord[]
  /** What the run began with, where it began before and that is not recorded yet. */
  readonly startOwed?: RunWrite['start']
  /** Called after each commit, before the one who waits for it goes on. */
  readonly committed: (committed: Committed) => void
  /** Called once if nothing more can be written: the run is another's now, or the database refused. */
  readonly lost: (error: KernError) => void
}

/** What a commit has brought about. */
export interface Committed {
  readonly nextRunId: string | null
  /** Whether the run is over by it, or waits for a person now. */
  readonly settled: boolean
  /** How the run has ended, and all of its steps; null if it has not. */
  readonly end: {
    readonly end: RunEnd
    readonly lastSeq: number
    readonly steps: readonly StepRecord[]
    readonly totals: Totals
    /** With what it began, if it began here. */
    readonly start: RunWrite['start']
  } | null
}

interface Batch {
  steps: Map<string, StepRecord>
  events: EventRecord[]
  state?: JsonObject | undefined
  end?: RunEnd
  park?: RunPark
}

export function createRecorder(options: RecorderOptions): Recorder {
  const { journal, clock, run } = options
  let seq = run.lastSeq
  let durable = seq
  let batch: Batch = { steps: new Map(), events: [] }
  let flushing: Promise<WriteOutcome> | null = null
  let scheduled = false
  /** The event up to which everything must be durable before an author's code goes on. */
  let owed = 0
  let start: RunWrite['start']
  let { startOwed } = options
  let broken: KernError | null = null
  const newest = new Map(options.steps.map((step) => [step.path, step]))

  function add(change: Change): void {
    const at = clock.now()
    for (const step of change.steps ?? []) {
      batch.steps.set(step.path, step)
      newest.set(step.path, step)
    }
    for (const { type, stepPath = null, name = null, data } of change.events ?? []) {
      seq += 1
      batch.events.push({ runId: run.runId, seq, type, at, stepPath, name, data })
    }
    if (change.state) batch.state = change.state
    if (change.start) start = startOwed = change.start
    if (change.end) batch.end = { ...change.end, at }
    if (change.park) batch.park = change.park
  }

  /** At most one write of a run is under way: its order needs no thought in the journal. */
  async function flush(): Promise<WriteOutcome> {
    while (flushing) await flushing.catch(() => undefined)
    if (broken) throw broken
    const taken = batch
    if (taken.steps.size === 0 && taken.events.length === 0 && !taken.end && !taken.park) {
      return { type: 'committed', nextRunId: null }
    }
    batch = { steps: new Map(), events: [] }
    flushing = write(taken)
    try {
      const outcome = await flushing
      if (outcome.type === 'fenced') throw new KernError('FENCED', `run ${run.runId} was taken over by another process`)
      if (outcome.type === 'committed') {
        durable = taken.events.at(-1)?.seq ?? durable
        if (startFor(taken)) startOwed = undefined
        const settled = taken.end !== undefined || taken.park?.status === 'PAUSED'
        const end = taken.end ? ended(taken.end) : null
        options.committed({ nextRunId: outcome.nextRunId, settled, end })
      }
      return outcome
    } catch (error) {
      broken ??=
        error instanceof KernError
          ? error
          : new KernError('UNAVAILABLE', `run ${run.runId} could not be recorded`, { cause: error })
      options.lost(broken)
      throw broken
    } finally {
      flushing = null
    }
  }

  /**
   * What the run began with is recorded with the first change of the state, or of the run's row: until then the session
   * has the same state, and one write less is needed for runs that change nothing.
   */
  function startFor({ state, end, park }: Batch): RunWrite['start'] {
    return state || end || park || startOwed?.historyRunIds.length ? startOwed : undefined
  }

  function write(taken: Batch): Promise<WriteOutcome> {
    const { steps, events, state, end, park } = taken
    return journal.write({
      runId: run.runId,
      sessionId: run.sessionId,
      workflowId: run.workflowId,
      number: run.number,
      epoch: run.epoch,
      steps: [...steps.values()],
      events,
      // Only the end is written with them: counting at each write would cost more the longer the run is.
      ...totalsOf(end ? [...newest.values()] : []),
      state,
      start: startFor(taken),
      end,
      park,
    })
  }

  function ended(end: RunEnd): Committed['end'] {
    const steps = [...newest.values()]
    return { end, lastSeq: durable, steps, totals: totalsOf(steps), start }
  }

  function note(change: Change): void {
    add(change)
    if (scheduled) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      flush().catch(() => undefined)
    })
  }

  return {
    note,
    defer(change) {
      note(change)
      owed = seq
    },
    async durable() {
      while (owed > durable) await flush()
    },
    async commit(change) {
      add(change)
      await flush()
    },
    async settle(change) {
      while (flushing) await flushing.catch(() => undefined)
      const before = { batch: { ...batch, steps: new Map(batch.steps), events: [...batch.events] }, seq }
      add(change)
      const { type } = await flush()
      if (type === 'fenced') throw new KernError('FENCED', `run ${run.runId} was taken over by another process`)
      if (type === 'committed') return type
      // Nothing of it was written: what was to be written before it still is.
      batch = before.batch
      seq = before.seq
      return type
    },
    seq: () => durable,
    async idle() {
      // What is left goes on elsewhere: what was deferred here must not be executed again there.
      await flush().catch(() => undefined)
    },
  }
}

/** Totals of a run's steps, as its end has them. */
export type Totals = Pick<RunWrite, 'stepCount' | 'attemptCount' | 'usage'>

function totalsOf(steps: readonly StepRecord[]): Totals {
  return {
    stepCount: steps.length,
    attemptCount: steps.reduce((sum, { attempts }) => sum + attempts.length, 0),
    usage: steps.reduce<TokenUsage | null>((sum, { usage }) => addUsage(sum, usage), null),
  }
}
