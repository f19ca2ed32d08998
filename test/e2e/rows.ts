import type { Db } from '../../src/db/client.ts'
import { runs, sessions } from '../../src/db/tables.ts'

type SessionRow = typeof sessions.$inferInsert
type RunRow = typeof runs.$inferInsert

export const AT = new Date('2024-11-19T14:30:00.123Z')

export const later = (ms: number): Date => new Date(AT.getTime() + ms)

/** The id of a run that ends in this number. */
export const runIdOf = (n: number): string => `01934567-89ab-7def-8123-${String(n).padStart(12, '0')}`

/** Writes sessions as they might have been left by somebody else: nothing is checked, nothing is run. */
export async function insertSessions(
  db: Db,
  rows: readonly (Partial<SessionRow> & { sessionId: string })[],
): Promise<void> {
  const common = {
    workflowId: 'echo',
    workflowName: 'Echo',
    displayName: 'New Echo session',
    state: '{}',
    workflowVersion: 'v',
    tags: [],
    createdAt: AT,
    updatedAt: AT,
  }
  await db.insert(sessions).values(rows.map((row) => ({ ...common, ...row })))
}

/** Writes runs in the same way. A final one has ended unless its row says otherwise. */
export async function insertRuns(
  db: Db,
  rows: readonly (Partial<RunRow> & { runId: string; sessionId: string; number: number })[],
): Promise<void> {
  const common = {
    workflowId: 'echo',
    workflowName: 'Echo',
    workflowVersion: 'v',
    status: 'COMPLETED' as const,
    inputPreview: '',
    historyRunIds: [],
    tags: [],
    createdAt: AT,
    startedAt: AT,
    completedAt: AT,
    durationMs: 0,
  }
  await db.insert(runs).values(rows.map((row) => ({ ...common, ...row })))
}
