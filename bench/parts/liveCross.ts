import type { Server } from '../database.ts'
import { type Latency, latencyOf, startAudience } from '../live/audience.ts'
import { startKernServer } from '../live/servers.ts'
import type { Burst } from '../live/ticks.ts'
import type { Options } from '../options.ts'
import { type Cells, figure, printTable, type Target } from '../report.ts'

/** Apart enough for each event to be told of by itself; and faster than one process tells others. */
const PACES = [
  { title: 'one at a time', everyMs: 73 },
  { title: 'faster than hints', everyMs: 13 },
] as const

/** A run that one process executes, with a subscriber at that process and one at another on the same database. */
export async function measureCross(server: Server, { smoke, seconds }: Options): Promise<Target[]> {
  const { url } = await server.database('cross')
  await using here = await startKernServer(url)
  await using there = await startKernServer(url, 'api')
  await using near = await startAudience()
  await using far = await startAudience()
  const [runId = ''] = await here.start(1, 'burst')
  await near.connect({ url: here.url, transport: 'WebSocket', runIds: [[runId]] })
  await far.connect({ url: there.url, transport: 'WebSocket', runIds: [[runId]] })
  const all = async (burst: Burst): Promise<readonly Latency[]> => {
    const published = await here.burst(burst)
    const delivered = [await near.collect(burst.count), await far.collect(burst.count)]
    return delivered.map((deliveries) => latencyOf(published, deliveries))
  }
  await all({ count: smoke ? 2 : 30, everyMs: 20, bytes: 200 })
  const rows: Cells[] = []
  let lost = 0
  for (const { title, everyMs } of PACES) {
    const count = Math.ceil((seconds * 5_000) / everyMs)
    const latencies = await all({ count, everyMs, bytes: 200 })
    for (const [index, { p50Ms, p99Ms, longestMs, deliveries, repeated }] of latencies.entries()) {
      rows.push([
        `${title}, at ${index === 0 ? 'the same process' : 'another process'}`,
        figure(p50Ms, 1),
        figure(p99Ms, 1),
        figure(longestMs, 1),
        figure(count),
        figure(count - deliveries),
      ])
      lost += count - deliveries + repeated
    }
  }
  printTable('From a commit in one process to a subscriber (ms)', [
    ['', 'p50', 'p99', 'longest', 'events', 'lost'],
    ...rows,
  ])
  return [{ what: 'deliveries lost or repeated between processes', value: lost, atMost: 0, unit: '', digits: 0 }]
}
