import { writeSync } from 'node:fs'
import { sql } from 'drizzle-orm'
import { pglite } from '../../src/config.ts'
import { openDatabase, rows } from '../../src/db/client.ts'
import { workers } from '../../src/db/tables.ts'
import { transaction } from '../../src/db/transaction.ts'
import { newId } from '../../src/ids.ts'

/** Says how many rows it finds in an embedded database, then writes one after another, and says of each that it is kept. */
const [folder = ''] = process.argv.slice(2)
const { db } = await openDatabase(pglite(folder), { migrate: false })
const [found] = await rows<{ n: number; last: number }>(
  db,
  sql`select count(*)::int as n, coalesce(max(pid), 0) as last from kern.workers`,
)
let number = found?.last ?? 0
writeSync(1, `found ${found?.n} ${number}\n`)
for (;;) {
  number++
  await transaction(db, async (tx) => {
    await tx.insert(workers).values({ workerId: newId(), host: 'x'.repeat(5_000), pid: number })
  })
  writeSync(1, `kept ${number}\n`)
}
