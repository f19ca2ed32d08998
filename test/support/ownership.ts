import { eq } from 'drizzle-orm'
import type { Database } from '../../src/db/client.ts'
import { runs } from '../../src/db/tables.ts'

/** How many processes died while they executed a run. */
export async function deathsOf(database: Database, runId: string): Promise<number | undefined> {
  const [row] = await database.db.select({ deaths: runs.deaths }).from(runs).where(eq(runs.runId, runId))
  return row?.deaths
}
