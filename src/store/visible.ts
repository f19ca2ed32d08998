import { type SQL, sql } from 'drizzle-orm'
import type { Viewer } from '../viewer.ts'

/*
 * The one place that says what a viewer may see. Every query of the reader asks here, so a wall that is put up here
 * stands everywhere. For now everyone sees everything.
 */

/** The sessions that the viewer may see, as a condition on `kern.sessions`. */
export function visibleSessions(_viewer: Viewer): SQL {
  return sql`true`
}

/** The runs that the viewer may see, with their steps and events, as a condition on `kern.runs`. */
export function visibleRuns(_viewer: Viewer): SQL {
  return sql`true`
}
