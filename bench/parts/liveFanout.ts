import type { Server } from '../database.ts'
import { type Audience, type Latency, latencyOf, many, startAudience } from '../live/audience.ts'
import type { Transport } from '../live/children/clients.ts'
import { type KernServer, type RivalServer, startKernServer, startRival, type TickingServer } from '../live/servers.ts'
import type { TickMessage } from '../live/tickServer.ts'
import type { Burst } from '../live/ticks.ts'
import type { Options } from '../options.ts'
import { figure, printTable, type Target } from '../report.ts'
import { median } from '../statistics.ts'

const EVERY_MS = 50
const BYTES = 200
const LOOK_MS = 20

const TITLES = ['Kern', 'raw broadcast', 'Yoga and graphql-ws'] as const
type Title = (typeof TITLES)[number]

/** A server with its subscribers. */
interface Stage<Shown extends TickingServer = TickingServer> {
  readonly server: Shown
  readonly audience: Audience
}

/** Those who take turns. */
interface Turn {
  /** A Kern that nobody has subscribed to. */
  readonly alone: TickingServer
  /** A Kern that one has subscribed to. */
  readonly toOne: Stage<KernServer>
  readonly kern: Stage<KernServer>
  readonly rivals: Readonly<Record<Exclude<Title, 'Kern'>, Stage<RivalServer>>>
}

interface Fanned extends Latency {
  /** Of the server, in microseconds of processor time a delivery, without what a tick costs that goes to nobody. */
  readonly cpuUs: number
}

/** What each repeat measured. */
interface Repeat {
  /** Of Kern, in milliseconds of processor time a tick that goes to nobody. */
  readonly tickMs: number
  /** The same of one that goes to one subscriber: what is done once an event is in it. */
  readonly tickToOneMs: number
  readonly stages: Readonly<Record<Title, Fanned>>
}

interface Size {
  readonly transport: Transport
  readonly subscribers: number
  readonly burst: Burst
}

/** One event to 1,000 subscribers of one document, over each transport. */
export async function measureFanout(server: Server, options: Options): Promise<Target[]> {
  const subscribers = options.smoke ? 20 : 1_000
  const burst = { count: Math.ceil((options.seconds * 1_000) / EVERY_MS), everyMs: EVERY_MS, bytes: BYTES }
  await using alone = await startKernServer((await server.database('fanout_alone')).url)
  await alone.start(1, 'burst')
  await using toOne = await startKernServer((await server.database('fanout_one')).url)
  await using kern = await startKernServer((await server.database('fanout')).url)
  await using raw = await startRival('raw')
  await using recipe = await startRival('recipe')
  await using oneAudience = await startAudience()
  await using kernAudience = await startAudience()
  await using rawAudience = await startAudience()
  await using recipeAudience = await startAudience()
  const turn: Turn = {
    alone,
    toOne: { server: toOne, audience: oneAudience },
    kern: { server: kern, audience: kernAudience },
    rivals: {
      'raw broadcast': { server: raw, audience: rawAudience },
      'Yoga and graphql-ws': { server: recipe, audience: recipeAudience },
    },
  }
  const targets: Target[] = []
  for (const transport of ['WebSocket', 'SSE'] as const) {
    const size = { transport, subscribers, burst }
    await fill(turn, size)
    await measureOnce(turn, burst)
    const repeats: Repeat[] = []
    while (repeats.length < options.repeats) repeats.push(await measureOnce(turn, burst))
    print(size, repeats)
    if (transport === 'WebSocket') targets.push(...targetsOf(repeats))
    await clear(turn)
  }
  return targets
}

/** Starts runs and connects all subscribers. */
async function fill({ toOne, kern, rivals }: Turn, { transport, subscribers, burst }: Size): Promise<void> {
  await toOne.audience.connect({ url: toOne.server.url, transport, runIds: [await toOne.server.start(1, 'burst')] })
  const [runId = ''] = await kern.server.start(1, 'burst')
  const runIds = many(subscribers, () => [runId])
  await kern.audience.connect({ url: kern.server.url, transport, runIds })
  await kern.server.burst({ ...burst, count: 1 })
  await kern.audience.collect(1)
  const message = messageOf(transport, await kern.audience.sample())
  for (const { server, audience } of Object.values(rivals)) {
    await server.imitate(message)
    const all = (await server.subscribed()) + subscribers
    await audience.connect({ url: server.url, transport, runIds, greetings: 0 })
    while ((await server.subscribed()) < all) await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

async function clear({ toOne, kern, rivals }: Turn): Promise<void> {
  for (const { audience } of [toOne, kern, ...Object.values(rivals)]) await audience.leave()
  for (const { server } of [toOne, kern]) await server.end()
}

async function measureOnce({ alone, toOne, kern, rivals }: Turn, burst: Burst): Promise<Repeat> {
  const tickMs = await tick(alone, burst)
  return {
    tickMs,
    tickToOneMs: await tick(toOne.server, burst),
    stages: {
      Kern: await fan(kern, burst, tickMs),
      'raw broadcast': await fan(rivals['raw broadcast'], burst, 0),
      'Yoga and graphql-ws': await fan(rivals['Yoga and graphql-ws'], burst, 0),
    },
  }
}

/** What a tick costs, in milliseconds of processor time. */
async function tick(server: TickingServer, burst: Burst): Promise<number> {
  const before = await server.usage()
  await server.burst(burst)
  return ((await server.usage()).cpuMs - before.cpuMs) / burst.count
}

async function fan({ server, audience }: Stage, burst: Burst, tickMs: number): Promise<Fanned> {
  const before = await server.usage()
  const published = await server.burst(burst)
  const latency = latencyOf(published, await audience.collect(burst.count))
  const { cpuMs } = await server.usage()
  return { ...latency, cpuUs: ((cpuMs - before.cpuMs - tickMs * burst.count) * 1_000) / latency.deliveries }
}

/** What a tick looked like when it came. */
function messageOf(transport: Transport, message: string): TickMessage {
  if (transport === 'WebSocket') return { message, result: JSON.stringify(JSON.parse(message).payload) }
  const data = message.split('\n').find((line) => line.startsWith('data: ')) ?? ''
  return { message, result: data.slice('data: '.length) }
}

function print({ transport, subscribers, burst }: Size, repeats: readonly Repeat[]): void {
  const of = (title: Title, pick: (fanned: Fanned) => number) =>
    median(repeats.map(({ stages }) => pick(stages[title])))
  const rows = TITLES.map((title) => [
    title,
    figure(
      of(title, (f) => f.cpuUs),
      1,
    ),
    figure(
      of(title, (f) => f.p50Ms),
      1,
    ),
    figure(
      of(title, (f) => f.p99Ms),
      1,
    ),
    title === 'Kern' ? '' : `${figure(ratio(repeats, title), 2)}×`,
    figure(of(title, (f) => f.short)),
  ])
  const ticks = [
    ['a tick of Kern to nobody, ms', figure(median(repeats.map(({ tickMs }) => tickMs)), 2)],
    ['and to one subscriber, ms', figure(median(repeats.map(({ tickToOneMs }) => tickToOneMs)), 2)],
  ]
  printTable(
    `One event to ${subscribers} subscribers over ${transport}, ${burst.count} ticks (processor time: of the server, a delivery)`,
    [['', 'CPU µs', 'p50 ms', 'p99 ms', 'Kern/this', 'clients that lack some'], ...rows, ...ticks],
  )
}

/** Kern's processor time a delivery, divided by this one's. */
function ratio(repeats: readonly Repeat[], title: Title): number {
  return median(repeats.map(({ stages }) => stages.Kern.cpuUs / stages[title].cpuUs))
}

function targetsOf(repeats: readonly Repeat[]): Target[] {
  const what = 'processor time a delivery over WebSocket'
  return [
    { what: `${what}, against a raw broadcast`, value: ratio(repeats, 'raw broadcast'), atMost: 1.3, unit: '×' },
    {
      what: `${what}, times better than Yoga and graphql-ws`,
      value: 1 / ratio(repeats, 'Yoga and graphql-ws'),
      atLeast: 4,
      unit: '×',
    },
  ]
}
