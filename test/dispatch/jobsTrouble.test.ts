import { expect, onTestFinished, test } from 'vitest'
import { openDatabase } from '../../src/db/client.ts'
import { postgres } from '../../src/config.ts'
import { step, Workflow } from '../../src/index.ts'
import { createKernOn } from '../../src/kern.ts'
import { createLog } from '../../src/log.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { freshPostgres } from '../support/databases.ts'
import { type KernSettings, startKern } from '../support/kerns.ts'
import { startProxy, type Proxy } from '../support/proxy.ts'

/** Nobody looks at the rows by itself, and nobody is told of anything: what comes about comes about by jobs. */
const BY_JOBS_ALONE = { pollMs: 3_600_000, hints: false } satisfies KernSettings
/** Statements that are not answered end after 4.5 seconds. */
const LONG = { timeout: 40_000 }

const quick = new Workflow({ name: 'Quick', steps: [step({ name: 'only', run: () => 'done' })] })

/** A worker whose database can be taken away, and a process that accepts and has its own way to the database. */
async function startBoth() {
  const direct = await freshPostgres()
  if (direct.kind !== 'postgres') throw new Error('it is a server')
  const url = new URL(direct.url)
  const proxy = await startProxy({ host: url.hostname, port: Number(url.port || 5432) })
  url.host = `127.0.0.1:${proxy.port}`
  const far = await openDatabase(postgres(url.href))
  const near = await openDatabase(direct)
  onTestFinished(async () => {
    await Promise.all([far.close(), near.close()])
    await proxy[Symbol.asyncDispose]()
  })
  const api = await startKern(near, [quick], { ...BY_JOBS_ALONE, role: 'api' })
  // Its rows are read by the other one: its own connections may be of no use when the test is over.
  const worker = await createKernOn(far, { workflows: [quick], log: createLog({ level: 'warn' }) }, BY_JOBS_ALONE)
  onTestFinished(() => worker.close())
  return { proxy, api, worker }
}

const OUTAGES = [
  {
    how: 'refuses connections',
    begin(proxy: Proxy) {
      proxy.refuse(true)
      proxy.reset()
    },
    end: (proxy: Proxy) => proxy.refuse(false),
  },
  {
    how: 'answers nothing any more',
    begin: (proxy: Proxy) => proxy.blackhole(),
    end(proxy: Proxy) {
      proxy.restore()
      // Connections that hang would each be found out only when they are used.
      proxy.reset()
    },
  },
]

test.each(OUTAGES)(
  'jobs are fetched again after a time in which the database $how',
  { timeout: 90_000 },
  async (outage) => {
    const { proxy, api } = await startBoth()
    outage.begin(proxy)
    const run = await api.commands.runWorkflow(SYSTEM_VIEWER, { workflowId: 'quick' })
    const before = proxy.accepted
    // It tries to connect again, more than once.
    await expect.poll(() => proxy.accepted, LONG).toBeGreaterThan(before + 2)
    expect((await api.getRun(run.runId))?.status).toBe('QUEUED')
    outage.end(proxy)
    await expect.poll(async () => (await api.getRun(run.runId))?.status, LONG).toBe('COMPLETED')
  },
)

test('a process ends in time while its database answers nothing', { timeout: 90_000 }, async () => {
  const { proxy, worker } = await startBoth()
  proxy.blackhole()
  await worker.close()
  proxy.restore()
  proxy.reset()
})
