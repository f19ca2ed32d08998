import { asc, type Column, desc, type SQL, sql } from 'drizzle-orm'
import type { Page, PageRequest } from '../engine/reader.ts'
import { KernError, shown } from '../errors.ts'

/** A type of sort key: its Postgres type, and which texts are one. */
export interface KeyType {
  readonly cast: 'timestamptz' | 'float8' | 'int' | 'text'
  readonly valid: (text: string) => boolean
}

const TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,3})?(Z|\+00)$/

export const TIME_KEY: KeyType = { cast: 'timestamptz', valid: isTime }
export const NUMBER_KEY: KeyType = { cast: 'float8', valid: isNumber }
export const COUNT_KEY: KeyType = { cast: 'int', valid: (text) => /^[1-9]\d{0,8}$/.test(text) }
export const TEXT_KEY: KeyType = { cast: 'text', valid: (text) => text.isWellFormed() && !text.includes('\0') }

/** The database refuses days that do not exist and the year 0, which JavaScript takes for others. */
function isTime(text: string): boolean {
  const time = TIME.test(text) ? Date.parse(text.replace('+00', 'Z')) : Number.NaN
  if (Number.isNaN(time) || text.startsWith('0000')) return false
  return new Date(time).toISOString().slice(0, 19) === text.slice(0, 19).replace(' ', 'T')
}

/** What is too large or too small for a float is refused by the database, and infinity or zero in JavaScript. */
function isNumber(text: string): boolean {
  if (text === 'Infinity') return true
  const number = /^-?\d+(\.\d+)?(e[+-]\d+)?$/.test(text) ? Number(text) : Number.NaN
  return Number.isFinite(number) && (number !== 0 || text === '0' || text === '-0')
}

/** An order of a list. It ends in a unique column, so that no two rows are in the same place. */
export interface Ordering {
  /** Which order it is; a cursor of another one is refused. */
  readonly name: string
  readonly key: SQL | Column
  readonly keyType: KeyType
  readonly id: Column
  readonly validId: (id: string) => boolean
  readonly descending: boolean
  /** What the list is sorted by: the key and then the id, or one of them that is enough by itself. */
  readonly sorts: 'both' | 'key' | 'id'
}

export interface Position {
  readonly key: string
  readonly id: string
}

export function encodeCursor(order: Pick<Ordering, 'name'>, { key, id }: Position): string {
  return Buffer.from(JSON.stringify([order.name, key, id])).toString('base64url')
}

/** @throws KernError CURSOR_INVALID unless the cursor was made for this order */
export function decodeCursor(order: Ordering, argument: 'after' | 'before', cursor: string): Position {
  const [name, key, id, ...rest] = parse(cursor)
  const wellFormed = rest.length === 0 && typeof key === 'string' && typeof id === 'string'
  if (!wellFormed || name !== order.name || !order.keyType.valid(key) || !order.validId(id)) {
    throw new KernError(
      'CURSOR_INVALID',
      `${argument} is ${shown(cursor)}: allowed is a cursor of an edge of this list, in the same order (${order.name})`,
    )
  }
  return { key, id }
}

function parse(cursor: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** The part of a list that a page is cut from: what its cursors leave. */
export function within(order: Ordering, page: PageRequest): SQL {
  const bounds: SQL[] = [sql`true`]
  if (page.after !== null) bounds.push(beyond(order, decodeCursor(order, 'after', page.after), order.descending))
  if (page.before !== null) bounds.push(beyond(order, decodeCursor(order, 'before', page.before), !order.descending))
  return sql.join(bounds, sql` and `)
}

function beyond({ key, id, keyType, sorts }: Ordering, position: Position, below: boolean): SQL {
  const keyPlace = sql`${position.key}::text::${sql.raw(keyType.cast)}`
  const idPlace = sql`${position.id}::text::${sql.raw(id.getSQLType())}`
  const than = below ? sql`<` : sql`>`
  if (sorts === 'key') return sql`${key} ${than} ${keyPlace}`
  if (sorts === 'id') return sql`${id} ${than} ${idPlace}`
  return sql`(${key}, ${id}) ${than} (${keyPlace}, ${idPlace})`
}

/** The order in which the rows of a page are read: backwards for a page from the end. */
export function orderBy({ key, id, descending, sorts }: Ordering, { fromEnd }: PageRequest): SQL[] {
  const columns = { both: [key, id], key: [key], id: [id] }[sorts]
  return columns.map(descending === fromEnd ? asc : desc)
}

/** The page of rows that were read with one more than its limit. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  page: PageRequest,
  edge: (row: Row) => Page<Item>['items'][number],
): Page<Item> {
  const more = rows.length > page.limit
  const items = rows.slice(0, page.limit).map(edge)
  if (page.fromEnd) items.reverse()
  return {
    items,
    hasNextPage: page.fromEnd ? page.before !== null : more,
    hasPreviousPage: page.fromEnd ? more : page.after !== null,
  }
}
