import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'vite'
import type { Order, Report } from './worker.child.ts'

/** A process that serves. */
export interface Member {
  readonly pid: number
  /** Resolves when it has its worker, and every earlier process is known to it. */
  readonly serving: Promise<void>
  /** Resolves when all its requests were accepted. */
  readonly accepted: Promise<void>
  /** How it ended: the signal that killed it, or its exit code. */
  readonly ended: Promise<NodeJS.Signals | number | null>
  signal(signal: NodeJS.Signals): void
  /** Asks it to end by itself. */
  close(): void
}

/** Starts processes, with spare ones that have loaded their code already. */
export interface Crew extends AsyncDisposable {
  hire(order: Order): Member
  /** Processes that were killed, or ended otherwise than by `close`, so far. */
  readonly dead: ReadonlySet<number>
}

interface Hand {
  readonly child: ChildProcess
  readonly pid: number
}

/** @param spares how many processes are kept ready; @param args of Node, for each process */
export async function createCrew({
  spares = 1,
  execArgv = [],
}: {
  spares?: number
  execArgv?: readonly string[]
} = {}): Promise<Crew> {
  const { path, remove } = await bundled()
  const dead = new Set<number>()
  const all = new Set<ChildProcess>()
  const start = (): Hand => {
    const child = fork(path, [], {
      execPath: process.execPath,
      execArgv: [...execArgv],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    all.add(child)
    child.once('exit', (code) => {
      all.delete(child)
      if (code !== 0 && child.pid !== undefined) dead.add(child.pid)
    })
    if (child.pid === undefined) throw new Error('a process could not be started')
    return { child, pid: child.pid }
  }
  const waiting = Array.from({ length: spares }, start)
  const dispose = async (): Promise<void> => {
    const ends = [...all].map((child) => once(child, 'exit'))
    for (const child of all) child.kill('SIGKILL')
    await Promise.all(ends)
    await remove()
  }
  return {
    dead,
    hire(order) {
      const hand = waiting.shift() ?? start()
      if (spares > 0) waiting.push(start())
      return memberOf(hand, order)
    },
    [Symbol.asyncDispose]: dispose,
  }
}

function memberOf({ child, pid }: Hand, order: Order): Member {
  const [serving, accepted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const ended = new Promise<NodeJS.Signals | number | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? code))
  })
  child.on('message', (report: Report) => {
    if (report === 'serving') serving.resolve()
    if (report === 'accepted') accepted.resolve()
  })
  // One that is killed says nothing any more; whoever waits for it waits for its end, too.
  for (const { promise } of [serving, accepted]) promise.catch(() => undefined)
  void ended.then((how) => {
    for (const { reject } of [serving, accepted]) reject(new Error(`process ${pid} ended by ${how}`))
  })
  child.send(order)
  return {
    pid,
    serving: serving.promise,
    accepted: accepted.promise,
    ended,
    signal: (signal) => void child.kill(signal),
    close: () => void child.send('close'),
  }
}

/** The code of the process in one file: loading it from its hundreds of sources takes ten times as long. */
async function bundled(): Promise<{ path: string; remove: () => Promise<void> }> {
  const root = join(import.meta.dirname, '..', '..')
  // Inside the project, so that what is left out of the file is found.
  const outDir = await mkdtemp(join(root, 'node_modules', '.kern-faults-'))
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: 'test/faults/worker.child.ts',
      outDir,
      emptyOutDir: false,
      target: 'node22',
      minify: false,
      rollupOptions: { output: { codeSplitting: false, entryFileNames: 'worker.child.mjs' } },
    },
    ssr: { noExternal: true, external: ['@electric-sql/pglite', 'ai', 'pg-native'], target: 'node' },
  })
  return { path: join(outDir, 'worker.child.mjs'), remove: () => rm(outDir, { recursive: true, maxRetries: 3 }) }
}
