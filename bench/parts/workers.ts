import type { Server } from '../database.ts'
import type { Load, LoadResult } from '../load.ts'
import type { Options } from '../options.ts'
import { type Child, startChild } from '../process.ts'
import { figure, printTable } from '../report.ts'
import { median } from '../statistics.ts'

/** Two processes on one database, each with half of the runs, against one process with all of them. */
export async function measureWorkers(server: Server, options: Options): Promise<void> {
  const atOnce = Math.max(...options.atOnce)
  const shared = await server.database('workers')
  await using one = await start((await server.database('worker')).url)
  await using first = await start(shared.url)
  await using second = await start(shared.url)
  const both = async (seconds: number) => {
    const load = { atOnce: Math.ceil(atOnce / 2), seconds }
    const results = await Promise.all([first.ask(load), second.ask(load)])
    return results.reduce((sum, result) => sum + speed(result), 0)
  }
  const alone = async (seconds: number) => speed(await one.ask({ atOnce, seconds }))
  await alone(options.seconds / 3)
  await both(options.seconds / 3)
  const figures: { readonly one: number; readonly two: number }[] = []
  for (let repeat = 0; repeat < options.repeats; repeat += 1) {
    figures.push({ one: await alone(options.seconds), two: await both(options.seconds) })
  }
  printTable(`Processes, ${atOnce} runs at once in all`, [
    ['', 'runs/s', 'against one'],
    ['one', figure(median(figures.map((f) => f.one))), ''],
    ['two', figure(median(figures.map((f) => f.two))), `${figure(median(figures.map((f) => f.two / f.one)), 2)}×`],
  ])
}

function start(url: string): Promise<Child<unknown, Load, LoadResult>> {
  return startChild('children/contender.ts', ['Kern', url])
}

function speed({ runs, seconds }: LoadResult): number {
  return runs / seconds
}
