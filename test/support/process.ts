import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { inject } from 'vitest'

const SOURCE = join(import.meta.dirname, '..', '..', 'src')

/** A folder that is gone when it is disposed of. */
export interface Folder extends AsyncDisposable {
  readonly path: string
}

/** A folder with a file of workflows, `flow.ts`, and an embedded database, `data`, that nobody has used yet. */
export async function createProject(workflows: string): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'kern-process-'))
  await writeFile(join(path, 'flow.ts'), `import { step, Workflow } from '${SOURCE}/index.ts'\n${workflows}`)
  // Making an embedded database takes seconds; this one was made before.
  await mkdir(join(path, 'data'), { mode: 0o700 })
  await promisify(execFile)('tar', ['-xf', inject('image'), '-C', join(path, 'data')])
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, maxRetries: 3 }) }
}

/** A `kern` in a process of its own. */
export interface KernProcess extends AsyncDisposable {
  readonly child: ChildProcess
  /** What it logged so far, parsed. */
  readonly lines: readonly Record<string, unknown>[]
  /** What it wrote, at its end. */
  readonly ended: Promise<Ended>
  /** Where GraphQL is, once it listens. Rejects if it ends before. */
  readonly url: Promise<string>
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

/** Runs `kern` with these arguments. It is killed when it is disposed of. */
export function startProcess(folder: string, args: readonly string[]): KernProcess {
  const child = spawn(process.execPath, [join(SOURCE, 'cli', 'main.ts'), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: Record<string, unknown>[] = []
  const written = { out: '', err: '' }
  const listening = Promise.withResolvers<string>()
  // Whoever does not ask for the address need not handle that there is none.
  listening.promise.catch(() => {})
  createInterface({ input: child.stdout }).on('line', (text) => {
    written.out += `${text}\n`
    if (!text.startsWith('{')) return
    const line: Record<string, unknown> = JSON.parse(text)
    lines.push(line)
    if (line['msg'] === 'Kern listens') listening.resolve(String(line['graphql'] ?? line['url']))
  })
  child.stderr.on('data', (chunk: Buffer) => {
    written.err += chunk.toString()
  })
  const ended = once(child, 'close').then(([code, signal]) => {
    listening.reject(new Error(`kern ${args.join(' ')} ended with ${code}: ${written.out}${written.err}`))
    return { code, signal, ...written }
  })
  const dispose = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  return { child, lines, ended, url: listening.promise, [Symbol.asyncDispose]: dispose }
}

/** Serves the workflows of a project from a database, on a free port. */
export function startServer(folder: string, database: string, ...flags: readonly string[]): KernProcess {
  return startProcess(folder, ['start', '--port', '0', '--workflows', 'flow.ts', '--database', database, ...flags])
}
