import { type SQL, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'
import { type Db, rows } from '../db/client.ts'
import type { Place } from '../engine/cursor.ts'
import type { EventsOfSession, Reader, SessionEvent } from '../engine/reader.ts'
import type { EventRecord, RunEventType } from '../engine/records.ts'
import type { Viewer } from '../viewer.ts'
import { decode } from './rows.ts'
import { visibleRuns } from './visible.ts'

/** How many runs are looked into at once: a session may have very many, and each page of events sorts those it looks into. */
const RUNS = 50

/** An event; of the last run that has its turn or had it also where there is no event of it to give. */
interface Row {
  readonly runId: string
  readonly number: number
  readonly early: boolean
  /** 1, 2, 3 … among those that are looked into. */
  readonly place: number
  readonly lastSeq: number
  readonly seq: number | null
  readonly type: RunEventType | null
  readonly at: number | null
  readonly stepPath: string | null
  readonly name: string | null
  readonly data: string | null
}

/**
 * Everything is one statement, so that it is as of one moment: what was committed before an event that is given has been
 * given before, or comes with it.
 */
export function createSessionEvents(db: Db, viewer: Viewer): Reader['sessionEvents'] {
  const visible = visibleRuns(viewer)
  return async (sessionId, after, { limit, types }) => {
    const wanted = types === null ? sql`true` : sql`e.type = any(${arrayText(types)}::text::text[])`
    const found = await rows<Row>(db, statement({ sessionId, after, limit, wanted, visible }))
    return pageOf(found, limit)
  }
}

interface Asked {
  readonly sessionId: string
  readonly after: Place
  readonly limit: number
  readonly wanted: SQL
  readonly visible: SQL
}

/**
 * The runs up to the one that has its turn, or all where none does, stand in order: the turn moves on after the end of a
 * run, so whoever reads up to there has read everything of the runs before. Of runs beyond it only the first event is read.
 */
function statement({ sessionId, after: { number, seq, queued }, limit, wanted, visible }: Asked): SQL {
  const ofSession = sql`kern.runs.session_id = ${sessionId} and ${visible}`
  return sql`
    with turn as (
      select coalesce((select a.number from kern.sessions s join kern.runs a on a.run_id = s.active_run_id
        where s.session_id = ${sessionId}), 2147483647) as number),
    some_runs as (
      (select run_id, number, false as early, row_number() over (order by number)::int as place from kern.runs
        where ${ofSession} and number >= ${number}::int and number <= (select number from turn)
        order by number limit ${RUNS})
      union all
      (select run_id, number, true, row_number() over (order by number)::int from kern.runs
        where ${ofSession} and number > greatest((select number from turn), ${queued}::int)
        order by number limit ${RUNS}))
    select r.run_id as "runId", r.number, r.early, r.place, coalesce(newest.seq, 0) as "lastSeq",
      e.seq, e.type, e.at, e.step_path as "stepPath", e.name, e.data
    from some_runs r
    left join lateral (
      select n.seq + json_array_length(n.events) - 1 as seq from kern.run_events n
      where n.run_id = r.run_id order by n.seq desc limit 1) newest on true
    left join lateral (
      select e.first_seq, e.seq, e.type, (extract(epoch from e.at) * 1000)::float8 as at, e.step_path, e.name,
        e.data::text as data
      from kern.events e
      where e.run_id = r.run_id and ${wanted} and case
        when r.early then e.first_seq = 1 and e.seq = 1
        when r.number > ${number}::int then e.seq > 1 or r.number > ${queued}::int
        else e.seq > ${seq}::int and e.first_seq >= (
          select max(f.seq) from kern.run_events f where f.run_id = r.run_id and f.seq <= ${seq}::int + 1) end
    ) e on true
    where e.seq is not null or r.number = (select max(number) from some_runs where not early)
    order by r.early, r.number, e.first_seq, e.seq
    limit ${limit + 2}`
}

/** @param rows with one event more than the limit if there are more, and at most one row that has none */
function pageOf(rows: readonly Row[], limit: number): EventsOfSession {
  const next = rows.filter(({ seq }) => seq !== null)[limit]
  const found = next ? rows.slice(0, rows.indexOf(next)) : rows
  const inTurn = found.filter(({ early }) => !early)
  const last = inTurn.at(-1)
  const cutInTurn = next?.early === false
  const seq = (cutInTurn ? last?.seq : null) ?? last?.lastSeq ?? 0
  const upTo = last ? { runId: last.runId, number: last.number, seq } : null
  const events = inTurn.flatMap(eventOf)
  // Nothing that is queued comes before what is owed of the runs before it.
  if (cutInTurn || last?.place === RUNS) return { events, queued: [], upTo, more: true }
  const early = found.filter((row) => row.early)
  return { events, queued: early.flatMap(eventOf), upTo, more: next !== undefined || early.at(-1)?.place === RUNS }
}

function eventOf({ runId, number, seq, type, at, stepPath, name, data }: Row): SessionEvent[] {
  if (seq === null || type === null || at === null) return []
  const event: EventRecord = { runId, seq, type, at: new Date(at), stepPath, name, data: decode(data) }
  return [{ number, event }]
}
