import type { EventCursor } from '../engine/cursor.ts'
import type { StepProgress } from '../engine/ports.ts'
import { type EventRecord, isFinalEvent, type RunEventType } from '../engine/records.ts'

/** Partial outputs that wait until a stream has come to their place: the newest of each step, however slow its reader is. */
export interface PendingProgress {
  /** A step has a newer partial output, or none any more. */
  offer(progress: StepProgress): void
  /** The stream has come to this event, and gives it, or leaves it out because of its type. */
  passed(event: EventRecord): void
  /** One that may be given here; undefined if there is none. */
  take(): EventRecord | undefined
}

/** After one of these a step has no partial output, unless it starts again. */
const ENDS: ReadonlySet<RunEventType> = new Set([
  'STEP_RETRYING',
  'STEP_PAUSED',
  'STEP_COMPLETED',
  'STEP_FAILED',
  'STEP_SKIPPED',
  'STEP_CANCELLED',
])

/** Where a stream stands in the events of a run. */
interface Place {
  seq: number
  /** The paths of steps that have ended, as far as the stream has come. */
  readonly ended: Set<string>
}

interface Pending {
  readonly progress: StepProgress
  /** Given only once the stream has passed this event, so that a step starts before it gets on. */
  readonly afterSeq: number
}

/** @param from the newest events of runs that the stream begins behind */
export function createPendingProgress(from: readonly EventCursor[]): PendingProgress {
  const places = new Map(from.map(({ runId, seq }): [string, Place] => [runId, { seq, ended: new Set() }]))
  const pending = new Map<string, Pending>()

  function leave(runId: string): void {
    places.delete(runId)
    for (const [key, { progress }] of pending) {
      if (progress.runId === runId) pending.delete(key)
    }
  }

  return {
    offer(progress) {
      const key = `${progress.runId}:${progress.path}`
      if (progress.partialOutput === undefined) pending.delete(key)
      // The place of the oldest one stays: in a busy run that of the newest might never be reached.
      else pending.set(key, { progress, afterSeq: pending.get(key)?.afterSeq ?? progress.seq })
    },
    passed({ runId, seq, type, stepPath }) {
      if (isFinalEvent(type)) return leave(runId)
      const place = places.get(runId) ?? { seq, ended: new Set() }
      places.set(runId, place)
      place.seq = seq
      if (stepPath === null) return
      if (ENDS.has(type)) place.ended.add(stepPath)
      else if (type === 'STEP_STARTED') place.ended.delete(stepPath)
    },
    take() {
      for (const [key, { progress, afterSeq }] of pending) {
        const place = places.get(progress.runId)
        if (!place || place.seq < afterSeq || place.ended.has(progress.path)) continue
        pending.delete(key)
        return eventOf(progress, place.seq)
      }
      return undefined
    },
  }
}

/** Its `seq` is that of the newest event that the stream has passed: a cursor from which nothing is lost. */
function eventOf({ runId, path, at, partialOutput }: StepProgress, seq: number): EventRecord {
  return { runId, seq, type: 'STEP_PROGRESS', at, stepPath: path, name: null, data: partialOutput }
}
