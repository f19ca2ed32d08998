import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { expect, onTestFinished } from 'vitest'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import { asKernError } from '../../src/db/errors.ts'
import { postgres } from '../../src/config.ts'
import { isKernError } from '../../src/errors.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'
import { defineWorkflow } from '../../src/workflow/workflow.ts'

const STEPS = ['one', 'two', 'three'] as const

/** What a run of the load counts into the state of its session. */
interface Counted {
  readonly count?: number
}

const counting = (name: string) =>
  step(name, async ({ state, setState }: StepContext) => {
    const { count = 0 }: Counted = state
    setState({ count: count + 1 })
    return { name, count }
  })

/** Three steps that each count in the state: a step that is lost, or recorded twice, changes the sum. */
export const LOAD = { definition: defineWorkflow({ name: 'Load', steps: STEPS.map(counting) }) }

/** Runs that are started without end, as a good client does it: with a key, and again where the answer was "later". */
export interface Load {
  /** How many runs were accepted so far. */
  accepted(): number
  /** How many starts were answered by UNAVAILABLE so far. */
  unavailable(): number
  /** Starts no more, waits until all that was accepted is over, and checks every row of it. */
  finish(): Promise<void>
}

export interface LoadOptions {
  readonly sessions?: number
  /** Starts at the same time. */
  readonly clients?: number
  /** Runs altogether. @default without end */
  readonly runs?: number
}

/** @param observer the same database, by a way that has no fault */
export function startLoad(kern: Kern, observer: Database, options: LoadOptions = {}): Load {
  const { sessions = 6, clients = 6, runs = Number.POSITIVE_INFINITY } = options
  let next = 0
  let accepted = 0
  let unavailable = 0
  let over = false

  async function start(number: number): Promise<void> {
    const request = {
      workflowId: LOAD.definition.id,
      sessionId: `load-${number % sessions}`,
      idempotencyKey: `key-${number}`,
      input: number,
    }
    for (;;) {
      try {
        await kern.commands.runWorkflow(SYSTEM_VIEWER, request)
        accepted++
        // Every run is checked at the end: some hundreds are enough.
        return await pause(25)
      } catch (error) {
        // What a step or the store throws on its way may be of the driver: a client sees what it is told.
        if (!isKernError(asKernError(error), 'UNAVAILABLE')) throw error
        unavailable++
        await pause(20)
      }
    }
  }

  async function client(): Promise<void> {
    while (!over && next < runs) await start(next++)
  }

  const working = Promise.all(Array.from({ length: clients }, client))
  working.catch(() => {})
  onTestFinished(() => {
    over = true
  })
  return {
    accepted: () => accepted,
    unavailable: () => unavailable,
    async finish() {
      if (runs === Number.POSITIVE_INFINITY) over = true
      await working
      await expectAllDone(observer, next)
    },
  }
}

/** How long the load may take to end after a fault, longer than the lease: a loaded machine is slow. */
const LONG = { timeout: 45_000, interval: 100 }

/** Every run of the load came to its end, once, with all that belongs to it. */
async function expectAllDone({ db }: Database, runs: number): Promise<void> {
  const open = sql`select count(*)::int as n from kern.runs where completed_at is null`
  await expect.poll(async () => (await rows<{ n: number }>(db, open))[0]?.n, LONG).toBe(0)
  const statuses = sql`select status, count(*)::int as n, count(distinct idempotency_key)::int as keys
    from kern.runs group by status`
  expect(await rows(db, statuses)).toEqual([{ status: 'COMPLETED', n: runs, keys: runs }])
  const steps = sql`select path, status, count(*)::int as n from kern.step_results group by 1, 2 order by 1`
  const each = [...STEPS].sort().map((path) => ({ path, status: 'COMPLETED', n: runs }))
  expect(await rows(db, steps)).toEqual(each)
  const faults = sql`select run_id from kern.events group by run_id
    having min(seq) <> 1 or max(seq) <> count(*) or count(distinct seq) <> count(*)
      or count(*) filter (where type in ('RUN_COMPLETED', 'RUN_FAILED', 'RUN_CANCELLED')) <> 1`
  expect(await rows(db, faults)).toEqual([])
  const sums = sql`select s.session_id, (s.state ->> 'count')::int as count, 3 * count(*)::int as expected
    from kern.sessions s join kern.runs r using (session_id) group by s.session_id, s.state::text, s.state ->> 'count'`
  for (const { count, expected } of await rows<{ count: number; expected: number }>(db, sums)) {
    expect(count).toBe(expected)
  }
}

/** The same database through another address, closed at the end of the test. */
export async function openAt(
  url: string,
  { port, maxConnections, deadlineMs }: { port?: number; maxConnections?: number; deadlineMs?: number } = {},
): Promise<Database> {
  const address = new URL(url)
  if (port !== undefined) address.port = String(port)
  const database = await openDatabase(postgres(address.href, { maxConnections }), { deadlineMs })
  onTestFinished(() => database.close())
  return database
}

/** The connections that a process has beside those of the pool that all parts share: for journal, claims and heartbeats. */
export const OWN_CONNECTIONS = 5

/** How many connections a server has, to one database, as itself counts them, without the one that asks. */
export async function connectionsOf({ db }: Database): Promise<number> {
  const count = sql`select count(*)::int as n from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and application_name = 'kern'`
  const [found] = await rows<{ n: number }>(db, count)
  return found?.n ?? 0
}

/** Ends every connection to the database but the one that asks. */
export async function endConnections({ db }: Database): Promise<void> {
  await rows(
    db,
    sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`,
  )
}
