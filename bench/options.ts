import { parseArgs } from 'node:util'

/** What is about live events; together they are called `live`. */
const LIVE_PARTS = ['fanout', 'latency', 'slow', 'idle', 'cross'] as const
/** What `npm run bench` measures, in this order. */
export const PARTS = [
  'engine',
  'http',
  'embedded',
  'workers',
  'handover',
  'recovery',
  'sessions',
  ...LIVE_PARTS,
] as const
/** Those, and what is measured only when it is asked for. */
const ALL_PARTS = [...PARTS, 'profile'] as const
export type Part = (typeof ALL_PARTS)[number]

export interface Options {
  readonly parts: readonly Part[]
  /** How often each measurement is done; ratios are taken within a repeat, and their median is printed. */
  readonly repeats: number
  /** Of one measurement under load. */
  readonly seconds: number
  /** Whether other engines are measured too. */
  readonly rivals: boolean
  /** Tiny numbers that say nothing: to see that everything runs. */
  readonly smoke: boolean
  /** How many runs go on at once, one measurement each. */
  readonly atOnce: readonly number[]
  /** A database on the Postgres server, whose user may create others. */
  readonly server: string
}

const USAGE = `npm run bench -- [${ALL_PARTS.join('] [')}] [live] [--repeats 3] [--seconds 3] [--at-once 1,16,64] [--no-rivals] [--smoke]`

/** @throws Error that says what is allowed */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    allowNegative: true,
    options: {
      repeats: { type: 'string' },
      seconds: { type: 'string' },
      'at-once': { type: 'string' },
      rivals: { type: 'boolean', default: true },
      smoke: { type: 'boolean', default: false },
    },
  })
  const { smoke } = values
  const parts = positionals.flatMap((name) => (name === 'live' ? LIVE_PARTS : [partNamed(name)]))
  return {
    parts: parts.length > 0 ? parts : PARTS,
    repeats: positive('--repeats', values.repeats ?? (smoke ? '1' : '3')),
    seconds: positive('--seconds', values.seconds ?? (smoke ? '0.1' : '3')),
    rivals: values.rivals && !smoke,
    smoke,
    atOnce: (values['at-once'] ?? (smoke ? '2' : '1,16,64')).split(',').map((text) => positive('--at-once', text)),
    server: env['TEST_DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1:5432/postgres',
  }
}

function partNamed(name: string): Part {
  const part = ALL_PARTS.find((known) => known === name)
  if (!part) throw new Error(`there is no part '${name}': ${USAGE}`)
  return part
}

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`${name} is '${text}', and must be a number above 0: ${USAGE}`)
  return value
}
