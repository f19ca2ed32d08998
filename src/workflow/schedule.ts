import { CronExpressionParser } from 'cron-parser'
import type { WorkflowSchedule } from './definition.ts'
import { readJson, readOptions, refused } from './validate.ts'

/** When runs of a workflow are started by themselves. */
export interface ScheduleOptions<Input = unknown> {
  /**
   * A cron expression of five fields: minute, hour, day of the month, month, day of the week. `0 9 * * 1-5` is at nine on
   * working days. Also `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`.
   */
  readonly cron: string
  /** The IANA time zone in which the expression is read. @default 'UTC' */
  readonly timeZone?: string | undefined
  /** What each run is given: it must fit the input schema, which is checked when a Kern starts. @default none */
  readonly input?: Input | undefined
  /** The session of the runs, made by the first one. @default a new session for each run */
  readonly sessionId?: string | undefined
}

const SCHEDULE_KEYS = ['cron', 'timeZone', 'input', 'sessionId'] as const satisfies readonly (keyof ScheduleOptions)[]

const NAMED = ['@hourly', '@daily', '@weekly', '@monthly', '@yearly']
const CRON_ALLOWED = `allowed are five fields (minute, hour, day of the month, month, day of the week), or ${NAMED.join(', ')}`
const ZONE_ALLOWED = 'allowed is the name of an IANA time zone, such as Europe/Berlin, or UTC'

/** Reads the schedule of a workflow; null where there is none. @throws KernError DEFINITION_INVALID */
export function readSchedule(named: string, given: unknown): WorkflowSchedule | null {
  if (given === undefined) return null
  const place = `schedule of ${named}`
  const { cron, timeZone, input, sessionId } = readOptions(place, given, SCHEDULE_KEYS)
  const schedule = {
    cron: readCron(`cron in the ${place}`, cron),
    timeZone: readZone(`timeZone in the ${place}`, timeZone),
    sessionId: readSessionId(`sessionId in the ${place}`, sessionId),
    ...(input === undefined ? {} : { input: readJson(`input in the ${place}`, input) }),
  }
  return Object.freeze<WorkflowSchedule>(schedule)
}

function readCron(place: string, value: unknown): string {
  if (typeof value !== 'string') throw refused(place, value, CRON_ALLOWED)
  const fields = value.trim().split(/\s+/)
  const known = fields.length === 5 || (fields.length === 1 && NAMED.includes(value.trim()))
  // `H` is a minute that the parser makes up, another one each time.
  if (!known || /\bH\b/i.test(value)) throw refused(place, value, CRON_ALLOWED)
  const text = fields.join(' ')
  try {
    occurrences({ cron: text, timeZone: 'UTC' }, new Date()).next()
  } catch (error) {
    throw refused(place, value, `${error instanceof Error ? error.message : String(error)}; ${CRON_ALLOWED}`)
  }
  return text
}

function readZone(place: string, value: unknown): string {
  if (value === undefined) return 'UTC'
  if (typeof value !== 'string') throw refused(place, value, ZONE_ALLOWED)
  try {
    return new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone
  } catch {
    throw refused(place, value, ZONE_ALLOWED)
  }
}

function readSessionId(place: string, value: unknown): string | null {
  if (value === undefined) return null
  const fits = typeof value === 'string' && /^\P{Cc}{1,200}$/u.test(value) && value.isWellFormed()
  if (!fits) throw refused(place, value, 'allowed is text of 1 to 200 characters without control characters')
  return value
}

type Times = Pick<WorkflowSchedule, 'cron' | 'timeZone'>

/** The first time of a schedule after this one. */
export function nextTick(schedule: Times, after: Date): Date {
  return occurrences(schedule, after).next().toDate()
}

/** The last time of a schedule that is not after this one. */
export function lastTick(schedule: Times, at: Date): Date {
  // The parser looks strictly before the time that it is given.
  return occurrences(schedule, new Date(at.getTime() + 1))
    .prev()
    .toDate()
}

function occurrences({ cron, timeZone }: Times, from: Date) {
  return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: from })
}
