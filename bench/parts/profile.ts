import { Session } from 'node:inspector/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Server } from '../database.ts'
import { kernContender } from '../kern.ts'
import { putUnder } from '../load.ts'
import type { Options } from '../options.ts'
import { postgres } from '../../src/config.ts'
import { figure, printTable } from '../report.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SHOWN = 25

/** Where Kern's process spends its time under load: by place, and by function, without what they call. */
export async function measureProfile(server: Server, { seconds, atOnce }: Options): Promise<void> {
  const { url } = await server.database('profile')
  await using kern = await kernContender(postgres(url))
  const load = { atOnce: Math.max(...atOnce), seconds }
  await putUnder(load, kern)
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.start')
  const { runs } = await putUnder(load, kern)
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()

  const places = new Map<string, number>()
  const functions = new Map<string, number>()
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]))
  for (const [index, id] of (profile.samples ?? []).entries()) {
    const frame = frames.get(id)
    const ms = (profile.timeDeltas?.[index] ?? 0) / 1_000 / runs
    // The profiler's own start is no part of it.
    if (!frame || frame.url === 'node:inspector') continue
    const file = fileOf(frame.url)
    add(places, placeOf(frame.functionName, file), ms)
    add(
      functions,
      `${frame.functionName || '(anonymous)'} ${file === '' ? '' : `${file}:${frame.lineNumber + 1}`}`.trimEnd(),
      ms,
    )
  }
  const title = `Time of Kern's process at ${load.atOnce} at once, in ms a run`
  printTable(`${title}, by place`, [['', 'ms'], ...sorted(places)])
  printTable(`${title}, by function`, [['', 'ms'], ...sorted(functions).slice(0, SHOWN)])
}

function fileOf(url: string): string {
  return url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : url
}

/** The room of Kern's source, the package, or what the engine calls `(idle)`, `(program)` and the like. */
function placeOf(name: string, file: string): string {
  if (file === '') return name.startsWith('(') ? name : '(native)'
  const [, own] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file) ?? []
  if (own !== undefined) return own
  if (file.startsWith('node:')) return 'node'
  return file.split('/').slice(0, 2).join('/')
}

function add(sums: Map<string, number>, key: string, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value)
}

function sorted(sums: ReadonlyMap<string, number>): [string, string][] {
  const entries = [...sums].sort(([, a], [, b]) => b - a).filter(([, ms]) => ms >= 0.000_5)
  return entries.map(([key, ms]) => [key, figure(ms, 4)])
}
