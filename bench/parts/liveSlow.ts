import type { Server } from '../database.ts'
import { type Latency, latencyOf, many, startAudience } from '../live/audience.ts'
import type { CloseCodes } from '../live/children/clients.ts'
import { startKernServer } from '../live/servers.ts'
import type { Usage } from '../live/ticks.ts'
import type { Options } from '../options.ts'
import { figure, printTable, type Target } from '../report.ts'

/** What a server closes the socket with whose client does not read. */
const TOO_SLOW = 4_410
const BYTES = 16_384
/** 6.5 MB a client. The kernel keeps up to 5 MB of them where nobody reads; then it is the server's turn. */
const TICKS = 400
const EVERY_MS = 100

interface Crowd {
  readonly good: number
  readonly slow: number
}

interface Measured extends Latency {
  readonly before: Usage
  readonly after: Usage
  readonly codes: CloseCodes
}

/** Clients that stop reading: what they cost the server, and the others. */
export async function measureSlow(server: Server, { smoke }: Options): Promise<Target[]> {
  const good = smoke ? 18 : 900
  const slow = smoke ? 2 : 100
  const count = smoke ? 10 : TICKS
  const without = await measureCrowd(server, { good, slow: 0 }, count)
  const withSlow = await measureCrowd(server, { good, slow }, count)
  const mebibytes = (bytes: number) => figure(bytes / 2 ** 20)
  const row = (what: string, { before, after, ...latency }: Measured) => [
    what,
    figure(latency.p50Ms, 1),
    figure(latency.p99Ms, 1),
    figure(count * good - latency.deliveries),
    figure(((after.cpuMs - before.cpuMs) * 1_000) / latency.deliveries, 1),
    mebibytes(before.rssBytes),
    mebibytes(after.peakBytes),
    mebibytes(after.rssBytes),
  ]
  const codes = [...withSlow.codes].map(([code, clients]) => `${clients} with ${code ?? 'none'}`).join(', ') || 'none'
  printTable(
    `${slow} clients that stop reading among ${good} others, ${count} events of ${BYTES / 1_024} KiB (times and deliveries: of the others; processor time: of the server)`,
    [
      ['', 'p50 ms', 'p99 ms', 'lost', 'CPU µs', 'MiB before', 'at most', 'after'],
      row('without them', without),
      row('with them', withSlow),
      [`closed of them, by code: ${codes}`],
    ],
  )
  // Who reads nothing at all does not read why either: their connection is cut in the end.
  const gone = (withSlow.codes.get(TOO_SLOW) ?? 0) + (withSlow.codes.get(null) ?? 0)
  const grown = (withSlow.after.peakBytes - without.after.peakBytes) / 2 ** 20
  return [
    {
      what: 'p99 of those who read, with clients that do not',
      value: withSlow.p99Ms / without.p99Ms,
      atMost: 1.5,
      unit: '×',
    },
    {
      what: `of ${slow} clients that do not read, closed or cut`,
      value: gone,
      atLeast: smoke ? 0 : slow,
      unit: '',
      digits: 0,
    },
    // Their 1 MiB each is what the server may keep for them.
    { what: 'memory at most, over that without them', value: grown, atMost: slow * 1.5, unit: 'MiB', digits: 0 },
  ]
}

async function measureCrowd(server: Server, { good, slow }: Crowd, count: number): Promise<Measured> {
  await using kern = await startKernServer((await server.database(`slow_${slow}`)).url)
  await using readers = await startAudience()
  await using idlers = await startAudience()
  const [runId = ''] = await kern.start(1, 'burst')
  const runIds = (clients: number) => many(clients, () => [runId])
  await readers.connect({ url: kern.url, transport: 'WebSocket', runIds: runIds(good) })
  await idlers.connect({ url: kern.url, transport: 'WebSocket', runIds: runIds(slow) })
  const warm = Math.ceil(count / 10)
  await kern.burst({ count: warm, everyMs: EVERY_MS, bytes: BYTES })
  await readers.collect(warm)
  await idlers.collect(warm)
  await idlers.pause(slow)
  const before = await kern.usage('settled')
  const published = await kern.burst({ count, everyMs: EVERY_MS, bytes: BYTES })
  const latency = latencyOf(published, await readers.collect(count))
  const after = await kern.usage()
  return { ...latency, before, after, codes: await idlers.resume() }
}
