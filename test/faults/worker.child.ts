import { openAsBlob } from 'node:fs'
import { pglite, postgres } from '../../src/config.ts'
import { openDatabase } from '../../src/db/client.ts'
import { isKernError } from '../../src/errors.ts'
import { createKernOn, type Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { type EffectLog, effectLog, watchingLog } from './effects.ts'
import { createReach, type Fault, faulty } from './hooks.ts'
import { faultyWorkflows } from './workflows.ts'

/** A run to start. A request that is made again has the same key. */
export interface Request {
  readonly key: string
  readonly workflowId: string
  readonly sessionId: string
  readonly input?: string
}

/** What a process is to do. It is told by a message, so that it can be started long before. */
export interface Order {
  /** The folder of an embedded database, or the URL of a server. */
  readonly database: string
  /** The dump from which the folder is made; null if it is there. */
  readonly image: string | null
  /** The log of effects. */
  readonly effects: string
  readonly faults: readonly Fault[]
  readonly requests: readonly Request[]
  /** How many requests are under way at the same time. @default 8 */
  readonly inFlight?: number
  /** Runs at once; 0 for none. @default 20 */
  readonly concurrency?: number
  /** In milliseconds. @default 1_000 */
  readonly leaseMs?: number
  /** In milliseconds. @default 200 */
  readonly heartbeatMs?: number
  /** In milliseconds. @default 100 */
  readonly pollMs?: number
  /** How long the bodies of the workflow `slow` take, in milliseconds. @default 0 */
  readonly slowMs?: number
  /** How many deaths a run survives. @default 1_000_000 */
  readonly maxDeaths?: number
}

/** What a process says. */
export type Report = 'ready' | 'serving' | 'accepted'

function tell(report: Report): void {
  process.send?.(report)
}

/** @returns what ends it properly */
async function serve(order: Order): Promise<() => Promise<void>> {
  const { database: place, image, faults, slowMs = 0, concurrency = 20 } = order
  const log = effectLog(order.effects)
  // Whoever made the database has migrated it, and the migrations are not beside this file when it is bundled.
  const blob = { migrate: false, ...(image === null ? {} : { image: await openAsBlob(image) }) }
  const database = await openDatabase(
    place.startsWith('postgres') ? postgres(place, { maxConnections: 4 }) : pglite(place),
    blob,
  )
  const reach = createReach(faults)
  const workflows = faultyWorkflows({ log, reach, slowMs })
  const { leaseMs = 1_000, heartbeatMs = 200, pollMs = 100, maxDeaths = 1_000_000 } = order
  const pace = { leaseMs, heartbeatMs, pollMs, maxDeaths, parkMs: 10, tamper: faulty(reach) }
  const options = { workflows, log: watchingLog(log), concurrency, graceMs: 1_000, drainMs: 5_000 }
  const kern = await createKernOn(database, options, pace)
  tell('serving')
  await start(kern, order, log)
  tell('accepted')
  return async () => {
    await kern.close()
    await database.close()
  }
}

/** Starts all runs, some at a time, and notes whatever a caller would have been told. */
async function start(kern: Kern, { requests, inFlight = 8 }: Order, log: EffectLog): Promise<void> {
  const queue = [...requests]
  const caller = async () => {
    for (let request = queue.shift(); request; request = queue.shift()) {
      const { key, ...rest } = request
      try {
        const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { ...rest, idempotencyKey: key })
        log({ type: 'acknowledged', request: key, runId })
      } catch (error) {
        if (!isKernError(error, 'UNAVAILABLE')) throw error
        queue.push(request)
      }
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
}

let serving: Promise<() => Promise<void>> | undefined

async function heed(message: Order | 'close'): Promise<void> {
  try {
    if (message !== 'close') {
      serving = serve(message)
      await serving
    } else {
      const close = await serving
      await close?.()
      process.exit(0)
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.exit(1)
  }
}

if (process.send) {
  process.on('message', (message: 'close' | Order) => void heed(message))
  // Whoever started this process is gone.
  process.once('disconnect', () => process.exit(1))
  tell('ready')
}
