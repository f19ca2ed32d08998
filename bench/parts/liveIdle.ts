import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from '../database.ts'
import { many, startAudience } from '../live/audience.ts'
import { type KernServer, startKernServer } from '../live/servers.ts'
import type { Usage } from '../live/ticks.ts'
import type { Options } from '../options.ts'
import { figure, printTable, type Target } from '../report.ts'

const SUBSCRIPTIONS = 10_000
const WATCH_MS = 10_000
/** Files that a process has open besides its clients. */
const OTHER_FILES = 300

interface Shape {
  readonly title: string
  readonly subscriptions: number
  readonly runs: number
  readonly perSocket: number
  readonly watchMs: number
}

interface Idle {
  readonly connected: number
  /** Why not all are; null if all are. */
  readonly failure: string | null
  /** Of a subscription, in KiB. */
  readonly rssKiB: number
  readonly heapKiB: number
  /** Of the server, as a share of a core, with the subscriptions and before. */
  readonly busy: number
  readonly busyBefore: number
}

/** Subscriptions on one process that get nothing: their memory and processor time. */
export async function measureIdle(server: Server, { smoke }: Options): Promise<Target[]> {
  const files = await openFilesLimit()
  const possible = Math.min(SUBSCRIPTIONS, files - OTHER_FILES)
  if (possible < SUBSCRIPTIONS)
    console.log(`A process may have ${files} files open only: ${possible} subscriptions (ulimit -n)`)
  const subscriptions = smoke ? 20 : possible
  const watchMs = smoke ? 100 : WATCH_MS
  const runs = Math.ceil(subscriptions / 10)
  const shapes: readonly Shape[] = [
    { title: 'of one run', subscriptions, runs: 1, perSocket: 1, watchMs },
    { title: `of ${runs} runs`, subscriptions, runs, perSocket: 1, watchMs },
    { title: `of ${runs} runs, 10 a socket`, subscriptions, runs, perSocket: 10, watchMs },
  ]
  const figures: (readonly [Shape, Idle])[] = []
  for (const [index, shape] of (smoke ? shapes.slice(-1) : shapes).entries()) {
    const { url } = await server.database(`idle_${index}`)
    figures.push([shape, await measureShape(url, shape)])
  }
  const percent = (part: number) => `${figure(part * 100, 1)} %`
  const rows = figures.map(([{ title }, idle]) => [
    title,
    figure(idle.connected),
    figure(idle.rssKiB, 1),
    figure(idle.heapKiB, 1),
    percent(idle.busy),
    percent(idle.busyBefore),
  ])
  printTable(
    `${subscriptions} idle subscriptions on one process (processor time: of a core, over ${watchMs / 1_000} s)`,
    [['', 'connected', 'KiB each', 'of it heap', 'CPU', 'without them'], ...rows],
  )
  return figures.flatMap(([{ title }, { connected, rssKiB, busy }]) => [
    { what: `idle subscriptions, ${title}, connected`, value: connected, atLeast: subscriptions, unit: '', digits: 0 },
    { what: `an idle subscription, ${title}`, value: rssKiB, atMost: 25, unit: 'KiB', digits: 1 },
    { what: `idle subscriptions, ${title}, of a core`, value: busy * 100, atMost: 10, unit: '%', digits: 1 },
  ])
}

async function measureShape(url: string, { subscriptions, runs, perSocket, watchMs }: Shape): Promise<Idle> {
  await using kern = await startKernServer(url)
  await using audience = await startAudience(2)
  const runIds = await kern.start(runs, 'person')
  const runOf = (index: number) => runIds[index % runs] ?? ''
  // What is made once, by the first subscription.
  await audience.connect({ url: kern.url, transport: 'WebSocket', runIds: many(10, () => [runOf(0)]) })
  await audience.leave()
  const before = await idling(kern, watchMs)
  const { subscriptions: connected, failure } = await audience.tryToConnect({
    url: kern.url,
    transport: 'WebSocket',
    runIds: many(subscriptions / perSocket, (socket) => many(perSocket, (index) => runOf(socket * perSocket + index))),
  })
  const after = await idling(kern, watchMs)
  return {
    connected,
    failure,
    rssKiB: (after.usage.rssBytes - before.usage.rssBytes) / 1_024 / connected,
    heapKiB: (after.usage.heapBytes - before.usage.heapBytes) / 1_024 / connected,
    busy: after.busy,
    busyBefore: before.busy,
  }
}

/** What a server uses when all garbage is collected, and which share of a core from then on. */
async function idling(kern: KernServer, watchMs: number): Promise<{ readonly usage: Usage; readonly busy: number }> {
  const usage = await kern.usage('settled')
  await sleep(watchMs)
  return { usage, busy: ((await kern.usage()).cpuMs - usage.cpuMs) / watchMs }
}

/** How many files this process and its children may have open; Infinity where that is not known. */
async function openFilesLimit(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const [, soft] = /^Max open files\s+(\d+)/m.exec(limits) ?? []
  return soft === undefined ? Infinity : Number(soft)
}
