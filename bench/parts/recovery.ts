import connect from 'postgres'
import type { KernOrder } from '../children/kern.ts'
import { DEFAULT_LEASE_MS } from '../kern.ts'
import type { Server } from '../database.ts'
import type { Options } from '../options.ts'
import { type Child, startChild } from '../process.ts'
import { figure, printTable } from '../report.ts'

const PATIENCE_MS = 60_000
const LOOK_MS = 20

/** A process with open runs is killed; another one goes on with them once the lease is over. */
export async function measureRecovery(server: Server, { smoke }: Options): Promise<void> {
  const { url } = await server.database('recovery')
  const runs = smoke ? 5 : 100
  const leaseMs = smoke ? 600 : DEFAULT_LEASE_MS
  const args = [url, 'all', String(leaseMs)]
  await using victim: Child<null, KernOrder, void> = await startChild('children/kern.ts', [...args, 'hold'])
  await victim.ask({ type: 'hold', runs })
  await using _survivor: Child<null, KernOrder, unknown> = await startChild('children/kern.ts', args)
  await victim.kill()
  const sql = connect(url, { max: 1, onnotice: () => {} })
  try {
    const [beat] = await sql<{ at: Date }[]>`select min(heartbeat_at) as at from kern.workers`
    if (!beat) throw new Error('no worker has a heartbeat')
    const over = beat.at.getTime() + leaseMs
    const [first, last] = await endsOf(sql, runs)
    printTable(
      `Recovery of ${runs} open runs whose process was killed (ms after the end of the lease of ${leaseMs / 1_000} s)`,
      [
        ['first run over', figure(first - over)],
        ['all runs over', figure(last - over)],
      ],
    )
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** When the first run and the last run ended, in milliseconds since 1970. */
async function endsOf(sql: connect.Sql, runs: number): Promise<[number, number]> {
  const start = performance.now()
  while (performance.now() < start + PATIENCE_MS) {
    const [row] = await sql<{ done: number; first: Date; last: Date }[]>`
      select count(*)::int as done, min(completed_at) as first, max(completed_at) as last
      from kern.runs where status = 'COMPLETED'`
    if (row?.done === runs) return [row.first.getTime(), row.last.getTime()]
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  throw new Error(`not all of ${runs} runs were recovered within ${PATIENCE_MS} ms`)
}
