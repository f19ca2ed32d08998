import type { RunFilter, SessionFilter } from '../src/engine/reader.ts'
import { isUuid } from '../src/ids.ts'
import type { Builder } from './builder.ts'
import type { RunFilterInput, SessionFilterInput } from './models.ts'

/** False for null and undefined, which both mean "not given" in an argument. */
export function isGiven<Value>(value: Value | null | undefined): value is Value {
  return value !== null && value !== undefined
}

/** Of what a list is part. */
export interface Within {
  readonly workflowId?: string | undefined
  readonly sessionId?: string | undefined
}

/**
 * Reads a filter of sessions. Null and an empty list mean "any".
 *
 * @returns null if nothing can match: another workflow than the one around
 */
export function sessionFilter(
  given: SessionFilterInput | null | undefined,
  within: Pick<Within, 'workflowId'> = {},
): SessionFilter | null {
  const { search, workflowId, userId, tags, createdAt, updatedAt } = given ?? {}
  if (contradicts(workflowId, within.workflowId)) return null
  return {
    search: search ?? null,
    workflowId: within.workflowId ?? workflowId ?? null,
    userId: userId ?? null,
    tags: tags?.length ? tags : null,
    createdAt: createdAt ? { from: createdAt.from ?? null, to: createdAt.to ?? null } : null,
    updatedAt: updatedAt ? { from: updatedAt.from ?? null, to: updatedAt.to ?? null } : null,
  }
}

/**
 * Reads a filter of runs. Null and an empty list mean "any".
 *
 * @returns null if nothing can match: another session or workflow than the one around, or a malformed run id
 */
export function runFilter(given: RunFilterInput | null | undefined, within: Within = {}): RunFilter | null {
  const { sessionId, workflowId, statuses, tags, createdAt, retryOf } = given ?? {}
  if (contradicts(workflowId, within.workflowId) || contradicts(sessionId, within.sessionId)) return null
  if (isGiven(retryOf) && !isUuid(retryOf)) return null
  return {
    sessionId: within.sessionId ?? sessionId ?? null,
    workflowId: within.workflowId ?? workflowId ?? null,
    statuses: statuses?.length ? statuses : null,
    tags: tags?.length ? tags : null,
    createdAt: createdAt ? { from: createdAt.from ?? null, to: createdAt.to ?? null } : null,
    retryOf: retryOf ?? null,
  }
}

function contradicts(given: string | null | undefined, around: string | undefined): boolean {
  return isGiven(given) && around !== undefined && given !== around
}

/** Adds the inputs of lists: filters and orders. */
export function addFilters(builder: Builder): void {
  builder.inputType('DateTimeRange', {
    description: 'A range of time.',
    fields: (t) => ({
      from: t.field({ type: 'DateTime', description: 'The first moment of the range. Null: no start.' }),
      to: t.field({ type: 'DateTime', description: 'The first moment after the range. Null: no end.' }),
    }),
  })
  builder.inputType('SessionFilter', {
    description: 'Which sessions a list holds. All conditions must hold.',
    fields: (t) => ({
      search: t.string({ description: 'Part of the display name or of the session id, in any case. Null: any.' }),
      workflowId: t.string({ description: 'The workflow that the session belongs to. Null: any.' }),
      userId: t.string({ description: 'The owner. Null: any.' }),
      tags: t.stringList({ description: 'Tags that must all be there. Null or empty: any.' }),
      createdAt: t.field({ type: 'DateTimeRange', description: 'When the session was created. Null: any time.' }),
      updatedAt: t.field({
        type: 'DateTimeRange',
        description:
          'When a run was accepted in the session, or its name, state, metadata or tags changed last. Null: any time.',
      }),
    }),
  })
  builder.inputType('RunFilter', {
    description: 'Which runs a list holds. All conditions must hold.',
    fields: (t) => ({
      sessionId: t.string({ description: 'The session that the run belongs to. Null: any.' }),
      workflowId: t.string({ description: 'The workflow that was run. Null: any.' }),
      statuses: t.field({
        type: ['RunStatus'],
        description: 'Statuses, one of which the run has. Null or empty: any.',
      }),
      tags: t.stringList({ description: 'Tags that must all be there. Null or empty: any.' }),
      createdAt: t.field({ type: 'DateTimeRange', description: 'When the run was accepted. Null: any time.' }),
      retryOf: t.string({ description: 'The runId of the run that it was forked from. Null: any, or none.' }),
    }),
  })
  addOrders(builder)
}

function addOrders(builder: Builder): void {
  builder.inputType('SessionOrder', {
    description: 'The order of sessions. Equal ones are ordered by their session ids.',
    fields: (t) => ({
      field: t.field({ type: 'SessionOrderField', required: true, description: 'What to order by.' }),
      direction: t.field({ type: 'OrderDirection', required: true, description: 'Which end comes first.' }),
    }),
  })
  builder.inputType('RunOrder', {
    description: 'The order of runs. Equal ones are ordered by their run ids.',
    fields: (t) => ({
      field: t.field({ type: 'RunOrderField', required: true, description: 'What to order by.' }),
      direction: t.field({ type: 'OrderDirection', required: true, description: 'Which end comes first.' }),
    }),
  })
}
