import { eq } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { sessions } from '../db/tables.ts'
import { transaction } from '../db/transaction.ts'
import type { CommandStore, SessionChange, UpdateOutcome } from '../engine/commands/commandStore.ts'
import { jsonText } from '../json.ts'
import { accept } from './accept.ts'
import { createOwnTransactions, type OwnTransactions } from './ownTransaction.ts'
import { answer } from './answer.ts'
import { cancel } from './cancel.ts'
import { type HandOver, NO_HAND_OVER } from './handOver.ts'
import { sessionColumns, type SessionRow, sessionOf, sessionValues } from './rows.ts'
import { giveTurn, lockSession } from './turns.ts'

/** The transactions behind the commands. */
export function createCommandStore(
  db: Db,
  { acceptIn }: Pick<OwnTransactions, 'acceptIn'> = createOwnTransactions(db),
  handOver: HandOver = NO_HAND_OVER,
): CommandStore {
  return {
    accept: (run) => accept(db, run, handOver),
    acceptIn,
    cancel: (runId, reason, at) => cancel(db, { runId, reason, at }, handOver),
    answer: (request) => answer(db, request, handOver),

    createSession: (session) =>
      transaction(db, async (tx) => {
        const [created] = await tx
          .insert(sessions)
          .values(sessionValues(session))
          .onConflictDoNothing()
          .returning(sessionColumns)
        if (created) return { created: true, session: sessionOf(created) }
        const [present] = await tx
          .select(sessionColumns)
          .from(sessions)
          .where(eq(sessions.sessionId, session.sessionId))
        if (present) return { created: false, session: sessionOf(present) }
        // It was deleted between the two statements; the caller's own attempt decides.
        const [second] = await tx.insert(sessions).values(sessionValues(session)).returning(sessionColumns)
        if (!second) throw new Error('an insert without a conflict returned no row')
        return { created: true, session: sessionOf(second) }
      }),

    nameSession: (sessionId, name, nameSource, at) =>
      transaction(db, async (tx) => {
        const [named] = await tx
          .update(sessions)
          .set({ name, nameSource, displayName: name, updatedAt: at })
          .where(eq(sessions.sessionId, sessionId))
          .returning(sessionColumns)
        return named ? sessionOf(named) : null
      }),

    updateSession: (sessionId, change) =>
      transaction(db, async (tx): Promise<UpdateOutcome> => {
        const row = await lockSession(tx, sessionId)
        if (!row) return { type: 'not-found' }
        const session = sessionOf(row)
        const { expectedStateVersion, state } = change
        if (expectedStateVersion !== undefined && expectedStateVersion !== session.stateVersion)
          return { type: 'version-conflict', session }
        const busy = state === undefined ? null : await giveTurn(tx, row)
        if (busy !== null) return { type: 'busy', runId: busy, session }
        const [updated] = await tx
          .update(sessions)
          .set(changedValues(row, change))
          .where(eq(sessions.sessionId, sessionId))
          .returning(sessionColumns)
        return updated ? { type: 'updated', session: sessionOf(updated) } : { type: 'not-found' }
      }),

    deleteSession: (sessionId) =>
      transaction(db, async (tx) => {
        const row = await lockSession(tx, sessionId)
        if (!row) return 'not-found'
        const activeRunId = await giveTurn(tx, row)
        if (activeRunId !== null) return { activeRunId }
        await tx.delete(sessions).where(eq(sessions.sessionId, sessionId))
        return 'deleted'
      }),
  }
}

function changedValues({ stateVersion }: SessionRow, { state, metadata, tags, at }: SessionChange) {
  return {
    ...(state === undefined ? {} : { state: jsonText(state), stateVersion: stateVersion + 1 }),
    ...(metadata === undefined ? {} : { metadata: metadata === null ? null : jsonText(metadata) }),
    ...(tags === undefined ? {} : { tags: [...tags] }),
    updatedAt: at,
  }
}
