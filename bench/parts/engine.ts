import { type Child, startChild } from '../process.ts'
import type { ContenderName } from '../contender.ts'
import type { BenchDatabase, Server } from '../database.ts'
import type { Load, LoadResult } from '../load.ts'
import type { Options } from '../options.ts'
import { figure, printTable, type Target } from '../report.ts'
import { median } from '../statistics.ts'

/** A contender in a process and a database of its own. */
interface Entry {
  readonly name: ContenderName
  readonly title: string
  /** What the process held before its first load, in bytes. */
  readonly startBytes: number
  readonly database: BenchDatabase
  readonly child: Child<{ title: string; startBytes: number }, Load, LoadResult>
}

export interface EngineFigure {
  readonly runsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly commitsPerRun: number
  readonly walPerRun: number
  readonly nodeCpuPerRun: number
  readonly postgresCpuPerRun: number
  /** The most memory of the process over what it held at its start, in MiB. */
  readonly memoryMiB: number
}

/** Of one contender, at each number of runs at once, one figure a repeat. */
export type EngineFigures = ReadonlyMap<number, ReadonlyMap<ContenderName, readonly EngineFigure[]>>

const MIB = 1_048_576

/** Five steps, on Postgres, with each contender: they take turns within a repeat. */
export async function measureEngine(
  server: Server,
  options: Options,
  names: readonly ContenderName[],
): Promise<Target[]> {
  await using stack = new AsyncDisposableStack()
  const entries: Entry[] = []
  for (const [index, name] of names.entries()) entries.push(await enter(server, stack, { name, index }))
  const all = new Map<number, Map<ContenderName, EngineFigure[]>>()
  for (const atOnce of options.atOnce) {
    const figures = new Map<ContenderName, EngineFigure[]>(names.map((name) => [name, []]))
    await server.settle()
    for (const { child } of entries) await child.ask({ atOnce, seconds: options.seconds / 3 })
    for (let repeat = 0; repeat < options.repeats; repeat += 1) {
      for (const entry of entries) {
        figures.get(entry.name)?.push(await measure(entry, { atOnce, seconds: options.seconds }))
      }
    }
    all.set(atOnce, figures)
    print(atOnce, entries, figures)
  }
  return targetsOf(all)
}

async function enter(
  server: Server,
  stack: AsyncDisposableStack,
  { name, index }: { readonly name: ContenderName; readonly index: number },
): Promise<Entry> {
  const rival = name === 'DBOS' || name === 'Mastra'
  const database = await server.database(`engine_${index}`, { migrated: !rival })
  const child: Entry['child'] = stack.use(await startChild('children/contender.ts', [name, database.url]))
  return { name, ...child.hello, database, child }
}

async function measure({ child, database, startBytes }: Entry, load: Load): Promise<EngineFigure> {
  const before = await database.cost()
  const { runs, seconds, p50Ms, p99Ms, cpuMs, peakBytes } = await child.ask(load)
  const after = await database.cost()
  return {
    runsPerSecond: runs / seconds,
    p50Ms,
    p99Ms,
    commitsPerRun: (after.commits - before.commits) / runs,
    walPerRun: (after.walBytes - before.walBytes) / runs,
    nodeCpuPerRun: cpuMs / runs,
    postgresCpuPerRun: (after.cpuMs - before.cpuMs) / runs,
    memoryMiB: (peakBytes - startBytes) / MIB,
  }
}

/** The median, over the repeats, of Kern's figure divided by the other's in the same repeat. */
function ratio(
  figures: ReadonlyMap<ContenderName, readonly EngineFigure[]> | undefined,
  other: ContenderName,
  pick: (figure: EngineFigure) => number,
): number {
  const others = figures?.get(other) ?? []
  return median((figures?.get('Kern') ?? []).map((kern, i) => pick(kern) / valueAt(others, i, pick)))
}

function valueAt(figures: readonly EngineFigure[], index: number, pick: (figure: EngineFigure) => number): number {
  const at = figures[index]
  return at ? pick(at) : Number.NaN
}

function print(atOnce: number, entries: readonly Entry[], figures: Map<ContenderName, EngineFigure[]>): void {
  const head = ['', 'runs/s', 'p50 ms', 'p99 ms', 'commits', 'WAL B', 'node ms', 'Postgres ms', '+MiB', 'Kern/this']
  const rows = entries.map(({ name, title }) => {
    const of = (pick: (figure: EngineFigure) => number, digits = 2) =>
      figure(median((figures.get(name) ?? []).map(pick)), digits)
    return [
      title,
      of((f) => f.runsPerSecond, 0),
      of((f) => f.p50Ms),
      of((f) => f.p99Ms),
      of((f) => f.commitsPerRun),
      of((f) => f.walPerRun, 0),
      of((f) => f.nodeCpuPerRun),
      of((f) => f.postgresCpuPerRun),
      of((f) => f.memoryMiB, 0),
      `${figure(
        ratio(figures, name, (f) => f.runsPerSecond),
        2,
      )}x`,
    ]
  })
  printTable(`${atOnce} at once (commits, WAL, processor time: of a run)`, [head, ...rows])
}

function targetsOf(all: EngineFigures): Target[] {
  const speed = (at: number, other: ContenderName) => ratio(all.get(at), other, (f) => f.runsPerSecond)
  const own = (at: number, pick: (figure: EngineFigure) => number) => median((all.get(at)?.get('Kern') ?? []).map(pick))
  const times = { unit: '×' }
  return [
    {
      what: 'runs/s against grouped commits at 16',
      value: speed(16, 'floor, grouped commits'),
      atLeast: 0.75,
      ...times,
    },
    {
      what: 'runs/s against grouped commits at 64',
      value: speed(64, 'floor, grouped commits'),
      atLeast: 0.75,
      ...times,
    },
    {
      what: 'p50 of a run against one commit each at 1',
      value: ratio(all.get(1), 'floor, one commit each', (f) => f.p50Ms),
      atMost: 1.25,
      ...times,
    },
    { what: 'runs/s against DBOS at 1', value: speed(1, 'DBOS'), atLeast: 4, ...times },
    { what: 'runs/s against DBOS at 16', value: speed(16, 'DBOS'), atLeast: 15, ...times },
    { what: 'runs/s against DBOS at 64', value: speed(64, 'DBOS'), atLeast: 25, ...times },
    { what: 'runs/s against Mastra at 1', value: speed(1, 'Mastra'), atLeast: 4, ...times },
    { what: 'runs/s against Mastra at 16', value: speed(16, 'Mastra'), atLeast: 14, ...times },
    { what: 'runs/s against Mastra at 64', value: speed(64, 'Mastra'), atLeast: 24, ...times },
    { what: 'commits of a run at 16', value: own(16, (f) => f.commitsPerRun), atMost: 0.5, unit: '' },
    { what: 'WAL of a run at 16', value: own(16, (f) => f.walPerRun / 1_024), atMost: 3.6, unit: 'KB' },
    {
      what: 'processor time of a run at 64, node and Postgres',
      value: own(64, (f) => f.nodeCpuPerRun + f.postgresCpuPerRun),
      atMost: 0.4,
      unit: 'ms',
    },
    { what: 'memory over the start at 64', value: own(64, (f) => f.memoryMiB), atMost: 120, unit: 'MiB', digits: 0 },
  ]
}
