import { writeFile } from 'node:fs/promises'
import { lexicographicSortSchema, printSchema } from 'graphql'
import { createSchema } from './index.ts'

/** Where the printed schema stands. */
export const SDL_FILE = new URL('schema.graphql', import.meta.url)

/** The schema as text: sorted, the same on every machine. */
export function printedSchema(): string {
  return `${printSchema(lexicographicSortSchema(createSchema()))}\n`
}

if (import.meta.main) await writeFile(SDL_FILE, printedSchema())
