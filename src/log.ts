import type { Writable } from 'node:stream'
import pc from 'picocolors'
import { pino } from 'pino'
import type { Logger } from 'pino'

/** The levels of a log, from the most to the least talkative. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogSeverity = (typeof LOG_LEVELS)[number]

/**
 * Where Kern says what it does. Fields are data for machines, the message is for people; a field named `err` holds an
 * error and is written with its stack and its causes.
 */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** The same log with these fields in every line. */
  child(fields: object): Log
}

export interface LogOptions {
  /** The least severe level that is written; `silent` for none. @default 'info' */
  readonly level?: LogSeverity | 'silent'
  /** One JSON object a line, or lines for people; `auto` is `pretty` on a terminal and `json` elsewhere. @default 'auto' */
  readonly format?: 'auto' | 'json' | 'pretty'
  /** Where the lines go. @default process.stdout */
  readonly output?: Writable
  /** Whether pretty lines have colours. @default true where the output is a terminal that shows them */
  readonly color?: boolean
}

/** How many UTF-16 code units of a text are logged; the rest is counted, not written. */
const MAX_TEXT = 2_000
/** How many levels of objects, and how many members of each, are logged. */
const MAX_DEPTH = 5
const MAX_MEMBERS = 50

/**
 * Makes a log. Control characters and direction marks of logged values never reach the output raw, long values are cut,
 * and an output that is gone (a closed pipe) does not end the process.
 */
export function createLog(options: LogOptions = {}): Log {
  const output = options.output ?? process.stdout
  if (!output.listeners('error').includes(ignoreClosedOutput)) output.on('error', ignoreClosedOutput)
  const pretty = options.format === 'pretty' || (options.format !== 'json' && isTerminal(output))
  const render = pretty ? prettyLine(pc.createColors(options.color ?? colorsOf(output))) : jsonLine
  const write = (line: string): void => {
    if (!output.writableEnded && !output.destroyed) output.write(render(line))
  }
  const base = { level: options.level ?? 'info', base: null, timestamp: () => `,"time":"${new Date().toISOString()}"` }
  return wrap(
    pino(
      { ...base, formatters: { level: (label) => ({ level: label }) }, serializers: { err: (value) => value } },
      { write },
    ),
  )
}

function wrap(logger: Logger): Log {
  const at = (level: LogSeverity) => (fields: object, message: string) => {
    if (logger.isLevelEnabled(level)) logger[level](loggable(fields), cut(message))
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => wrap(logger.child(loggable(fields))),
  }
}

/** For the `error` of an output: a reader that went away (`kern start | head -1`) is no reason to stop serving. */
export function ignoreClosedOutput(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error
}

function colorsOf(output: Writable): boolean {
  return pc.isColorSupported && isTerminal(output)
}

/** True for an output that a person looks at. */
export function isTerminal(output: Writable): boolean {
  return 'isTTY' in output && output.isTTY === true
}

/* ------------------------------------------------------------------ values */

function loggable(fields: object): Record<string, unknown> {
  const value = plain(fields, 0, [])
  // Without its type parameter an object from `plain` is only known to be one.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function plain(value: unknown, depth: number, above: readonly object[]): unknown {
  if (typeof value === 'string') return cut(value)
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value)
  if (typeof value === 'function') return '[Function]'
  if (typeof value !== 'object' || value === null) return value
  if (above.includes(value)) return '[Circular]'
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString()
  if (depth >= MAX_DEPTH) return '[Object]'
  const inside = [...above, value]
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((item) => plain(item, depth + 1, inside))
  const result: Record<string, unknown> = {}
  try {
    for (const [key, member] of members(value).slice(0, MAX_MEMBERS)) {
      if (member !== undefined) result[cut(key)] = plain(member, depth + 1, inside)
    }
  } catch {
    // A getter threw: what was read before it is kept.
  }
  return result
}

function members(value: object): [string, unknown][] {
  if (!(value instanceof Error)) return Object.entries(value)
  const { name, message, stack, cause } = value
  return [
    ['name', name],
    ['message', message],
    ...Object.entries(value).filter(([key]) => key !== 'name'),
    ['stack', stack],
    ['cause', cause],
  ]
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (${text.length - MAX_TEXT} more)` : text
}

/* ------------------------------------------------------------------ lines */

// C0, DEL, C1, line separators, and marks that change the direction of what follows. oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

function escaped(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON leaves characters above U+001F as they are; inside its strings their escapes mean the same. */
function jsonLine(line: string): string {
  return `${escaped(line.slice(0, -1))}\n`
}

type Colors = ReturnType<typeof pc.createColors>

function prettyLine(colors: Colors): (line: string) => string {
  const paint: Record<string, (text: string) => string> = {
    debug: colors.gray,
    info: colors.green,
    warn: colors.yellow,
    error: colors.red,
  }
  return (line) => {
    // The line was made by pino from an object of ours.
    const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
    const label = String(level)
    const pairs = Object.entries(fields).map(([key, value]) => `${colors.dim(`${escaped(key)}=`)}${shownField(value)}`)
    const head = [
      colors.dim(escaped(String(time).slice(11, 23))),
      (paint[label] ?? String)(label.toUpperCase().padEnd(5)),
      escaped(String(msg ?? '')),
    ]
    return `${[...head, ...pairs].join(' ')}\n${errorLines(err, colors)}`
  }
}

function shownField(value: unknown): string {
  if (typeof value === 'string' && /^[\w.:/@+-]+$/.test(value)) return value
  return escaped(JSON.stringify(value) ?? 'undefined')
}

/** The stack of an error and of its causes, below the line and set in. */
function errorLines(err: unknown, colors: Colors): string {
  if (err === undefined || err === null) return ''
  if (typeof err !== 'object') return `  ${escaped(String(err))}\n`
  const { stack, cause, ...rest } = err as { stack?: unknown; cause?: unknown } // an object; both keys are checked below
  const text = typeof stack === 'string' ? stack : JSON.stringify(rest)
  const lines = text.split('\n').map((line) => `  ${colors.dim(escaped(line.trimEnd()))}\n`)
  const below = errorLines(cause, colors)
  return lines.join('') + (below === '' ? '' : `  ${colors.dim('caused by')}\n${below}`)
}
