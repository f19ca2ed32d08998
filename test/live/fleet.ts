import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'vite'
import type { Order, Serving } from './member.child.ts'

/** A process that serves, or executes runs, or both. */
export interface Member {
  /** Where GraphQL is; null if it does not answer over HTTP. */
  readonly url: string | null
  /** Kills it with SIGKILL; resolves when it has ended. */
  kill(): Promise<void>
}

/** Starts processes, with one that has loaded its code already. */
export interface Fleet extends AsyncDisposable {
  /** Resolves when it serves. */
  start(order: Order): Promise<Member>
}

export async function createFleet(): Promise<Fleet> {
  const { path, remove } = await bundled()
  const all = new Set<ChildProcess>()
  const make = (): ChildProcess => {
    const child = fork(path, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    all.add(child)
    child.once('exit', () => all.delete(child))
    return child
  }
  let spare = make()
  return {
    async start(order) {
      const child = spare
      spare = make()
      const ended = once(child, 'exit').then(([code]) => {
        throw new Error(`a process ended with ${code} before it served`)
      })
      const serving = once(child, 'message').then(([message]) => message as Serving) // the only one that it sends
      child.send(order)
      const { url } = await Promise.race([serving, ended])
      // From now on it may end.
      ended.catch(() => undefined)
      return { url, kill: () => kill(child) }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...all].map(kill))
      await remove()
    },
  }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** The code of the process in one file: loading it from its hundreds of sources takes ten times as long. */
async function bundled(): Promise<{ path: string; remove: () => Promise<void> }> {
  const root = join(import.meta.dirname, '..', '..')
  // Inside the project, so that what is left out of the file is found.
  const outDir = await mkdtemp(join(root, 'node_modules', '.kern-live-'))
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    build: {
      ssr: 'test/live/member.child.ts',
      outDir,
      emptyOutDir: false,
      target: 'node22',
      minify: false,
      rollupOptions: { output: { codeSplitting: false, entryFileNames: 'member.child.mjs' } },
    },
    ssr: { noExternal: true, external: ['@electric-sql/pglite', 'ai', 'pg-native'], target: 'node' },
  })
  return { path: join(outDir, 'member.child.mjs'), remove: () => rm(outDir, { recursive: true, maxRetries: 3 }) }
}
