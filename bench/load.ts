import type { Contender } from './contender.ts'
import { share } from './statistics.ts'

/** So many runs at once, for so long. */
export interface Load {
  readonly atOnce: number
  readonly seconds: number
}

/** What a process saw of its own work. */
export interface LoadResult {
  readonly runs: number
  /** From the first run's beginning to the last one's end. */
  readonly seconds: number
  /** Of one run, in milliseconds. */
  readonly p50Ms: number
  readonly p99Ms: number
  /** Processor time of this process, all threads, in milliseconds. */
  readonly cpuMs: number
  /** The most memory that this process held meanwhile (resident), in bytes. */
  readonly peakBytes: number
}

const SAMPLE_MS = 50

/** Keeps so many runs going at once, each lane beginning the next one when the one before is over. */
export async function putUnder({ atOnce, seconds }: Load, contender: Pick<Contender, 'run'>): Promise<LoadResult> {
  const times: number[] = []
  let peakBytes = process.memoryUsage.rss()
  const sampling = setInterval(() => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
  }, SAMPLE_MS)
  const cpu = process.cpuUsage()
  const start = performance.now()
  const end = start + seconds * 1_000
  const lane = async () => {
    do {
      const from = performance.now()
      await contender.run()
      times.push(performance.now() - from)
    } while (performance.now() < end)
  }
  await Promise.all(Array.from({ length: atOnce }, lane)).finally(() => clearInterval(sampling))
  const took = (performance.now() - start) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  const cpuMs = (user + system) / 1_000
  return { runs: times.length, seconds: took, p50Ms: share(times, 0.5), p99Ms: share(times, 0.99), cpuMs, peakBytes }
}
