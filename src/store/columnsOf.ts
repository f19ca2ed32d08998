import { type SQL, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'

/** A column of the rows as the text of an array: one parameter, however many rows there are. */
export function columnsOf<Row>(rows: readonly Row[]): (cell: (row: Row) => unknown) => SQL {
  return (cell) => sql`${arrayText(rows.map(cell))}::text`
}
