import { type SQL, sql } from 'drizzle-orm'
import { arrayOfElements, elementText } from '../db/array.ts'

/** A column of rows that are sent to the database: its name, its type, and what a row has in it. */
export type Column<Row> = readonly [name: string, type: ColumnType, cell: (row: Row) => unknown]

type ColumnType = 'uuid' | 'text' | 'int' | 'bool' | 'timestamptz' | 'json' | 'uuid[]' | 'text[]'

/** A row as it is sent: an element of each column's array. */
export type EncodedRow = readonly string[]

/**
 * Rows as parameters of a statement: one for each column, the text of an array, however many rows there are. So the text
 * of the statement is always the same, and a connection prepares it once.
 */
export interface RowSet<Row> {
  /** How many parameters it has. */
  readonly size: number
  /** The rows as a query, in a statement that has this many parameters before. */
  text(parametersBefore: number): string
  encode(row: Row): EncodedRow
  /** The parameters, in their order. */
  values(rows: readonly EncodedRow[]): string[]
  /** Query and parameters together. */
  sql(rows: readonly Row[]): SQL
}

export function rowSetOf<Row>(columns: readonly Column<Row>[]): RowSet<Row> {
  const names = columns.map(([name]) => name).join(', ')
  const selected = columns.map(([name, type]) => (isPlain(type) ? `t.${name}` : `t.${name}::${type}`)).join(', ')
  // The arrays in an array would have to be of one length, so they are sent as text, and json, which is long, as well.
  const casts = columns.map(([, type]) => `::text::${isPlain(type) ? type : 'text'}[]`)
  // What is no text has no character that an array gives a meaning to.
  const elements = columns.map(([, type]) => (isText(type) ? elementText : plainElement))
  const encode = (row: Row) => columns.map(([, , cell], index) => (elements[index] ?? elementText)(cell(row)))
  const values = (rows: readonly EncodedRow[]) =>
    columns.map((_column, index) => arrayOfElements(rows.map((row) => row[index] ?? 'NULL')))
  return {
    size: columns.length,
    text(before) {
      const parameters = casts.map((cast, index) => `$${before + index + 1}${cast}`)
      return `select ${selected} from unnest(${parameters.join(', ')}) as t(${names})`
    },
    encode,
    values,
    sql(rows) {
      const parameters = values(rows.map(encode)).map((value, index) => sql`${value}${sql.raw(casts[index] ?? '')}`)
      return sql`select ${sql.raw(selected)} from unnest(${sql.join(parameters, sql`, `)}) as t(${sql.raw(names)})`
    },
  }
}

function isText(type: ColumnType): boolean {
  return !['uuid', 'int', 'bool', 'timestamptz'].includes(type)
}

function plainElement(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  return value instanceof Date ? value.toISOString() : String(value)
}

function isPlain(type: ColumnType): boolean {
  return !type.endsWith('[]') && type !== 'json'
}
