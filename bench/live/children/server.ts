import { createSchema } from '../../../schema/index.ts'
import { postgres } from '../../../src/config.ts'
import { openDatabase } from '../../../src/db/client.ts'
import { createKernOn } from '../../../src/kern.ts'
import { createLog } from '../../../src/log.ts'
import { createServer } from '../../../src/server/server.ts'
import { SYSTEM_VIEWER } from '../../../src/viewer.ts'
import { answerParent } from '../../process.ts'
import { createTicker, waitingWorkflow } from '../kernTicks.ts'
import type { Published, ServerOrder, Usage } from '../ticks.ts'
import { watchUsage } from '../usage.ts'

/** A process with a Kern and its server. Arguments: its database; its role. Says where it is. */

export type KernOrder =
  | ServerOrder
  /** Starts runs and answers with their ids when all of them wait: for a burst, or for a person. */
  | { readonly type: 'start'; readonly runs: number; readonly waitingFor: 'burst' | 'person' }
  /** Ends all runs that wait for a burst, and answers when nothing is executed here. */
  | { readonly type: 'end' }

const MAX_RUNS = 1_100
const STARTED_AT_ONCE = 50

const [url = '', role] = process.argv.slice(2)
const ticker = createTicker()
await using database = await openDatabase(postgres(url))
const kern = await createKernOn(
  database,
  {
    workflows: [ticker.workflow, waitingWorkflow],
    role: role === 'api' ? 'api' : 'all',
    concurrency: MAX_RUNS,
    drainMs: 100,
  },
  { tamper: ticker.tamper },
)
const { commands, workflows, streams, readerFor, health } = kern
const server = createServer({
  parts: { commands, workflows, streams, readerFor, health },
  schema: createSchema(),
  log: createLog({ level: 'error' }),
  options: { port: 0 },
})
await server.listen()
const usage = watchUsage()

async function start(runs: number, workflowId: string): Promise<readonly string[]> {
  const runIds: string[] = []
  while (runIds.length < runs) {
    const some = Math.min(STARTED_AT_ONCE, runs - runIds.length)
    const request = { workflowId, input: {} }
    const started = Array.from({ length: some }, () => commands.runWorkflow(SYSTEM_VIEWER, request))
    for (const { runId } of await Promise.all(started)) runIds.push(runId)
  }
  return runIds
}

async function answer(order: KernOrder): Promise<Usage | Published | readonly string[] | null> {
  switch (order.type) {
    case 'usage':
      return await usage(order.settled ?? false)
    case 'burst':
      return await ticker.burst(order)
    case 'start': {
      const forBurst = order.waitingFor === 'burst'
      const workflow = forBurst ? ticker.workflow : waitingWorkflow
      const runIds = await start(order.runs, workflow.definition.id)
      if (forBurst) await ticker.waiting(order.runs)
      else await kern.idle()
      return runIds
    }
    case 'end':
      ticker.end()
      await kern.idle()
      return null
  }
}

await answerParent(`${server.url}/graphql`, answer)
ticker.end()
await server.close()
await kern.close()
