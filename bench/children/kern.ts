import { postgres } from '../../src/config.ts'
import { openDatabase } from '../../src/db/client.ts'
import { step, Workflow } from '../../src/index.ts'
import { createKernOn } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { STEPS } from '../contender.ts'
import { answerParent } from '../process.ts'
import { now } from '../statistics.ts'

/*
 * A process with a Kern that accepts or executes runs, or both. Arguments: its database; its role; how long its runs are its
 * own without a heartbeat, in milliseconds; and `hold` if a step of its runs is not to end.
 */

/** What it can be asked. */
export type KernOrder =
  /** Starts runs, and answers when all of them are in the step that does not end. */
  | { readonly type: 'hold'; readonly runs: number }
  /** Starts so many runs, one after the other, and follows each to its end. */
  | { readonly type: 'follow'; readonly runs: number }

/** Of one run that was followed, in milliseconds from the call on. */
export interface Followed {
  readonly accepted: number
  /** When its first step began, in whatever process. */
  readonly began: number
  /** When the end was told here. */
  readonly told: number
}

const [url = '', role, leaseMs = '', hold] = process.argv.slice(2)
const held = { count: 0, wanted: Infinity, reached: () => {} }

function holding(): Promise<void> {
  if (hold !== 'hold') return Promise.resolve()
  held.count += 1
  if (held.count >= held.wanted) held.reached()
  return new Promise(() => {})
}

const steps = Array.from({ length: STEPS }, (_, index) =>
  step({
    name: `step-${index + 1}`,
    run: async ({ emit }) => {
      if (index === 0) emit('began', now())
      if (index === 2) await holding()
      return index
    },
  }),
)
const workflow = new Workflow({ name: 'Bench', steps })
await using database = await openDatabase(postgres(url))
const kern = await createKernOn(
  database,
  { workflows: [workflow], role: role === 'api' || role === 'worker' ? role : 'all' },
  { leaseMs: Number(leaseMs), heartbeatMs: Number(leaseMs) / 3 },
)

async function holdAll(runs: number): Promise<void> {
  const reached = new Promise<void>((resolve) => {
    Object.assign(held, { wanted: runs, reached: resolve })
  })
  const request = { workflowId: workflow.definition.id, input: {} }
  await Promise.all(Array.from({ length: runs }, () => kern.commands.runWorkflow(SYSTEM_VIEWER, request)))
  await reached
}

async function followOne(): Promise<Followed> {
  const called = now()
  const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: workflow.definition.id, input: {} })
  const accepted = now() - called
  let began = Number.NaN
  for await (const { type, name, data } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
    if (name === 'began') began = Number(data) - called
    if (type === 'RUN_FAILED' || type === 'RUN_CANCELLED') throw new Error(`run ${runId} ended with ${type}`)
  }
  return { accepted, began, told: now() - called }
}

await answerParent(null, async (order: KernOrder) => {
  if (order.type === 'hold') return await holdAll(order.runs)
  const all: Followed[] = []
  for (let i = 0; i < order.runs; i += 1) all.push(await followOne())
  return all
})
await kern.close()
