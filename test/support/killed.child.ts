import { appendFileSync, openAsBlob } from 'node:fs'
import { Workflow } from '../../src/author.ts'
import { pglite, postgres } from '../../src/config.ts'
import { openDatabase } from '../../src/db/client.ts'
import { encodeEventCursor } from '../../src/engine/cursor.ts'
import { createKernOn } from '../../src/kern.ts'
import { createLog } from '../../src/log.ts'
import { createReaderFor } from '../../src/store/reader.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import type { StepContext } from '../../src/workflow/context.ts'
import { step } from '../../src/workflow/step.ts'

/** What a process that is to die is told, as the JSON text of its one argument. */
export interface Order {
  /** The folder of an embedded database, or the URL of a server. */
  readonly database: string
  /** The dump from which the folder is made; null if it is there. */
  readonly image: string | null
  readonly sessionId: string
  /** Where the bodies write down that they ran, one line each: `<step> <attempt>`. */
  readonly effects: string
  /** When to die: at an event, such as `STEP_COMPLETED one`, or inside a body, as `body one`. */
  readonly dieAt: string
  /** The step that does not end, so that the run is not over before the process dies. */
  readonly hangs?: string
}

/** Three steps, each adding to the state. */
export function durable({ effects, dieAt, hangs }: Pick<Order, 'effects' | 'hangs'> & { dieAt?: string }): Workflow {
  const body = (name: string) =>
    step(name, async ({ attempt, idempotencyKey, state, setState }: StepContext) => {
      appendFileSync(effects, `${name} ${attempt}\n`)
      if (dieAt === `body ${name}`) process.kill(process.pid, 'SIGKILL')
      if (hangs === name) await new Promise(() => {})
      setState({ [name]: Object.keys(state).length })
      return { name, idempotencyKey }
    })
  return new Workflow({ name: 'Durable', steps: [body('one'), body('two'), body('three')] })
}

async function main(order: Order): Promise<void> {
  const { database: place, image, sessionId, dieAt } = order
  const blob = image === null ? {} : { image: await openAsBlob(image), migrate: false }
  const url = place.startsWith('postgres') ? postgres(place) : pglite(place)
  const database = await openDatabase(url, blob)
  const reader = createReaderFor(database.db)(SYSTEM_VIEWER)
  const page = { limit: 1, fromEnd: false, after: null, before: null }
  const { items } = await reader.runPage({ sessionId }, { field: 'CREATED_AT', direction: 'ASC' }, page)
  const options = { workflows: [durable(order)], log: createLog({ level: 'silent' }) }
  const kern = await createKernOn(database, options, { leaseMs: 300, pollMs: 20 })
  const earlier = items[0]?.item
  const started = { workflowId: 'durable', sessionId, sessionState: { zero: 0 }, input: 'in' }
  const run = earlier ?? (await kern.commands.runWorkflow(SYSTEM_VIEWER, started))
  const after = earlier ? encodeEventCursor({ runId: run.runId, seq: run.lastSeq }) : null
  for await (const { type, stepPath } of await kern.streams.run(SYSTEM_VIEWER, { runId: run.runId, after })) {
    if (`${type} ${stepPath}` === dieAt || type === dieAt) process.kill(process.pid, 'SIGKILL')
  }
  throw new Error(`the run ended before ${dieAt}`)
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? '{}'))
