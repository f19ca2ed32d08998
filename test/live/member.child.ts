// Run as a process of its own: it serves, and executes runs, until it is killed.
import { postgres } from '../../src/config.ts'
import { createSchema } from '../../schema/index.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { openDatabase } from '../../src/db/client.ts'
import { createKernOn } from '../../src/kern.ts'
import { createLog } from '../../src/log.ts'
import { createServer } from '../../src/server/server.ts'
import { talkative } from './workflows.ts'

/** What a process is to do. It is told by a message, so that it can be started long before. */
export interface Order {
  /** The URL of a migrated database. */
  readonly database: string
  /** How many runs it executes at once; 0 for none. */
  readonly concurrency: number
  /** Whether it answers over HTTP. */
  readonly serves: boolean
  /** Whether processes tell each other of what they do. @default true */
  readonly hints?: boolean
  /** Whether it looks at rows by itself, although nobody told it to. @default true */
  readonly looks?: boolean
}

/** What a process says when it serves. */
export interface Serving {
  /** Where GraphQL is; null if it does not answer over HTTP. */
  readonly url: string | null
}

const NEVER_MS = 3_600_000
const LOOKS_MS: readonly number[] = [500, 1_000]

/** Waits for ever where a look at the rows is waited for. */
const blind: Clock = {
  now: systemClock.now,
  sleep: (ms, signal) => systemClock.sleep(LOOKS_MS.includes(ms) ? NEVER_MS : ms, signal),
  idle: (ms, signal) => systemClock.idle(LOOKS_MS.includes(ms) ? NEVER_MS : ms, signal),
}

async function serve({ database: url, concurrency, serves, hints = true, looks = true }: Order): Promise<Serving> {
  // Few connections: a server has a hundred, and there are several processes.
  // Whoever made the database has migrated it, and the migrations are not beside this file when it is bundled.
  const database = await openDatabase(postgres(url, { maxConnections: 2 }), { migrate: false })
  const log = createLog({ level: 'error', format: 'json', output: process.stderr })
  const role = concurrency > 0 ? 'all' : 'api'
  const clock = looks ? systemClock : blind
  const options = { workflows: talkative, concurrency, role, log, clock, graceMs: 1_000, drainMs: 0 } as const
  const pace = { leaseMs: 1_500, heartbeatMs: 300, pollMs: 100, maxDeaths: 1_000_000, hints, schedules: false }
  const kern = await createKernOn(database, options, pace)
  if (!serves) return { url: null }
  const { commands, workflows, streams, readerFor, health } = kern
  const parts = { commands, workflows, streams, readerFor, health }
  const server = createServer({ parts, schema: createSchema(), log, options: { port: 0 } })
  await server.listen()
  return { url: `${server.url}/graphql` }
}

async function heed(order: Order): Promise<void> {
  try {
    process.send?.(await serve(order))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.exit(1)
  }
}

process.once('message', (order: Order) => void heed(order))
// Whoever started this process is gone.
process.once('disconnect', () => process.exit(1))
