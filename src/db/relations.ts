import { defineRelations } from 'drizzle-orm'
import { runEvents, runPayloads, runs, sessions, stepResults, workers } from './tables.ts'

/** How the tables hang together, for `db.query`. */
export const relations = defineRelations({ sessions, runs, runPayloads, stepResults, runEvents, workers }, (r) => ({
  sessions: {
    runs: r.many.runs({ from: r.sessions.sessionId, to: r.runs.sessionId }),
  },
  runs: {
    session: r.one.sessions({ from: r.runs.sessionId, to: r.sessions.sessionId, optional: false }),
    payload: r.one.runPayloads({ from: r.runs.runId, to: r.runPayloads.runId }),
    steps: r.many.stepResults({ from: r.runs.runId, to: r.stepResults.runId }),
    events: r.many.runEvents({ from: r.runs.runId, to: r.runEvents.runId }),
  },
  runPayloads: {
    run: r.one.runs({ from: r.runPayloads.runId, to: r.runs.runId, optional: false }),
  },
  stepResults: {
    run: r.one.runs({ from: r.stepResults.runId, to: r.runs.runId, optional: false }),
  },
  runEvents: {
    run: r.one.runs({ from: r.runEvents.runId, to: r.runs.runId, optional: false }),
  },
}))

export type Relations = typeof relations
