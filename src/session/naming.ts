import { KernError, shown } from '../errors.ts'

const MAX_POINTS = 200
const MAX_GRAPHEMES = 37
/** C0, DEL and C1. */
const CONTROL = /\p{Cc}/u
const BREAK_OR_CONTROL = /\r\n|[\p{Cc}\u2028\u2029]/gu

/**
 * A session name that a person gave, without the white space around it.
 *
 * @throws KernError INPUT_INVALID unless 1 to 200 characters are left, with no control character among them
 */
export function manualName(name: unknown): string {
  return checkedText('sessionName', typeof name === 'string' ? name.trim() : name, 'white space at the ends is dropped')
}

/**
 * A session id that a caller chose, exactly as it was given.
 *
 * @throws KernError INPUT_INVALID unless it has 1 to 200 characters, with no control character among them
 */
export function checkSessionId(id: unknown): string {
  return checkedText('sessionId', id, 'taken exactly as given')
}

/** What a generated session name is made of. */
export interface GeneratedNameOptions {
  /** The workflow's description; null or blank to use its name instead. */
  readonly description: string | null
  readonly workflowName: string
  readonly now: Date
  /** The IANA time zone in which the name tells the time; see {@link checkTimeZone}. */
  readonly timeZone: string
}

/**
 * `<description> - YYYY-MM-DD HH:MM`. Of a longer description stand its first 37 characters as a reader counts them
 * (grapheme clusters), with a space at the cut kept; each control character or line break in it becomes a space. The
 * result is one that {@link manualName} accepts, unless its 37 characters consist of more than 181 code points.
 */
export function generatedName({ description, workflowName, now, timeZone }: GeneratedNameOptions): string {
  const subject = oneLine(description ?? '') || oneLine(workflowName)
  return `${firstGraphemes(subject, MAX_GRAPHEMES)} - ${minuteIn(timeZone, now)}`
}

/** What to call a session: its name, else what its first run was given, else that it is new. */
export function displayNameOf(session: {
  readonly name: string | null
  /** null or blank: there is none. */
  readonly firstInputPreview: string | null
  readonly workflowName: string
}): string {
  if (session.name !== null) return session.name
  const preview = session.firstInputPreview ?? ''
  return preview.trim() === '' ? `New ${session.workflowName} session` : preview
}

/** @throws KernError CONFIG_INVALID for a time zone that the platform does not know */
export function checkTimeZone(zone: unknown): string {
  try {
    if (typeof zone === 'string') {
      new Intl.DateTimeFormat('en', { timeZone: zone })
      return zone
    }
  } catch {
    // Answered below, together with what is not text.
  }
  throw new KernError(
    'CONFIG_INVALID',
    `timeZone is ${shown(zone)}: allowed is the name of an IANA time zone, such as 'UTC' or 'Europe/Berlin'`,
  )
}

function checkedText(field: string, value: unknown, note: string): string {
  const fault = typeof value === 'string' ? faultIn(value) : 'is not text'
  if (typeof value === 'string' && fault === null) return value
  const message = `${field} ${fault}: received ${shown(value)}, allowed are 1 to ${MAX_POINTS} characters (${note})`
  throw new KernError('INPUT_INVALID', message, { issues: [{ path: [field], message }] })
}

function faultIn(text: string): string | null {
  if (text === '') return 'is empty'
  // A code point has at most two units: a text of twice the length needs no counting.
  if (text.length > MAX_POINTS * 2 || [...text].length > MAX_POINTS) return `is longer than ${MAX_POINTS} characters`
  if (!text.isWellFormed()) return 'has half a surrogate pair'
  return CONTROL.test(text) ? 'has a control character' : null
}

function oneLine(text: string): string {
  return text.toWellFormed().replace(BREAK_OR_CONTROL, ' ').trim()
}

function firstGraphemes(text: string, count: number): string {
  let taken = 0
  for (const { index } of new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(text)) {
    if (taken === count) return text.slice(0, index)
    taken += 1
  }
  return text
}

function minuteIn(timeZone: string, at: Date): string {
  const format = new Intl.DateTimeFormat('en', {
    timeZone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  })
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]))
  const digits = (type: Intl.DateTimeFormatPartTypes, length: number) => (parts.get(type) ?? '').padStart(length, '0')
  return `${digits('year', 4)}-${digits('month', 2)}-${digits('day', 2)} ${digits('hour', 2)}:${digits('minute', 2)}`
}
