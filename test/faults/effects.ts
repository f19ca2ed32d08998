import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import { createLog, type Log } from '../../src/log.ts'

/** Who wrote a line, and when: microseconds of a clock that all processes of the machine share and that never goes back. */
interface Written {
  readonly pid: number
  readonly at: number
}

/** A body began. `token` is its alone; `input` is the JSON text of what it was given. */
export interface Began extends Written {
  readonly type: 'began'
  readonly runId: string
  readonly path: string
  readonly attempt: number
  readonly key: string
  readonly token: string
  readonly input: string | null
}

/** A body returned its token, or threw. */
export interface Ended extends Written {
  readonly type: 'returned' | 'threw'
  readonly runId: string
  readonly path: string
  readonly token: string
}

/** A caller was told that the request has this run. */
export interface Acknowledged extends Written {
  readonly type: 'acknowledged'
  readonly request: string
  readonly runId: string
}

/** A process said in its log that it lost a run to another. */
export interface Fenced extends Written {
  readonly type: 'fenced'
  readonly runId: string
}

/** What happened outside the database, as a file keeps it: every line was written by one call, in the order of the calls. */
export type Effect = Began | Ended | Acknowledged | Fenced

type Unwritten<E> = E extends Effect ? Omit<E, keyof Written> : never

export function now(): number {
  return Number(process.hrtime.bigint() / 1_000n)
}

export type EffectLog = (effect: Unwritten<Effect>) => void

/**
 * Writes to a log of effects. A line is written whole or not at all, whichever process dies.
 *
 * @param pid another number where one process does the work of two
 */
export function effectLog(file: string, pid = process.pid): EffectLog {
  return (effect) => appendFileSync(file, `${JSON.stringify({ pid, at: now(), ...effect })}\n`)
}

/** A log of Kern's that notes in the log of effects which runs were taken over. */
export function watchingLog(log: EffectLog): Log {
  const output = new Writable({
    write(chunk, _encoding, done) {
      const line: Record<string, unknown> = JSON.parse(String(chunk))
      const taken = /taken over|may execute the run by now/.test(String(line['msg']))
      if (taken && typeof line['runId'] === 'string') log({ type: 'fenced', runId: line['runId'] })
      done()
    },
  })
  return createLog({ level: 'warn', format: 'json', output })
}

export function readEffects(file: string): Effect[] {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  // Only `effectLog` writes to the file.
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Effect)
}

/** JSON text of a value; null for none. */
export function textOf(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value)
}
