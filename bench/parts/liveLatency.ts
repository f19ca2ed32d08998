import type { Server } from '../database.ts'
import { latencyOf, many, startAudience } from '../live/audience.ts'
import { startKernServer } from '../live/servers.ts'
import type { Options } from '../options.ts'
import { figure, printTable, type Target } from '../report.ts'
import { share } from '../statistics.ts'

const RUNS = 50
const SUBSCRIBERS = 1_000
/** Of all runs together. */
const TICKS_A_SECOND = 200

/** Subscribers spread over many runs, all of which tick: how long from the commit to a client, and whether all arrive. */
export async function measureLatency(server: Server, { smoke, seconds }: Options): Promise<Target[]> {
  const runs = smoke ? 5 : RUNS
  const subscribers = smoke ? 20 : SUBSCRIBERS
  const everyMs = (runs * 1_000) / TICKS_A_SECOND
  const count = Math.ceil((seconds * 3 * 1_000) / everyMs)
  await using kern = await startKernServer((await server.database('latency')).url)
  await using audience = await startAudience()
  const runIds = await kern.start(runs, 'burst')
  await audience.connect({
    url: kern.url,
    transport: 'WebSocket',
    runIds: many(subscribers, (index) => [runIds[index % runs] ?? '']),
  })
  await kern.burst({ count: Math.ceil(count / 5), everyMs, bytes: 200 })
  await audience.collect(Math.ceil(count / 5))
  const before = await kern.usage()
  const published = await kern.burst({ count, everyMs, bytes: 200 })
  const latency = latencyOf(published, await audience.collect(count))
  const cpuMs = (await kern.usage()).cpuMs - before.cpuMs
  const ticks = count * runs
  const commitMs = [...published.commitMs]
  const lost = count * subscribers - latency.deliveries
  printTable(
    `${subscribers} subscribers of ${runs} runs, ${TICKS_A_SECOND} events a second, ${ticks} events to ${subscribers / runs} each (ms)`,
    [
      ['', 'p50', 'p99', 'longest'],
      [
        'from emit to the commit',
        figure(share(commitMs, 0.5), 1),
        figure(share(commitMs, 0.99), 1),
        figure(Math.max(...commitMs), 1),
      ],
      ['from the commit to a client', figure(latency.p50Ms, 1), figure(latency.p99Ms, 1), figure(latency.longestMs, 1)],
      ['processor time of the server an event', figure(cpuMs / ticks, 2)],
      ['deliveries lost', figure(lost)],
      ['deliveries repeated or out of order', figure(latency.repeated)],
    ],
  )
  return [
    { what: 'commit to client, p50', value: latency.p50Ms, atMost: 30, unit: 'ms', digits: 1 },
    { what: 'commit to client, p99', value: latency.p99Ms, atMost: 250, unit: 'ms', digits: 1 },
    { what: 'deliveries lost or repeated', value: lost + latency.repeated, atMost: 0, unit: '', digits: 0 },
  ]
}
