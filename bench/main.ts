import { availableParallelism, cpus } from 'node:os'
import type { ContenderName } from './contender.ts'
import { connectServer, type Server } from './database.ts'
import { type Options, type Part, readOptions } from './options.ts'
import { measureEmbedded } from './parts/embedded.ts'
import { measureEngine } from './parts/engine.ts'
import { measureHandover } from './parts/handover.ts'
import { measureHttp } from './parts/http.ts'
import { measureCross } from './parts/liveCross.ts'
import { measureFanout } from './parts/liveFanout.ts'
import { measureIdle } from './parts/liveIdle.ts'
import { measureLatency } from './parts/liveLatency.ts'
import { measureSlow } from './parts/liveSlow.ts'
import { measureProfile } from './parts/profile.ts'
import { measureRecovery } from './parts/recovery.ts'
import { measureSessions } from './parts/sessions.ts'
import { measureWorkers } from './parts/workers.ts'
import { printTargets, type Target } from './report.ts'
import { installRivals } from './rivals.ts'

const OWN: readonly ContenderName[] = ['floor, one commit each', 'floor, grouped commits', 'Kern']
const RIVALS: readonly ContenderName[] = ['DBOS', 'Mastra']

async function contenders({ rivals }: Options): Promise<readonly ContenderName[]> {
  if (!rivals) return OWN
  const problem = await installRivals()
  if (problem === null) return [...OWN, ...RIVALS]
  console.log(`Without DBOS and Mastra, which cannot be installed: ${problem}`)
  return OWN
}

async function measure(part: Part, server: Server, options: Options): Promise<readonly Target[]> {
  switch (part) {
    case 'engine':
      return await measureEngine(server, options, await contenders(options))
    case 'http':
      await measureHttp(server, options)
      return []
    case 'embedded':
      await measureEmbedded(options)
      return []
    case 'workers':
      await measureWorkers(server, options)
      return []
    case 'handover':
      await measureHandover(server, options)
      return []
    case 'recovery':
      await measureRecovery(server, options)
      return []
    case 'sessions':
      return await measureSessions(server, options)
    case 'fanout':
      return await measureFanout(server, options)
    case 'latency':
      return await measureLatency(server, options)
    case 'slow':
      return await measureSlow(server, options)
    case 'idle':
      return await measureIdle(server, options)
    case 'cross':
      return await measureCross(server, options)
    case 'profile':
      await measureProfile(server, options)
      return []
  }
}

function optionsOrExit(): Options {
  try {
    return readOptions(process.argv.slice(2), process.env)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exit(2)
  }
}

const started = performance.now()
const options = optionsOrExit()
await using server = await connectServer(options.server)
console.log(`Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model.trim() ?? '?'}`)
console.log(await server.describe())
console.log(`${options.repeats} repeats of ${options.seconds} s; medians, and of ratios within a repeat`)
const targets: Target[] = []
for (const part of options.parts) targets.push(...(await measure(part, server, options)))
printTargets(targets)
console.log(`\nDone in ${((performance.now() - started) / 1_000).toFixed(0)} s`)
