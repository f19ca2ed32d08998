import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { pglite } from '../../src/config.ts'
import { openDatabase } from '../../src/db/client.ts'
import { acquireLock } from '../../src/db/lock.ts'
import { transaction } from '../../src/db/transaction.ts'
import type { KernError } from '../../src/errors.ts'
import { createGate, PATIENCE } from '../support/kerns.ts'

let root: string
let folder: string
let children: ChildProcess[]

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kern-lock-'))
  folder = join(root, 'data')
  children = []
})

afterEach(() => {
  vi.useRealTimers()
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

interface Contender {
  readonly child: ChildProcess
  readonly pid: number
  /** What it said: that it holds the lock, or the code and message of the error. */
  next(): Promise<string>
}

/** A process that tries to get the lock as soon as it is told to, says what came of it, and lives on. */
function contender(): Contender {
  const program = join(import.meta.dirname, '../support/contender.ts')
  const child = spawn(process.execPath, [program, folder], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    pid: child.pid ?? 0,
    next: async () => {
      const line = await lines.next()
      if (line.done === true) throw new Error('the process ended')
      return line.value
    },
  }
}

async function holder(): Promise<Contender> {
  const process = contender()
  expect(await process.next()).toBe('ready')
  process.child.stdin?.write('go\n')
  expect(await process.next()).toBe('held')
  return process
}

async function kill({ child }: Contender): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

describe('the lock of a data folder', () => {
  test('is refused at once while another process holds it, and the refusal names that process', async () => {
    const { pid } = await holder()
    const refusal = await acquireLock(folder).catch((error: KernError) => error)
    expect(refusal).toMatchObject({ code: 'DATABASE_LOCKED', message: expect.stringContaining(`process ${pid}`) })
  })

  test('is refused to the same process a second time', async () => {
    const lock = await acquireLock(folder)
    await expect(acquireLock(folder)).rejects.toThrow(`process ${process.pid}`)
    await lock.release()
    await (await acquireLock(folder)).release()
  })

  test('is not stolen from a process that is stopped', async () => {
    const { child, pid } = await holder()
    child.kill('SIGSTOP')
    await expect(acquireLock(folder)).rejects.toThrow(`process ${pid}`)
  })

  test('is taken over from a process that was killed', async () => {
    await kill(await holder())
    expect(existsSync(`${folder}.lock`)).toBe(true)
    const lock = await acquireLock(folder)
    await lock.release()
    expect(readdirSync(root)).toEqual([])
  })

  test('is taken over from a process whose number a later one has', async () => {
    const gone = { pid: process.pid, host: hostname(), startedAt: 'before:1', nonce: 'gone' }
    writeFileSync(`${folder}.lock`, JSON.stringify(gone))
    const lock = await acquireLock(folder)
    await lock.release()
  })

  test('is not taken over from another machine', async () => {
    const far = { pid: 2 ** 30, host: 'elsewhere', startedAt: null, nonce: 'far' }
    writeFileSync(`${folder}.lock`, JSON.stringify(far))
    await expect(acquireLock(folder)).rejects.toThrow('on elsewhere')
  })

  test('is taken over where a take-over was killed half way', async () => {
    const dead = { pid: 2 ** 30, host: hostname(), startedAt: null, nonce: 'dead' }
    writeFileSync(`${folder}.lock`, JSON.stringify(dead))
    writeFileSync(`${folder}.lock.dead`, JSON.stringify({ ...dead, nonce: 'also-dead' }))
    const lock = await acquireLock(folder)
    await lock.release()
    expect(readdirSync(root)).toEqual([])
  })

  test('goes to one of many that find a dead one at the same time', async () => {
    await kill(await holder())
    const contenders = Array.from({ length: 6 }, contender)
    await Promise.all(contenders.map((one) => one.next()))
    for (const { child } of contenders) child.stdin?.write('go\n')
    const answers = await Promise.all(contenders.map((one) => one.next()))
    expect(answers.filter((answer) => answer === 'held')).toHaveLength(1)
    expect(answers.filter((answer) => answer.startsWith('DATABASE_LOCKED'))).toHaveLength(5)
  })

  test('goes to one of many within a process that find a dead one at the same time', async () => {
    for (let round = 0; round < 30; round++) {
      const dead = { pid: 2 ** 30, host: hostname(), startedAt: null, nonce: `dead-${round}` }
      writeFileSync(`${folder}.lock`, JSON.stringify(dead))
      const results = await Promise.allSettled(Array.from({ length: 5 }, () => acquireLock(folder)))
      const won = results.filter((result) => result.status === 'fulfilled')
      expect(won).toHaveLength(1)
      await won[0]?.value.release()
    }
    expect(readdirSync(root)).toEqual([])
  })
})

describe('an embedded database in a folder', () => {
  test('is refused while it is open, whatever path leads to it, and can be opened again with its data after', async () => {
    const deep = join(root, 'not/yet/there')
    const first = await openDatabase(pglite(deep))
    symlinkSync(join(root, 'not'), join(root, 'alias'))
    await expect(openDatabase(pglite(join(root, 'alias/yet/there')))).rejects.toThrow('one process at a time')
    await first.close()
    const again = await openDatabase(pglite(join(root, 'alias/yet/there')))
    expect(again.describe()).toContain('alias/yet/there')
    await again.close()
    expect(readdirSync(join(root, 'not/yet'))).toEqual(['there'])
  })

  test('stays locked when it was closed but could not end, until it has ended', async () => {
    const database = await openDatabase(pglite(folder), { migrate: false })
    const gate = createGate()
    const unended = transaction(database.db, () => gate.pass())
    await gate.reached
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const closing = database.close()
    await vi.advanceTimersByTimeAsync(5_000)
    await closing
    vi.useRealTimers()
    await expect(acquireLock(folder)).rejects.toThrow(`process ${process.pid}`)
    gate.open()
    await unended
    await expect.poll(() => existsSync(`${folder}.lock`), PATIENCE).toBe(false)
  })
})
