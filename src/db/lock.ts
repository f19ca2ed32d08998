import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { KernError } from '../errors.ts'

/** A lock that this process holds. */
export interface FolderLock {
  /** Gives the folder free. May be called twice. */
  release(): Promise<void>
}

/** Who holds a lock, as its file says. */
interface Holder {
  readonly pid: number
  readonly host: string
  /** Tells a process from a later one with the same number; null where the system does not say. */
  readonly startedAt: string | null
  /** Tells one lock from the next of the same process. */
  readonly nonce: string
}

const ATTEMPTS = 50
const PAUSE_MS = 20

/**
 * Locks a data folder for this process, by the file `<folder>.lock` beside it: the embedded database has no lock of its
 * own, and two processes in one folder destroy it. The lock of a process that has died is taken over; that of a living
 * one never is, also if it does not answer.
 *
 * @throws KernError DATABASE_LOCKED, naming the process that holds it
 */
export async function acquireLock(folder: string): Promise<FolderLock> {
  return await acquire(`${folder}.lock`, folder)
}

async function acquire(path: string, folder: string): Promise<FolderLock> {
  const mine: Holder = {
    pid: process.pid,
    host: hostname(),
    startedAt: await startOf(process.pid),
    nonce: randomUUID(),
  }
  const draft = draftOf(path, mine)
  await writeFile(draft, JSON.stringify(mine), { flag: 'wx' })
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (await create(draft, path)) return { release: () => release(path, mine) }
      const holder = await read(path)
      if (holder === null) continue
      if (await isAlive(holder)) throw locked(folder, path, holder)
      if (await takeOver({ draft, path, folder, dead: holder })) return { release: () => release(path, mine) }
      await delay(PAUSE_MS)
    }
    throw new KernError('DATABASE_LOCKED', `${folder} is being opened by other processes at this moment`)
  } finally {
    await rm(draft, { force: true })
  }
}

function draftOf(path: string, { nonce }: Holder): string {
  return `${path}.${nonce}.draft`
}

/** A link, unlike a new file, appears with its content: nobody can read half a lock. */
async function create(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw new KernError('UNAVAILABLE', `the lock ${path} could not be made (${codeOf(error)})`, { cause: error })
  }
}

interface TakeOver {
  readonly draft: string
  readonly path: string
  readonly folder: string
  readonly dead: Holder
}

/**
 * Of all who find the same dead lock, the one who gets the lock named after it may replace it. It looks again first: the
 * dead lock may have been replaced between the look and the naming, and a later one must not be removed.
 */
async function takeOver({ draft, path, folder, dead }: TakeOver): Promise<boolean> {
  let right: FolderLock
  try {
    right = await acquire(`${path}.${dead.nonce}`, folder)
  } catch (error) {
    if (error instanceof KernError && error.code === 'DATABASE_LOCKED') return false
    throw error
  }
  try {
    if ((await read(path))?.nonce !== dead.nonce) return false
    await rename(draft, path)
    // It may have died between making its lock and removing its draft.
    await rm(draftOf(path, dead), { force: true })
    return true
  } finally {
    await right.release()
  }
}

async function release(path: string, mine: Holder): Promise<void> {
  if ((await read(path))?.nonce === mine.nonce) await rm(path, { force: true })
}

async function read(path: string): Promise<Holder | null> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
  return parse(text) ?? { pid: 0, host: hostname(), startedAt: null, nonce: 'unreadable' }
}

function parse(text: string): Holder | null {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return null
    if (!('pid' in value) || !('host' in value) || !('startedAt' in value) || !('nonce' in value)) return null
    const { pid, host, startedAt, nonce } = value
    if (!Number.isSafeInteger(pid) || typeof pid !== 'number' || typeof host !== 'string') return null
    if (typeof nonce !== 'string' || !/^[\w-]+$/.test(nonce)) return null
    return { pid, host, startedAt: typeof startedAt === 'string' ? startedAt : null, nonce }
  } catch {
    return null
  }
}

/** Whether the process that made a lock may still live. Of a process on another machine nothing is known: it may. */
async function isAlive(holder: Holder): Promise<boolean> {
  if (holder.host !== hostname()) return true
  if (holder.pid <= 0) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    if (codeOf(error) === 'ESRCH') return false
  }
  const startedAt = await startOf(holder.pid)
  return startedAt === null || holder.startedAt === null || startedAt === holder.startedAt
}

/** The boot of the machine and the ticks from there to the start of the process; null where there is no `/proc`. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1')
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1')
    // The second field is the name of the program, in parentheses, and may hold spaces and parentheses itself.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    // A zombie has ended, though its number is not free before its parent has asked for it.
    return state === 'Z' || state === 'X' ? 'ended' : `${boot.trim()}:${fields[19]}`
  } catch {
    return null
  }
}

function locked(folder: string, path: string, { pid, host }: Holder): KernError {
  const where = host === hostname() ? '' : ` on ${host}; if that machine is gone, remove ${path}`
  return new KernError(
    'DATABASE_LOCKED',
    `${folder} is open in process ${pid}${where}: one process at a time may use it`,
  )
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
