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
   * Like commit, for the end of the run, or for putting it aside: both give way to a cancel that was accepted before, and
   * the second also to answers. Then nothing of the change is kept.
   */
  settle(change: Change): Promise<Exclude<WriteOutcome['type'], 'fenced'>>
  /** The `seq` of the newest event that is durable. */
  seq(): number
  /** Resolves when nothing is under way, whatever became of it. */
  idle(): Promise<void>
}

export interface RecorderOptions {
  readonly journal: Journal
  readonly clock: Clock
  readonly run: RunRecord
  readonly steps: readonly StepRecord[]
  /** Called after each commit, before the one who waits for it goes on. */
  readonly committed: (committed: { readonly nextRunId: string | null; readonly settled: boolean }) => void
  /** Called once if nothing more can be written: the run is another's now, or the database refused. */
  readonly lost: (error: KernError) => void
}

interface Batch {
  steps: Map<string, StepRecord>
  events: EventRecord[]
  state?: JsonObject | undefined
  start?: RunWrite['start']
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
    if (change.start) batch.start = change.start
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
        const settled = taken.end !== undefined || taken.park?.status === 'PAUSED'
        options.committed({ nextRunId: outcome.nextRunId, settled })
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

  function write(taken: Batch): Promise<WriteOutcome> {
    const { steps, events, state, start, end, park } = taken
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
      start,
      end,
      park,
    })
  }

  return {
    note(change) {
      add(change)
      if (scheduled) return
      scheduled = true
      setImmediate(() => {
        scheduled = false
        flush().catch(() => undefined)
      })
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
      while (flushing) await flushing.catch(() => undefined)
    },
  }
}

function totalsOf(steps: readonly StepRecord[]): Pick<RunWrite, 'stepCount' | 'attemptCount' | 'usage'> {
  return {
    stepCount: steps.length,
    attemptCount: steps.reduce((sum, { attempts }) => sum + attempts.length, 0),
    usage: steps.reduce<TokenUsage | null>((sum, { usage }) => addUsage(sum, usage), null),
  }
}
