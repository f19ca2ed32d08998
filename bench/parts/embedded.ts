import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Load, LoadResult } from '../load.ts'
import type { Options } from '../options.ts'
import { type Child, startChild } from '../process.ts'
import { figure, printTable } from '../report.ts'
import { median } from '../statistics.ts'

const MIB = 1_048_576

/** The same five steps in the embedded database, in a folder. */
export async function measureEmbedded(options: Options): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kern-bench-'))
  try {
    const from = performance.now()
    await using child: Child<{ startBytes: number }, Load, LoadResult> = await startChild('children/contender.ts', [
      'Kern, embedded',
      join(folder, 'data'),
    ])
    const startMs = performance.now() - from
    const rows = []
    for (const atOnce of options.atOnce) {
      const results: LoadResult[] = []
      await child.ask({ atOnce, seconds: options.seconds / 3 })
      for (let repeat = 0; repeat < options.repeats; repeat += 1) {
        results.push(await child.ask({ atOnce, seconds: options.seconds }))
      }
      const of = (pick: (result: LoadResult) => number, digits = 2) => figure(median(results.map(pick)), digits)
      rows.push([
        `${atOnce} at once`,
        of(({ runs, seconds }) => runs / seconds, 0),
        of(({ p50Ms }) => p50Ms),
        of(({ p99Ms }) => p99Ms),
        of(({ runs, cpuMs }) => cpuMs / runs),
        of(({ peakBytes }) => peakBytes / MIB, 0),
      ])
    }
    printTable(`Embedded database (made and opened in ${figure(startMs / 1_000, 1)} s, first run included)`, [
      ['', 'runs/s', 'p50 ms', 'p99 ms', 'CPU ms', 'MiB in all'],
      ...rows,
    ])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
