import { readdir, readFile } from 'node:fs/promises'
import postgresJs from 'postgres'
import { postgres } from '../src/config.ts'
import { openDatabase } from '../src/db/client.ts'
import { migrate } from '../src/db/migrate.ts'

/** The server on which everything is measured. */
export interface Server extends AsyncDisposable {
  /** What it is: version and settings that figures depend on. */
  describe(): Promise<string>
  /** Makes a database of its own for one purpose, empty or with Kern's tables; dropped in the end. */
  database(purpose: string, options?: { readonly migrated?: boolean }): Promise<BenchDatabase>
  /** Writes everything to disk, so that the next measurement does not pay for the one before. */
  settle(): Promise<void>
}

export interface BenchDatabase {
  readonly url: string
  /** What was spent on it so far. */
  cost(): Promise<Cost>
}

export interface Cost {
  /** Of this database, reading transactions included. */
  readonly commits: number
  /** Bytes of the write-ahead log, of the whole server. */
  readonly walBytes: number
  /** Processor time of all processes of the server, in milliseconds; NaN if it runs elsewhere. */
  readonly cpuMs: number
}

/** @param url of a database on the server, whose user may create others */
export async function connectServer(url: string): Promise<Server> {
  const admin = postgresJs(url, { max: 1, onnotice: () => undefined })
  const names: string[] = []
  const [backend] = await admin<{ pid: number }[]>`select pg_backend_pid() as pid`
  const postmaster = await parentOf(backend?.pid ?? 0)

  const urlOf = (name: string) => {
    const own = new URL(url)
    own.pathname = `/${name}`
    return own.href
  }

  async function create(purpose: string, from: string): Promise<string> {
    const name = `kern_bench_${process.pid}_${purpose}`
    await admin.unsafe(`create database ${name} template ${from}`)
    names.push(name)
    return name
  }

  let migratedOnce: Promise<string> | null = null
  /** A database with Kern's tables, of which the others are copies. */
  const template = () => {
    migratedOnce ??= create('template', 'template1').then(async (name) => {
      await using database = await openDatabase(postgres(urlOf(name)))
      await migrate(database)
      return name
    })
    return migratedOnce
  }

  async function cost(name: string): Promise<Cost> {
    await admin`select pg_stat_force_next_flush()`
    const [row] = await admin<{ commits: string; wal: string }[]>`
      select (select xact_commit from pg_stat_database where datname = ${name}) as commits,
             pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') as wal`
    return { commits: Number(row?.commits), walBytes: Number(row?.wal), cpuMs: await cpuOf(postmaster) }
  }

  /** Together, since each waits until the server has written everything to disk, and they can share that. */
  async function drop(all: readonly string[]): Promise<void> {
    const sql = postgresJs(url, { max: 12, onnotice: () => undefined })
    await Promise.all(all.map((name) => sql.unsafe(`drop database if exists ${name} with (force)`)))
    await sql.end({ timeout: 5 })
  }

  /** What was left by processes of this machine that were killed. */
  async function dropLeftovers(): Promise<void> {
    const found = await admin<{ name: string }[]>`
      select datname as name from pg_database where datname ~ '^kern_bench_[0-9]+_'`
    await drop(found.map(({ name }) => name).filter((name) => !isAlive(Number(name.split('_')[2]))))
  }

  if (postmaster !== null) await dropLeftovers()
  return {
    async describe() {
      const [row] = await admin<{ text: string }[]>`
        select 'Postgres ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')
          || ', synchronous_commit ' || current_setting('synchronous_commit') as text`
      return row?.text ?? ''
    },
    async database(purpose, { migrated = true } = {}) {
      const name = await create(purpose, migrated ? await template() : 'template1')
      return { url: urlOf(name), cost: () => cost(name) }
    },
    async settle() {
      // Only some users may; without it the figures are a little less even.
      await admin.unsafe('checkpoint').catch(() => undefined)
    },
    async [Symbol.asyncDispose]() {
      await drop(names)
      await admin.end({ timeout: 5 })
    },
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

interface ProcessTimes {
  readonly parent: number
  readonly name: string
  readonly cpuMs: number
}

/** Linux counts processor time in hundredths of a second. */
const TICK_MS = 10

/** From `/proc` (proc_pid_stat(5)); null where there is none. Times of children that have ended are their parent's. */
async function timesOf(pid: number | string): Promise<ProcessTimes | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (text === null) return null
  const end = text.lastIndexOf(')')
  const fields = text.slice(end + 2).split(' ')
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0)
  return { parent: Number(fields[1]), name: text.slice(text.indexOf('(') + 1, end), cpuMs: ticks * TICK_MS }
}

/** The process that all others of the server come from; null if the server is not on this machine. */
async function parentOf(backend: number): Promise<number | null> {
  const times = await timesOf(backend)
  return times?.name === 'postgres' ? times.parent : null
}

async function cpuOf(postmaster: number | null): Promise<number> {
  if (postmaster === null) return Number.NaN
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const all = await Promise.all(pids.map(async (pid) => ({ pid: Number(pid), times: await timesOf(pid) })))
  const own = all.filter(({ pid, times }) => pid === postmaster || times?.parent === postmaster)
  return own.reduce((sum, { times }) => sum + (times?.cpuMs ?? 0), 0)
}
