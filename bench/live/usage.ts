import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Usage } from './ticks.ts'

const SAMPLE_MS = 20

/** Watches what this process uses. Its memory is sampled from now on. */
export function watchUsage(): (settled: boolean) => Promise<Usage> {
  let peakBytes = 0
  const sample = () => {
    peakBytes = Math.max(peakBytes, process.memoryUsage.rss())
  }
  setInterval(sample, SAMPLE_MS).unref()
  return async (settled) => {
    if (settled) await collectGarbage()
    sample()
    const { user, system } = process.cpuUsage()
    const { rss, heapUsed } = process.memoryUsage()
    const usage = { cpuMs: (user + system) / 1_000, rssBytes: rss, peakBytes, heapBytes: heapUsed }
    peakBytes = 0
    return usage
  }
}

/** Twice, with a pause: what finalisers and closed handles let go of is found by the second. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect !== 'function') return
  collect()
  await new Promise((resolve) => setTimeout(resolve, 200))
  collect()
}
