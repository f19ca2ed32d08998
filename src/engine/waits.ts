import { type Json, previewOf } from '../json.ts'
import type { Execution } from './execution.ts'
import type { PendingWait, StepRecord } from './records.ts'
import { closeAttempts } from './stepRecord.ts'

export interface NewWait {
  readonly at: Date
  readonly reason: PendingWait['reason']
  readonly prompt?: string
  readonly expiresAt?: Date | null
}

/** What a step waits for from now on. */
export function nextWait({ pending, attempts }: StepRecord, { at, reason, prompt, expiresAt }: NewWait): PendingWait {
  return {
    number: (pending?.number ?? 0) + 1,
    reason,
    prompt: prompt ?? null,
    requestedAt: at.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    attempts: attempts.length,
  }
}

/** When the wait of a step ends by itself; null if it does not. */
export function expiry({ pending }: StepRecord): Date | null {
  return pending?.expiresAt == null ? null : new Date(pending.expiresAt)
}

/** The row of a step that has waited to its end. */
export function completedWait({ clock }: Execution, waiting: StepRecord, output: Json | undefined): StepRecord {
  const completedAt = clock.now()
  return {
    ...waiting,
    status: 'COMPLETED',
    output,
    outputPreview: previewOf(output),
    attempts: closeAttempts(waiting.attempts, completedAt, null),
    completedAt,
  }
}
