import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { sql } from 'drizzle-orm'
import { type Database, openDatabase, rows } from '../../src/db/client.ts'
import type { DatabaseUrl } from '../../src/config.ts'
import { createKernOn, type Kern } from '../../src/kern.ts'
import type { Tamper } from '../../src/wiring/pace.ts'
import { createLog } from '../../src/log.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { PATIENCE } from '../support/kerns.ts'
import { type Place, temporary } from '../support/places.ts'
import type { Crew, Member } from './crew.ts'
import { effectLog, readEffects } from './effects.ts'
import { type Breach, type Evidence, judge } from './oracle.ts'
import { type EventRow, readRows } from './rows.ts'
import type { Order, Request } from './worker.child.ts'
import { faultyWorkflows } from './workflows.ts'

/** A database and a log of effects that several processes share, one after another or at the same time. */
export interface Scene {
  readonly effects: string
  /** Starts a process there. The first one makes an embedded database from its dump. */
  hire(order: Partial<Order>): Member
}

export async function createScene(crew: Crew, { text, image }: Place): Promise<Scene> {
  const effects = join(await temporary(), 'effects')
  let left = image
  return {
    effects,
    hire(order) {
      const member = crew.hire({ database: text, image: left, effects, faults: [], requests: [], ...order })
      left = null
      return member
    },
  }
}

interface KernSetting {
  readonly effects: string
  /** How many runs it executes at once. @default 0 */
  readonly concurrency?: number
  /** After how long others count as dead, in milliseconds. @default 1_000 */
  readonly leaseMs?: number
  readonly tamper?: Tamper
}

/** A Kern of the test's own on a database: it accepts and reads, and executes nothing unless it has places. */
export async function openKern(
  url: DatabaseUrl,
  { effects, concurrency = 0, leaseMs = 1_000, tamper }: KernSetting,
): Promise<{ readonly kern: Kern; readonly database: Database }> {
  const database = await openDatabase(url)
  onTestFinished(() => database.close())
  const log = effectLog(effects)
  const workflows = faultyWorkflows({ log, reach: async () => {}, slowMs: 0 })
  const options = { workflows, concurrency, log: createLog({ level: 'silent' }), graceMs: 1_000, drainMs: 0 }
  const kern = await createKernOn(database, options, {
    leaseMs,
    heartbeatMs: 200,
    pollMs: 50,
    parkMs: 10,
    maxDeaths: 1_000_000,
    tamper,
  })
  onTestFinished(() => kern.close())
  return { kern, database }
}

/** Resolves when no run is left that has not ended. */
export async function allEnded({ db }: Database): Promise<void> {
  const open = async () => {
    const [row] = await rows<{ n: number }>(
      db,
      sql`select count(*)::int as n from kern.runs where completed_at is null`,
    )
    return row?.n
  }
  await expect.poll(open, PATIENCE).toBe(0)
}

/** Reads a stream to its end. */
export async function transcriptOf(kern: Kern, runId: string): Promise<{ runId: string; events: EventRow[] }> {
  const events: EventRow[] = []
  for await (const { seq, type, stepPath } of await kern.streams.run(SYSTEM_VIEWER, { runId })) {
    events.push({ runId, seq, type, stepPath })
  }
  return { runId, events }
}

export interface Judged extends Partial<Omit<Evidence, 'rows' | 'effects' | 'requests' | 'dead'>> {
  readonly effects: string
  readonly requests: readonly Request[]
  readonly dead: ReadonlySet<number>
}

/** What is wrong with all that a database and a log of effects hold. */
export async function breachesIn(database: Database, { effects, requests, ...given }: Judged): Promise<Breach[]> {
  return judge({
    transcripts: [],
    floor: requests.length,
    ...given,
    rows: await readRows(database),
    effects: readEffects(effects),
    requests: requests.map(({ key }) => key),
  })
}

/** @throws Error with the breaches, by their rules */
export function expectSound(breaches: readonly Breach[]): void {
  expect(breaches.map(({ rule, text }) => `${rule}: ${text}`)).toEqual([])
}
