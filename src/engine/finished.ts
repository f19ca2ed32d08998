import type { FinishedRun, TakenRun } from './ports.ts'
import type { Committed } from './recorder.ts'

/**
 * A run that was executed here from its beginning to its end, as a reader would give it: who waits for it need not read it.
 *
 * @returns undefined where its rows may hold what the one who executed it has not seen
 */
export function finishedRun(
  { run, payload, fresh }: TakenRun,
  { end, lastSeq, steps, start, totals }: NonNullable<Committed['end']>,
): FinishedRun | undefined {
  // A wait for the next attempt is nobody's to answer.
  const asked = steps.some(({ pending }) => pending !== null && pending.reason !== 'time')
  // A cancel may have been asked for by somebody else, and an answer be on its way.
  if (!fresh || asked || end.status === 'CANCELLED' || run.retryOf !== null) return undefined
  const { status, output, outputPreview, error, stoppedBy, stateAfter, at } = end
  return {
    run: {
      ...run,
      status,
      outputPreview,
      error,
      stoppedBy,
      historyRunIds: start?.historyRunIds ?? run.historyRunIds,
      ...totals,
      lastSeq,
      completedAt: at,
      durationMs: at.getTime() - (run.startedAt ?? at).getTime(),
    },
    payload: { ...payload, output, stateBefore: start?.stateBefore ?? payload.stateBefore, stateAfter },
    steps: steps.toSorted((a, b) => a.position - b.position),
  }
}
