import { type Column, type SQL, sql } from 'drizzle-orm'
import { arrayText } from '../db/array.ts'

/**
 * True for a row whose column has one of the values. One parameter, however many there are: the text of the statement is
 * always the same, so a connection prepares it once.
 */
export function anyOf(column: Column, values: readonly string[]): SQL {
  return sql`${column} = any(${arrayText([...new Set(values)])}::text::${sql.raw(column.getSQLType())}[])`
}
