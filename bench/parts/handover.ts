import type { Followed, KernOrder } from '../children/kern.ts'
import { DEFAULT_LEASE_MS } from '../kern.ts'
import type { Server } from '../database.ts'
import type { Options } from '../options.ts'
import { type Child, startChild } from '../process.ts'
import { figure, printTable } from '../report.ts'
import { share } from '../statistics.ts'

/** Runs that one process accepts, which executes none, and another one executes. */
export async function measureHandover(server: Server, { smoke }: Options): Promise<void> {
  const lease = String(DEFAULT_LEASE_MS)
  const { url } = await server.database('handover')
  await using _worker: Child<null, KernOrder, unknown> = await startChild('children/kern.ts', [url, 'worker', lease])
  await using api: Child<null, KernOrder, Followed[]> = await startChild('children/kern.ts', [url, 'api', lease])
  const runs = smoke ? 3 : 300
  await api.ask({ type: 'follow', runs: Math.ceil(runs / 10) })
  const followed = await api.ask({ type: 'follow', runs })
  const row = (what: string, pick: (run: Followed) => number) => {
    const times = followed.map(pick)
    return [what, figure(share(times, 0.5), 2), figure(share(times, 0.99), 2), figure(Math.max(...times), 2)]
  }
  printTable(`Hand-over from an api process to a worker, ${runs} runs one after the other (ms)`, [
    ['', 'p50', 'p99', 'longest'],
    row('call to acceptance', (run) => run.accepted),
    row('acceptance to the first step elsewhere', (run) => run.began - run.accepted),
    row('call to the end, as told to the api process', (run) => run.told),
  ])
}
