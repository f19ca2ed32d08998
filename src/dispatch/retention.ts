import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { WorkflowDefinition } from '../workflow/definition.ts'

/** How often a process looks for runs that are too old, in milliseconds. */
const EVERY_MS = 300_000
/** The pause between two batches, in milliseconds: others are not to notice. */
const PAUSE_MS = 50

/** How long the runs of a workflow are kept after their end. */
export interface RetentionRule {
  readonly workflowId: string
  /** In milliseconds. */
  readonly keepMs: number
}

/** Deletes runs that ended long ago, in the background. */
export interface Retention {
  start(): void
  /** Resolves when nothing is being deleted any more. */
  close(): Promise<void>
}

export interface RetentionDeps {
  readonly rules: readonly RetentionRule[]
  /** Deletes a few runs that ended before a time. */
  readonly prune: (old: { readonly workflowId: string; readonly before: Date }) => Promise<{
    readonly runs: number
    readonly more: boolean
  }>
  readonly clock: Clock
  readonly log: Log
}

/**
 * The rules of the workflows that are served: each its own, or the common one. What is not served here is left alone, since
 * other processes may have a rule for it that keeps it longer.
 *
 * @param commonMs for workflows that have no rule of their own, in milliseconds; null to keep their runs
 */
export function retentionRules(
  definitions: readonly Pick<WorkflowDefinition, 'id' | 'retentionMs'>[],
  commonMs: number | null,
): RetentionRule[] {
  return definitions.flatMap(({ id: workflowId, retentionMs }) => {
    const keepMs = retentionMs ?? commonMs
    return keepMs === null ? [] : [{ workflowId, keepMs }]
  })
}

export function createRetention({ rules, prune, clock, log }: RetentionDeps): Retention {
  const closing = new AbortController()
  let loop: Promise<void> = Promise.resolve()

  async function keepTo({ workflowId, keepMs }: RetentionRule): Promise<void> {
    const before = new Date(clock.now().getTime() - keepMs)
    let total = 0
    for (let more = true; more && !closing.signal.aborted; ) {
      const batch = await prune({ workflowId, before })
      total += batch.runs
      more = batch.more
      if (more) await pause(PAUSE_MS)
    }
    if (total > 0) log.info({ workflowId, runs: total, before }, 'old runs were deleted')
  }

  async function pause(ms: number): Promise<void> {
    await clock.idle(ms, closing.signal).catch(() => undefined)
  }

  async function keepOn(): Promise<void> {
    while (!closing.signal.aborted) {
      for (const rule of rules) {
        await keepTo(rule).catch((error: unknown) =>
          log.warn({ workflowId: rule.workflowId, err: error }, 'old runs could not be deleted; this is tried again'),
        )
      }
      await pause(EVERY_MS)
    }
  }

  return {
    start() {
      if (rules.length > 0) loop = keepOn()
    },
    async close() {
      closing.abort()
      await loop
    },
  }
}
