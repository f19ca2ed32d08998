import type { Db } from '../db/client.ts'
import type { RunWrite, WriteOutcome } from '../engine/ports.ts'

export interface RefusalDeps {
  readonly db: Db
  readonly advance: (sessionId: string) => Promise<string | null>
}

/** Why a write did not pass the fence: it was fenced, or gave way, or is the repetition of a committed end or park. */
export async function refusalOf(
  { runId, sessionId, epoch, end, park }: RunWrite,
  { db, advance }: RefusalDeps,
): Promise<WriteOutcome> {
  const [row] = await db.query.runs.findMany({
    where: { runId },
    columns: { epoch: true, status: true, owner: true, cancelRequestedAt: true },
  })
  if (row?.epoch !== epoch) return { type: 'fenced' }
  // Whatever became of a run since it was parked: while its epoch stands, only the park can have taken its owner away.
  if (row.owner === null) return park ? { type: 'committed', nextRunId: null } : { type: 'fenced' }
  if (park && row.cancelRequestedAt === null) return { type: 'answered' }
  if (row.status === 'RUNNING') return { type: 'cancel-requested' }
  return row.status === end?.status ? { type: 'committed', nextRunId: await advance(sessionId) } : { type: 'fenced' }
}
