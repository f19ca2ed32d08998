import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { eventsOf, startKern } from '../support/kerns.ts'
import { type Statement, watchStatements } from '../support/statements.ts'

/** What Drizzle throws when the driver did: the statement in its message, and the driver's error as its cause. */
function failed(code: string): Error {
  const cause = Object.assign(new Error('server closed the connection unexpectedly'), { code })
  return new Error('Failed query: select "secret" from "kern"."runs"\nparams: hunter2', { cause })
}

/** Reads completed runs of a session for history, and nothing else does. */
const readsHistory = ({ text }: Statement) => text.includes('"run_payloads"') && text.includes('"number" desc')

/** Lets the next statement of a kind fail, once. */
function failOnce(database: Database, hit: (statement: Statement) => boolean) {
  let hits = 0
  const unwatch = watchStatements(database, (statement) => {
    if (hits > 0 || !hit(statement)) return
    hits += 1
    throw failed('08006')
  })
  return { hits: () => hits, unwatch }
}

async function finished(kern: Kern, runId: string) {
  for await (const _event of await kern.streams.run(SYSTEM_VIEWER, { runId }));
  return await kern.getRun(runId)
}

const past = step('past', async ({ history }: StepContext) => (await history.get(5)).length)
const given = step('given', ({ history }: StepContext) => history.runs.length)

onEachDatabase((_name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  describe('a connection that breaks while history is read', () => {
    test.each([
      ['at the start of a run', new Workflow({ name: 'Given', steps: [given], addWorkflowHistoryToSteps: true })],
      ['by a step of its own accord', new Workflow({ name: 'Asked', steps: [past] })],
    ] as const)('%s fails neither run nor step: the run goes on later', async (_title, workflow) => {
      const kern = await startKern(database, [workflow], { pollMs: 20 })
      const sessionId = newId()
      const request = { workflowId: workflow.id, sessionId }
      const first = await kern.commands.runWorkflow(SYSTEM_VIEWER, { ...request, waitMs: 20_000 })
      expect(first.status).toBe('COMPLETED')
      const { hits, unwatch } = failOnce(database, readsHistory)
      const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, request)
      const run = await finished(kern, runId)
      unwatch()
      expect(hits()).toBe(1)
      expect(run).toMatchObject({ status: 'COMPLETED', output: 1, error: null })
      const kept = JSON.stringify([run, await eventsOf(kern, runId)])
      expect(kept).not.toContain('Failed query')
      expect(kept).not.toContain('hunter2')
    })
  })

  describe('the error of a read that failed', () => {
    test.each([
      ['that may work later is UNAVAILABLE', '08006', 'UNAVAILABLE'],
      ['that never will is INTERNAL', '42P01', 'INTERNAL'],
    ])('%s, and tells neither statement nor values', async (_title, state, code) => {
      const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
      const runId = newId()
      const page = { limit: 1, fromEnd: false, after: null, before: null }
      const reads = [
        () => reader.runs([runId]),
        () => reader.steps([runId]),
        () => reader.sessions(['s']),
        () => reader.events(runId, { afterSeq: 0, limit: 1, types: null }),
        () => reader.completedRuns('s', null, 1),
        () => reader.sessionPage({}, { field: 'NAME', direction: 'ASC' }, page),
        () => reader.liveRuns({ workflowId: 'w' }, new Date()),
      ]
      const unwatch = watchStatements(database, () => {
        throw failed(state)
      })
      for (const read of reads) {
        const error: unknown = await read().catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ name: 'KernError', code, message: expect.stringContaining(state) })
        expect(String(error)).not.toMatch(/Failed query|select|hunter2/)
      }
      unwatch()
    })
  })
})
