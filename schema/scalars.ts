import { GraphQLError, Kind, type ValueNode } from 'graphql'
import { shown } from '../src/errors.ts'
import type { Json } from '../src/json.ts'
import type { Builder } from './builder.ts'

/** Adds `DateTime` and `JSON`. */
export function addScalars(builder: Builder): void {
  builder.scalarType('DateTime', {
    description:
      'A moment as RFC 3339 text. Answers are in UTC with milliseconds, such as `2024-11-19T14:30:00.000Z`. Input needs a ' +
      'zone (`Z` or an offset such as `+01:00`) and a year from 0001 to 9999; digits after the milliseconds are cut off.',
    serialize: (value) => value.toISOString(),
    parseValue: parseDateTime,
  })
  builder.scalarType('JSON', {
    description:
      'Any JSON value. In a literal, names of keys stand without quotes and variables may stand inside; a number that ' +
      'cannot be kept exactly is refused.',
    serialize: (value) => value,
    // What a variable holds was read from JSON; whether it can be stored is checked by the command that stores it.
    parseValue: (value) => value as Json,
    parseLiteral: (node, variables) => literalValue(node, variables ?? undefined),
  })
}

const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):(\d\d))$/i

/**
 * Reads RFC 3339 text as a moment, to the millisecond.
 *
 * @throws GraphQLError INPUT_INVALID for anything else
 */
export function parseDateTime(value: unknown): Date {
  const match = typeof value === 'string' ? DATE_TIME.exec(value) : null
  const moment = match ? momentOf(match) : null
  if (!moment) {
    throw invalid(
      `a DateTime is ${shown(value)}: allowed is RFC 3339 text with a zone, such as "2024-11-19T14:30:00Z" or "2024-11-19T15:30:00.000+01:00"`,
    )
  }
  return moment
}

function momentOf(match: RegExpExecArray): Date | null {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number)
  const ms = Number((match[7] ?? '').slice(0, 3).padEnd(3, '0'))
  const [offsetHours, offsetMinutes] = [Number(match[9] ?? 0), Number(match[10] ?? 0)]
  const local = new Date(0)
  local.setUTCFullYear(year, month - 1, day)
  const dayExists = local.getUTCMonth() === month - 1 && local.getUTCDate() === day
  if (!dayExists || hour > 23 || minute > 59 || second > 59 || offsetHours > 23 || offsetMinutes > 59) return null
  local.setUTCHours(hour, minute, second, ms)
  const offsetMs = (offsetHours * 60 + offsetMinutes) * 60_000 * (match[8] === '-' ? -1 : 1)
  const moment = new Date(local.getTime() - offsetMs)
  // Neither the database nor four digits can hold other years.
  const utcYear = moment.getUTCFullYear()
  return utcYear >= 1 && utcYear <= 9999 ? moment : null
}

/**
 * The JSON value of a literal.
 *
 * @param variables undefined while a document is validated, when variables have no values yet
 * @throws GraphQLError INPUT_INVALID for a number that would not be kept exactly, and for an enum value
 */
export function literalValue(node: ValueNode, variables: Readonly<Record<string, unknown>> | undefined): Json {
  switch (node.kind) {
    case Kind.NULL:
      return null
    case Kind.STRING:
    case Kind.BOOLEAN:
      return node.value
    case Kind.INT:
    case Kind.FLOAT:
      return exactNumber(node.value, node)
    case Kind.VARIABLE:
      return variableValue(variables?.[node.name.value])
    case Kind.LIST:
      return node.values.map((item) => literalValue(item, variables))
    case Kind.OBJECT:
      // fromEntries keeps a key `__proto__` as a key, so that it is refused later and not lost here.
      return Object.fromEntries(
        node.fields
          .filter(({ value }) => !isAbsent(value, variables))
          .map(({ name, value }) => [name.value, literalValue(value, variables)]),
      )
    case Kind.ENUM:
      throw invalid(
        `a JSON literal holds ${node.value}: allowed are text in quotes, numbers, true, false, null, lists and objects`,
        node,
      )
  }
}

/** As in an input object, a key whose variable was not given is not there. */
function isAbsent(node: ValueNode, variables: Readonly<Record<string, unknown>> | undefined): boolean {
  return node.kind === Kind.VARIABLE && variables !== undefined && variables[node.name.value] === undefined
}

function variableValue(value: unknown): Json {
  if (value === undefined) return null
  // A variable of the type DateTime holds a Date; every other one what was read from JSON.
  return value instanceof Date ? value.toISOString() : (value as Json)
}

function exactNumber(text: string, node: ValueNode): number {
  const value = Number(text)
  const exact = node.kind === Kind.INT ? Number.isSafeInteger(value) : Number.isFinite(value)
  if (!exact || digitsOf(text) !== digitsOf(String(value))) {
    throw invalid(
      `a JSON literal holds the number ${text}: allowed are whole numbers from -${Number.MAX_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER} and fractions that a 64-bit float keeps; give others as text`,
      node,
    )
  }
  return value
}

/** The same for every way to write a decimal number: its sign, its digits without outer zeros, and its magnitude. */
function digitsOf(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text) ?? []
  const digits = whole + fraction
  const significant = digits.replace(/^0+/, '')
  const magnitude = Number(exponent) + whole.length - (digits.length - significant.length)
  const trimmed = significant.replace(/0+$/, '')
  // Zero is written without its sign by String().
  return trimmed === '' ? '0' : `${sign}${trimmed}e${magnitude}`
}

function invalid(message: string, node?: ValueNode): GraphQLError {
  return new GraphQLError(message, { ...(node ? { nodes: [node] } : {}), extensions: { code: 'INPUT_INVALID' } })
}
