import { isDeepStrictEqual } from 'node:util'
import type postgres from 'postgres'
import type { Seen } from './follower.ts'

/** An event as its row has it. */
export interface Row extends Omit<Seen, 'cursor' | 'rest'> {
  readonly runId: string
  readonly sessionId: string
  /** Of the run in its session. */
  readonly number: number
  readonly seq: number
  readonly stepPath: string | null
}

interface Columns {
  readonly run_id: string
  readonly session_id: string
  readonly number: number
  readonly seq: number
  readonly type: string
  readonly name: string | null
  readonly at: Date
  readonly step_path: string | null
  readonly data: string | null
}

/** All events of all runs, by session, number and `seq`. */
export async function readEvents(sql: postgres.Sql): Promise<Row[]> {
  const rows = await sql<Columns[]>`
    select r.run_id, r.session_id, r.number, e.seq, e.type, e.name, e.at, e.step_path, e.data::text as data
    from kern.runs r join kern.events e using (run_id) order by r.session_id, r.number, e.seq`
  return rows.map(
    ({ run_id: runId, session_id: sessionId, number, seq, type, name, at, step_path: stepPath, data }) => {
      const key = `${runId}:${seq}`
      const own: unknown = data === null ? null : JSON.parse(data)
      return { runId, sessionId, number, seq, stepPath, key, type, name, at: at.toISOString(), data: own }
    },
  )
}

/**
 * What is wrong with what a client saw of a list of rows. A run that waits for its turn may be told of as queued before
 * that; all else comes in the order of the rows.
 */
export function faultsOf(transcript: readonly Seen[], rows: readonly Row[]): string[] {
  const faults: string[] = []
  const seen = new Map<string, Seen>()
  for (const event of transcript) {
    if (seen.has(event.key)) faults.push(`${event.key} ${event.type} came twice`)
    seen.set(event.key, event)
  }
  for (const row of rows) {
    const event = seen.get(row.key)
    if (!event) faults.push(`${row.key} ${row.type} is lost`)
    else if (!isSame(event, row)) faults.push(`${row.key} is ${JSON.stringify(event)}, but ${JSON.stringify(row)}`)
    seen.delete(row.key)
  }
  for (const { key, type } of seen.values()) faults.push(`${key} ${type} is of no row`)
  return [...faults, ...faultsOfOrder(transcript, rows)]
}

function isSame(event: Seen, { type, name, at, data }: Row): boolean {
  return event.type === type && event.name === name && event.at === at && isDeepStrictEqual(event.data, data)
}

function faultsOfOrder(transcript: readonly Seen[], rows: readonly Row[]): string[] {
  const places = new Map(rows.map(({ key }, index) => [key, index]))
  const faults: string[] = []
  let [newest, newestQueued] = [-1, -1]
  for (const { key, type } of transcript) {
    const place = places.get(key) ?? -1
    if (place === -1) continue
    const before = type === 'RUN_QUEUED' ? newestQueued : newest
    if (place < before) faults.push(`${key} ${type} came after ${rows[before]?.key}`)
    // What came before its turn does not hold up others, but nothing of its run may come before it.
    if (type === 'RUN_QUEUED') newestQueued = Math.max(newestQueued, place)
    else newest = Math.max(newest, place)
    if (type === 'RUN_QUEUED' && place < newest) faults.push(`${key} ${type} came after ${rows[newest]?.key}`)
  }
  return faults
}
