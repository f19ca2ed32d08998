import { sql } from 'drizzle-orm'
import { expect, onTestFinished, test } from 'vitest'
import { type Db, rows } from '../../src/db/client.ts'
import { onEachDatabase } from '../support/databases.ts'

/** Counts how often timers and immediates had a turn since it was called. */
function countTurns() {
  const turns = { timers: 0, immediates: 0 }
  const timer = setInterval(() => void (turns.timers += 1), 1)
  let immediate = setImmediate(function turn() {
    turns.immediates += 1
    immediate = setImmediate(turn)
  })
  onTestFinished(() => {
    clearInterval(timer)
    clearImmediate(immediate)
  })
  return turns
}

/** Takes some milliseconds. */
async function read(db: Db, n: number): Promise<number | undefined> {
  const [row] = await rows<{ n: number }>(db, sql`select ${n}::int as n, count(*) from generate_series(1, 20000)`)
  return row?.n
}

const numbers = Array.from({ length: 300 }, (_, n) => n)

onEachDatabase((_name, open) => {
  test('lets the process do other things while hundreds of reads run at once', async () => {
    const { db } = await open()
    const turns = countTurns()
    expect(await Promise.all(numbers.map((n) => read(db, n)))).toEqual(numbers)
    expect(turns.immediates).toBeGreaterThan(10)
    expect(turns.timers).toBeGreaterThan(10)
  })

  test('lets the process do other things while one read follows the other', async () => {
    const { db } = await open()
    const turns = countTurns()
    for (const n of numbers) expect(await read(db, n)).toBe(n)
    expect(turns.timers).toBeGreaterThan(10)
  })

  test('lets the process do other things while a transaction reads much, and nobody into it', async () => {
    const { db } = await open()
    await rows(db, sql`create table counted (n int)`)
    const turns = countTurns()
    const inside = db.transaction(async (tx) => {
      for (const n of numbers.slice(0, 150)) {
        await rows(tx, sql`insert into counted values (${n})`)
        await read(tx, n)
      }
      return turns.timers
    })
    const outside = Promise.all(
      numbers.slice(0, 150).map(() => rows<{ count: number }>(db, sql`select count(*)::int from counted`)),
    )
    expect(await inside).toBeGreaterThan(10)
    const counts = (await outside).flat().map(({ count }) => count)
    expect(counts.filter((count) => count !== 0 && count !== 150)).toEqual([])
  })

  test('answers or refuses each of many reads when it is closed meanwhile', async () => {
    const database = await open()
    const before = numbers.map((n) => read(database.db, n))
    const closed = database.close()
    const after = numbers.map((n) => read(database.db, n))
    const [, settled] = await Promise.all([closed, Promise.allSettled([...before, ...after])])
    expect(settled.filter((read) => read.status === 'fulfilled' && read.value === undefined)).toEqual([])
  })
})
