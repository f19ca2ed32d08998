import { type Duration, durationMs } from '../clock.ts'
import { isKernError, KernError, shown } from '../errors.ts'
import { type Json, storable } from '../json.ts'
import type { ReadContext } from './context.ts'
import type { Computed, Schema } from './definition.ts'
import { isSchema } from './schemaCheck.ts'

/** How long a name may be, in code points. */
export const MAX_NAME_LENGTH = 100
/** How long a description may be, in UTF-16 code units: every session keeps those of its workflow. */
export const MAX_DESCRIPTION_LENGTH = 2_000
/** How often a step may be tried at most. */
export const MAX_ATTEMPTS = 1_000
/** How many runs of history a step may be given at most. */
export const MAX_HISTORY_RUNS = 100
/** How many steps or items may run at the same time at most, where a number is given. */
export const MAX_CONCURRENCY = 1_000

const ID = /^[a-z0-9][a-z0-9._-]{0,99}$/

/** Options as they came: the readers below turn each value into what it must be. */
export type RawOptions<Key extends string> = { readonly [Name in Key]?: unknown }

/** The error for a value that a definition may not have. */
export function refused(place: string, value: unknown, allowed: string): KernError {
  // JSON has no NaN and no Infinity: shown() would call both null.
  const text = typeof value === 'number' ? String(value) : shown(value)
  return new KernError('DEFINITION_INVALID', `${place} is ${text}: ${allowed}`)
}

/**
 * Reads an object of options. An option that Kern does not know is refused, so that no setting is ignored in silence.
 *
 * @throws KernError DEFINITION_INVALID
 */
export function readOptions<Key extends string>(
  place: string,
  value: unknown,
  allowed: readonly Key[],
): RawOptions<Key> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refused(place, value, `allowed is an object with ${allowed.join(', ')}`)
  }
  const names: readonly string[] = allowed
  const unknown = Object.keys(value).find((key) => !names.includes(key))
  if (unknown !== undefined) {
    throw new KernError(
      'DEFINITION_INVALID',
      `${place} has the unknown option ${shown(unknown)}: allowed are ${allowed.join(', ')}`,
    )
  }
  return { ...value }
}

/** Reads the name of a workflow. @throws KernError DEFINITION_INVALID */
export function readName(place: string, value: unknown): string {
  const allowed = `allowed is text of 1 to ${MAX_NAME_LENGTH} characters, without control characters or blanks at the ends`
  if (typeof value !== 'string') throw refused(place, value, allowed)
  const fault = nameFault(value)
  if (fault !== null) throw refused(place, value, `it ${fault}; ${allowed}`)
  return value
}

/** Reads the name of a node, which becomes a part of paths. @throws KernError DEFINITION_INVALID */
export function readNodeName(place: string, value: unknown): string {
  const name = readName(place, value)
  if (/[/[\]]/.test(name) || /^\.+$/.test(name)) {
    throw refused(place, name, `a name in a path may not have "/", "[" or "]" in it, nor be made of dots alone`)
  }
  return name
}

function nameFault(name: string): string | null {
  if (name === '') return 'is empty'
  if (/[\p{Cc}\u2028\u2029]/u.test(name)) return 'has a control character'
  if (!name.isWellFormed()) return 'has half of a character (a lone surrogate)'
  if (name !== name.trim()) return 'has blanks at an end'
  const length = [...name].length
  return length > MAX_NAME_LENGTH ? `has ${length} characters` : null
}

/** Reads an id, or makes the slug of the name where none is given. @throws KernError DEFINITION_INVALID */
export function readId(place: string, value: unknown, name: string): string {
  const allowed = 'allowed are 1 to 100 of the characters a-z 0-9 . _ -, the first one a letter or digit'
  if (value === undefined) {
    const id = slugOf(name)
    if (id !== '') return id
    throw new KernError(
      'DEFINITION_INVALID',
      `${place} cannot be made from the name ${shown(name)}, which has no letter a-z and no digit: give an id; ${allowed}`,
    )
  }
  if (typeof value !== 'string' || !ID.test(value)) throw refused(place, value, allowed)
  return value
}

/** A name as an id: lower case, every run of anything but a–z and 0–9 as one `-`, none at the ends; may be empty. */
export function slugOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

/** Reads a description; null where there is none. @throws KernError DEFINITION_INVALID */
export function readDescription(place: string, value: unknown): string | null {
  if (value === undefined) return null
  const allowed = `allowed is text of at most ${MAX_DESCRIPTION_LENGTH} characters, without NUL and halves of characters`
  const fits = typeof value === 'string' && value.length <= MAX_DESCRIPTION_LENGTH
  if (!fits || value.includes('\0') || !value.isWellFormed()) throw refused(place, value, allowed)
  return value
}

/** Reads a schema; null where there is none. @throws KernError DEFINITION_INVALID */
export function readSchema(place: string, value: unknown): Schema | null {
  if (value === undefined) return null
  if (!isSchema(value))
    throw refused(place, value, 'allowed is a Standard Schema, such as one of zod, valibot or arktype')
  return value
}

/** Reads a yes or no; null where there is none. @throws KernError DEFINITION_INVALID */
export function readFlag(place: string, value: unknown): boolean | null {
  if (value === undefined) return null
  if (typeof value !== 'boolean') throw refused(place, value, 'allowed are true and false')
  return value
}

/** Reads a whole number from 1 to `max`; null where there is none. @throws KernError DEFINITION_INVALID */
export function readCount(place: string, value: unknown, max: number): number | null {
  if (value === undefined) return null
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
    throw refused(place, value, `allowed is a whole number from 1 to ${max}`)
  }
  return value
}

/** The highest priority of a run; the lowest is as far below zero. */
export const MAX_PRIORITY = 100

/** True for what may be the priority of a run. */
export function isPriority(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= MAX_PRIORITY
}

/** Reads the priority of runs; null where there is none. @throws KernError DEFINITION_INVALID */
export function readPriority(place: string, value: unknown): number | null {
  if (value === undefined) return null
  if (!isPriority(value)) {
    throw refused(place, value, `allowed is a whole number from -${MAX_PRIORITY} to ${MAX_PRIORITY}`)
  }
  return value
}

/** Reads one of some words; null where there is none. @throws KernError DEFINITION_INVALID */
export function readChoice<Choice extends string>(
  place: string,
  value: unknown,
  choices: readonly Choice[],
): Choice | null {
  if (value === undefined) return null
  const found = choices.find((choice) => choice === value)
  if (found === undefined)
    throw refused(place, value, `allowed are ${choices.map((choice) => `"${choice}"`).join(', ')}`)
  return found
}

/** Reads a duration as milliseconds; null where there is none. @throws KernError DEFINITION_INVALID */
export function readDuration(place: string, value: unknown, max?: number): number | null {
  if (value === undefined) return null
  // durationMs refuses every value that is not of the type.
  return durationMs(place, value as Duration, max)
}

/** Reads a time limit as milliseconds, at least one; null where there is none. @throws KernError DEFINITION_INVALID */
export function readTimeout(place: string, value: unknown, max?: number): number | null {
  const ms = readDuration(place, value, max)
  if (ms !== null && ms < 1)
    throw refused(place, value, 'allowed is a time of at least 1 ms; leave it out for no limit')
  return ms
}

/**
 * Reads a function. What it takes and returns is for the types of the constructors to check: at run time functions do
 * not say.
 *
 * @throws KernError DEFINITION_INVALID
 */
export function readFunction<Given extends (context: never) => unknown>(place: string, value: unknown): Given {
  if (typeof value !== 'function') throw refused(place, value, 'allowed is a function')
  // Nothing more can be known of a function, as said above.
  return value as Given
}

/** Reads a function that gives a value, or by `read` the value itself. @throws KernError DEFINITION_INVALID */
export function readComputed<Value>(
  place: string,
  value: unknown,
  read: (place: string, value: unknown) => Value,
): Computed<Value> {
  return typeof value === 'function' ? readFunction<(context: ReadContext) => Value>(place, value) : read(place, value)
}

/** Reads text that says something. @throws KernError DEFINITION_INVALID */
export function readText(place: string, value: unknown): string {
  const fits = typeof value === 'string' && value !== '' && !value.includes('\0') && value.isWellFormed()
  if (!fits) throw refused(place, value, 'allowed is text that is not empty, without NUL and halves of characters')
  return value
}

/** Reads a value that is kept as JSON, as a copy. @throws KernError DEFINITION_INVALID */
export function readJson(place: string, value: unknown): Json {
  try {
    return storable(value).value
  } catch (error) {
    if (!isKernError(error)) throw error
    throw new KernError('DEFINITION_INVALID', `${place} cannot be stored: ${error.message}`, { cause: error })
  }
}
