import { KernError, shown } from './errors.ts'

/** A value that can be stored and read back unchanged. */
export type Json = string | number | boolean | null | JsonArray | JsonObject
export type JsonArray = readonly Json[]
export interface JsonObject {
  readonly [key: string]: Json
}

/** How large a stored value may be. */
export interface ValueLimits {
  /** UTF-8 bytes of its JSON text. @default 1_048_576 */
  readonly maxBytes: number
  /** Objects and arrays inside each other. @default 64 */
  readonly maxDepth: number
}

/** What a stored value may be where nothing else is set. */
export const DEFAULT_LIMITS: ValueLimits = Object.freeze({ maxBytes: 1_048_576, maxDepth: 64 })

const PREVIEW_POINTS = 256

/**
 * Checks that a value can be stored and will be read back equal.
 *
 * A property whose value is undefined counts as absent. The same object may occur in several places, but not inside
 * itself. Every property is read exactly once, so a getter cannot give one value to the check and another to the text.
 *
 * @returns a copy of the value, which later changes to the original do not reach, and the copy's JSON text
 * @throws KernError VALUE_NOT_STORABLE with the path to the fault, such as `$.items[3].when`
 * @throws KernError VALUE_TOO_LARGE with the limit in bytes
 */
export function storable(value: unknown, limits: ValueLimits = DEFAULT_LIMITS): { value: Json; text: string } {
  const walk: Walk = { limits, keys: [], ancestors: [], bytesAtLeast: 0, negativeZero: false }
  const copy = copyOf(value, walk)
  const text = walk.negativeZero ? textWithNegativeZero(copy) : JSON.stringify(copy)
  // UTF-8 takes at most three bytes for a UTF-16 unit: most texts need no second look.
  if (text.length * 3 > limits.maxBytes) {
    const bytes = Buffer.byteLength(text)
    if (bytes > limits.maxBytes) throw tooLarge(`$ has ${bytes} bytes as JSON text`, limits)
  }
  return { value: copy, text }
}

/** A value in one line for lists: text as it is, anything else as JSON, cut to 256 code points; '' for undefined. */
export function previewOf(value: Json | undefined): string {
  if (value === undefined) return ''
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  if (text.length <= PREVIEW_POINTS) return text
  // A code point has at most two units, so this slice holds one point more than fits, if there is one.
  const points = Array.from(text.slice(0, (PREVIEW_POINTS + 1) * 2))
  return points.length > PREVIEW_POINTS ? `${points.slice(0, PREVIEW_POINTS - 1).join('')}…` : text
}

/** True for a JSON value with keys: not an array, not null. */
export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether two values are the same, whatever the order of keys; −0 equals 0. */
export function jsonEquals(a: Json, b: Json): boolean {
  if (a === b) return true
  if (isJsonObject(a)) {
    if (!isJsonObject(b)) return false
    const entries = Object.entries(a)
    if (entries.length !== Object.keys(b).length) return false
    return entries.every(([key, item]) => {
      const other = Object.hasOwn(b, key) ? b[key] : undefined
      return other !== undefined && jsonEquals(item, other)
    })
  }
  if (!isJsonArray(a) || !isJsonArray(b) || a.length !== b.length) return false
  return a.every((item, index) => {
    const other = b[index]
    return other !== undefined && jsonEquals(item, other)
  })
}

/** JSON text with sorted keys: the same for two values exactly where {@link jsonEquals} holds. For hashing. */
export function canonicalText(value: Json): string {
  if (isJsonArray(value)) return `[${value.map(canonicalText).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalText(item)}`).join(',')}}`
}

/** `Array.isArray`, which by itself does not know readonly arrays. */
function isJsonArray(value: Json): value is JsonArray {
  return Array.isArray(value)
}

/** Where {@link storable} is in the value. `keys` is the path, and `ancestors` the containers along it. */
interface Walk {
  readonly limits: ValueLimits
  readonly keys: (string | number)[]
  readonly ancestors: object[]
  /**
   * A lower bound of the size, counted on the way: it ends the walk early where a small graph of shared objects would
   * unfold into a text that no memory holds.
   */
  bytesAtLeast: number
  negativeZero: boolean
}

function copyOf(value: unknown, walk: Walk): Json {
  switch (typeof value) {
    case 'string':
      count(value.length + 2, walk)
      checkText(value, 'is text', walk)
      return value
    case 'number':
      count(1, walk)
      if (!Number.isFinite(value)) throw refused(`is ${value}: allowed are finite numbers`, walk)
      if (Object.is(value, -0)) walk.negativeZero = true
      return value
    case 'boolean':
      count(4, walk)
      return value
    case 'object':
      count(2, walk)
      return value === null ? null : copyOfContainer(value, walk)
    case 'bigint':
      throw refused(`is the BigInt ${shown(String(value))}: allowed are numbers, or its text`, walk)
    default:
      throw refused(`is ${typeof value === 'undefined' ? 'undefined' : `a ${typeof value}`}: ${ALLOWED}`, walk)
  }
}

const ALLOWED = 'allowed are null, booleans, finite numbers, text, arrays and plain objects'

/** The only place where code of the author can run (getters, proxies): what it throws becomes a refusal. */
function copyOfContainer(source: object, walk: Walk): Json {
  if (walk.ancestors.length >= walk.limits.maxDepth) throw tooDeep(source, walk)
  walk.ancestors.push(source)
  let copy: Json
  try {
    const prototype: unknown = Object.getPrototypeOf(source)
    if (Array.isArray(source) && prototype === Array.prototype) copy = copyOfArray(source, walk)
    else if (prototype === Object.prototype || prototype === null) copy = copyOfObject(source, walk)
    else throw refused(foreign(source), walk)
  } catch (error) {
    if (error instanceof KernError) throw error
    throw refused('could not be read: it threw', walk, error)
  }
  walk.ancestors.pop()
  return copy
}

function copyOfArray(source: readonly unknown[], walk: Walk): Json {
  const copy: Json[] = []
  for (let index = 0; index < source.length; index += 1) {
    walk.keys.push(index)
    const item = source[index]
    if (item === undefined && !Object.hasOwn(source, index)) {
      throw refused('is a hole in a sparse array: allowed are arrays with a value at each index', walk)
    }
    copy.push(copyOf(item, walk))
    walk.keys.pop()
  }
  // Every index is there, so with `length` there is one name more than items.
  if (Object.getOwnPropertyNames(source).length !== source.length + 1) {
    const extra = Object.getOwnPropertyNames(source).find(
      (name) => name !== 'length' && !(Number(name) < source.length),
    )
    throw refused(`is an array with the extra key ${shown(extra)}: allowed are indices only`, walk)
  }
  refuseSymbols(source, walk)
  return copy
}

function copyOfObject(source: object, walk: Walk): Json {
  const copy: Record<string, Json> = {}
  const keys = Object.keys(source)
  if (Object.getOwnPropertyNames(source).length !== keys.length) {
    const hidden = Object.getOwnPropertyNames(source).find((name) => !keys.includes(name))
    throw refused(`has the key ${shown(hidden)}, which is not enumerable: JSON would drop it`, walk)
  }
  refuseSymbols(source, walk)
  // `as`: only the type of the values is claimed, and that claim is `unknown`.
  const readable = source as Readonly<Record<string, unknown>>
  for (const key of keys) {
    walk.keys.push(key)
    const item = readable[key]
    if (item !== undefined) {
      // Written as a plain property below, this one key would set the prototype.
      if (key === '__proto__') throw refused('is a key that cannot be stored: allowed are all others', walk)
      count(key.length + 3, walk)
      checkText(key, 'has a key', walk)
      copy[key] = copyOf(item, walk)
    }
    walk.keys.pop()
  }
  return copy
}

function refuseSymbols(source: object, walk: Walk): void {
  const symbol = Object.getOwnPropertySymbols(source)[0]
  if (symbol) throw refused(`has the key ${shown(String(symbol))}, a symbol: allowed are keys of text`, walk)
}

function checkText(text: string, subject: string, walk: Walk): void {
  if (!text.isWellFormed()) {
    throw refused(`${subject} with half a surrogate pair: allowed is well-formed Unicode`, walk)
  }
  if (text.includes('\0')) throw refused(`${subject} with the character NUL, which the database cannot hold`, walk)
}

function count(bytes: number, walk: Walk): void {
  walk.bytesAtLeast += bytes
  if (walk.bytesAtLeast > walk.limits.maxBytes) {
    throw tooLarge(
      `At ${pathOf(walk)}, the value grew to more than ${walk.limits.maxBytes} bytes as JSON text`,
      walk.limits,
    )
  }
}

function tooLarge(what: string, { maxBytes }: ValueLimits): KernError {
  return new KernError('VALUE_TOO_LARGE', `${what}: allowed are up to ${maxBytes}`, { limit: maxBytes })
}

function refused(what: string, walk: Walk, cause?: unknown): KernError {
  return new KernError('VALUE_NOT_STORABLE', `${pathOf(walk)} ${what}`, { cause })
}

/** A cycle is found when it has led too deep: so no value without a fault pays for the search. */
function tooDeep(source: object, walk: Walk): KernError {
  const chain = [...walk.ancestors, source]
  const again = chain.findIndex((container, index) => chain.indexOf(container) < index)
  if (again === -1) {
    const { maxDepth } = walk.limits
    return refused(`is nested deeper than ${maxDepth} objects and arrays: allowed are up to ${maxDepth}`, walk)
  }
  const keys = walk.keys.slice(0, again)
  const first = chain.findIndex((container) => container === chain[again])
  return refused(`leads back to ${pathText(walk.keys.slice(0, first))}: allowed are values without cycles`, {
    ...walk,
    keys,
  })
}

function foreign(source: object): string {
  if (source instanceof Date) return 'is a Date, which would be read back as text: give its toISOString()'
  if (source instanceof Promise) return 'is a Promise: allowed is what it resolves to, so await it first'
  const tag = Object.prototype.toString.call(source).slice(8, -1)
  const maker: unknown = Reflect.get(source, 'constructor')
  const name = typeof maker === 'function' && maker.name !== '' ? maker.name : tag
  return `is an instance of ${shown(name)}: ${ALLOWED}`
}

function pathOf(walk: Walk): string {
  return pathText(walk.keys)
}

const PATH_POINTS = 200

/** `$.items[3]["a b"]`; of a long path the end, where the fault is. */
function pathText(keys: readonly (string | number)[]): string {
  const parts = keys.map((key) => {
    if (typeof key === 'number') return `[${key}]`
    return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
  })
  const points = [...parts.join('')]
  return points.length > PATH_POINTS ? `$…${points.slice(-PATH_POINTS).join('')}` : `$${points.join('')}`
}

function textWithNegativeZero(value: Json): string {
  // `as`: TypeScript's library does not know rawJSON yet, which Node has since 22.
  const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown }
  const zero = rawJSON('-0')
  return JSON.stringify(value, (_key, item: unknown) => (Object.is(item, -0) ? zero : item))
}

/** JSON text of a value that was checked before; negative zero keeps its sign. */
export function jsonText(value: Json): string {
  return hasNegativeZero(value) ? textWithNegativeZero(value) : JSON.stringify(value)
}

function hasNegativeZero(value: Json): boolean {
  if (typeof value === 'number') return Object.is(value, -0)
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).some(hasNegativeZero)
}

/** A copy that can be changed without changing the original. */
export function copyJson(value: JsonObject): JsonObject
export function copyJson(value: Json): Json
export function copyJson(value: Json): Json {
  if (typeof value !== 'object' || value === null) return value
  if (isJsonArray(value)) return value.map((item) => copyJson(item))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyJson(item)]))
}

/** Makes a value and everything in it unchangeable, so that an attempt to change it throws. */
export function deepFreeze<Value extends Json>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const item of Object.values(value)) deepFreeze(item)
  return Object.freeze(value)
}
