import postgres from 'postgres'
import { newId } from '../src/ids.ts'
import { type Contender, CONNECTIONS, STEPS } from './contender.ts'
import {
  ACCEPT,
  acceptColumns,
  END,
  endColumns,
  type FloorRun,
  type FloorStep,
  LAST,
  STEP,
  stepColumns,
} from './floorRows.ts'

/*
 * The least that any engine does which records each step before the next one starts: the rows of a run, in the tables of
 * Kern, written by bare postgres.js. No queue, no reading, no events between processes, no fence, no checks.
 */

const LAST_POSITION = STEPS - 1

/** A statement with its parameters. */
type Write = readonly [text: string, parameters: string[]]

/** Plans are made once, and as for full tables: not anew each time, and not for tables that were still empty. */
const PLANNING = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
}

function connect(url: string, max: number): postgres.Sql {
  return postgres(url, { max, onnotice: () => undefined, connection: PLANNING, fetch_types: false })
}

/** Each write at once, in a transaction of its own: one statement, one round trip, one commit. */
export function oneCommitEach(url: string): Contender {
  const sql = connect(url, CONNECTIONS)
  const write = (text: string, parameters: string[]) => sql.unsafe(text, parameters, { prepare: true })
  return {
    title: 'floor, one commit each',
    async run() {
      const run = { runId: newId(), sessionId: newId() }
      await write(ACCEPT, acceptColumns([run]))
      for (let position = 0; position < LAST_POSITION; position += 1) {
        await write(STEP, stepColumns([{ ...run, position }]))
      }
      await write(LAST, [...stepColumns([{ ...run, position: LAST_POSITION }]), ...endColumns([run])])
    },
    [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }),
  }
}

/**
 * The same rows, but what runs hand over while a commit is on its way goes into the next one together: up to three
 * statements with many rows each, in one transaction and one round trip.
 */
export function groupedCommits(url: string): Contender {
  const sql = connect(url, 1)
  let waiting = emptyBatch()
  let flushing = false

  async function flushAll(): Promise<void> {
    // What is handed over in this turn of the event loop goes together.
    await Promise.resolve()
    while (waiting.over.length > 0) {
      const batch = waiting
      waiting = emptyBatch()
      await commit(sql, writesOf(batch)).then(
        () => batch.over.forEach(({ resolve }) => resolve()),
        (error: unknown) => batch.over.forEach(({ reject }) => reject(error)),
      )
    }
    flushing = false
  }

  function handOver(add: (batch: Batch) => void): Promise<void> {
    const over = Promise.withResolvers<void>()
    add(waiting)
    waiting.over.push(over)
    if (!flushing) {
      flushing = true
      void flushAll()
    }
    return over.promise
  }

  return {
    title: 'floor, grouped commits',
    async run() {
      const run = { runId: newId(), sessionId: newId() }
      await handOver(({ accepted }) => accepted.push(run))
      for (let position = 0; position < STEPS; position += 1) {
        await handOver(({ steps, ends }) => {
          steps.push({ ...run, position })
          if (position === LAST_POSITION) ends.push(run)
        })
      }
    },
    [Symbol.asyncDispose]: () => sql.end({ timeout: 5 }),
  }
}

/** What was handed over since the last flush. */
interface Batch {
  readonly accepted: FloorRun[]
  readonly steps: FloorStep[]
  readonly ends: FloorRun[]
  readonly over: PromiseWithResolvers<void>[]
}

function emptyBatch(): Batch {
  return { accepted: [], steps: [], ends: [], over: [] }
}

function writesOf({ accepted, steps, ends }: Batch): Write[] {
  const writes: Write[] = []
  if (accepted.length > 0) writes.push([ACCEPT, acceptColumns(accepted)])
  if (steps.length > 0) writes.push([STEP, stepColumns(steps)])
  if (ends.length > 0) writes.push([END, endColumns(ends)])
  return writes
}

/** One statement is a transaction by itself; more are sent one behind the other, without waiting between them. */
async function commit(sql: postgres.Sql, writes: readonly Write[]): Promise<void> {
  const all: readonly Write[] = writes.length === 1 ? writes : [['begin', []], ...writes, ['commit', []]]
  await Promise.all(all.map(([text, parameters]) => sql.unsafe(text, parameters, { prepare: true }).execute()))
}
