import { benchDatabase, type BenchDatabase } from './database.ts'
import type { Contender } from './contender.ts'
import { groupedCommits, oneCommitEach } from './floors.ts'
import { kernContender } from './kern.ts'

/*
 * Five no-op steps with results of 200 bytes, at 1, 16 and 64 runs at once, on a real Postgres. The contenders take turns
 * within a repeat, and only ratios within a repeat are compared: the machine may be slower in the next one.
 */

const AT_ONCE = [1, 16, 64]
const REPEATS = Number(process.argv[2] ?? 3)
const SECONDS = Number(process.argv[3] ?? 3)

interface Figure {
  readonly contender: string
  readonly runsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly commitsPerRun: number
  readonly walPerRun: number
  readonly cpuMsPerRun: number
}

async function measure(contender: Contender, atOnce: number, database: BenchDatabase): Promise<Figure> {
  const times: number[] = []
  const before = await database.cost()
  const cpu = process.cpuUsage()
  const start = performance.now()
  const end = start + SECONDS * 1_000
  const lane = async () => {
    while (performance.now() < end) {
      const from = performance.now()
      await contender.run()
      times.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  const seconds = (performance.now() - start) / 1_000
  const used = process.cpuUsage(cpu)
  const after = await database.cost()
  times.sort((a, b) => a - b)
  return {
    contender: contender.name,
    runsPerSecond: times.length / seconds,
    p50Ms: at(times, 0.5),
    p99Ms: at(times, 0.99),
    commitsPerRun: (after.commits - before.commits) / times.length,
    walPerRun: (after.walBytes - before.walBytes) / times.length,
    cpuMsPerRun: (used.user + used.system) / 1_000 / times.length,
  }
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

function median(values: readonly number[]): number {
  return at(
    values.toSorted((a, b) => a - b),
    0.5,
  )
}

function print(atOnce: number, repeats: readonly (readonly Figure[])[]): void {
  const names = repeats[0]?.map(({ contender }) => contender) ?? []
  const row = (cells: readonly string[]) =>
    console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(13))).join(''))
  console.log(`\n${atOnce} at once`)
  row(['', 'runs/s', 'p50 ms', 'p99 ms', 'commits/run', 'WAL B/run', 'CPU ms/run', 'Kern/this'])
  for (const [index, name] of names.entries()) {
    const figures = repeats.flatMap((repeat) => repeat[index] ?? [])
    const ratios = repeats.flatMap((repeat) => {
      const kern = repeat.find(({ contender }) => contender === 'Kern')
      const other = repeat[index]
      return kern && other ? [kern.runsPerSecond / other.runsPerSecond] : []
    })
    const of = (pick: (figure: Figure) => number, digits: number) => median(figures.map(pick)).toFixed(digits)
    row([
      name,
      of((f) => f.runsPerSecond, 0),
      of((f) => f.p50Ms, 2),
      of((f) => f.p99Ms, 2),
      of((f) => f.commitsPerRun, 2),
      of((f) => f.walPerRun, 0),
      of((f) => f.cpuMsPerRun, 2),
      `${median(ratios).toFixed(2)}x`,
    ])
  }
}

const server = process.env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'
await using database = await benchDatabase(server)
console.log(
  `Five no-op steps with 200-byte results; ${REPEATS} repeats of ${SECONDS} s each; medians, and ratios within a repeat`,
)
await using each = oneCommitEach(database.url)
await using grouped = groupedCommits(database.url)
await using kern = await kernContender(database.config)
const contenders = [each, grouped, kern]
for (const contender of contenders) await contender.run()
for (const atOnce of AT_ONCE) {
  const repeats: Figure[][] = []
  for (let repeat = 0; repeat < REPEATS; repeat += 1) {
    const figures: Figure[] = []
    for (const contender of contenders) figures.push(await measure(contender, atOnce, database))
    repeats.push(figures)
  }
  print(atOnce, repeats)
}
