import { sql } from 'drizzle-orm'
import type { PgBoss } from 'pg-boss'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Database, rows } from '../../src/db/client.ts'
import { openBoss } from '../../src/db/jobs.ts'
import { transaction } from '../../src/db/transaction.ts'
import { createJobs, type Jobs } from '../../src/dispatch/jobs.ts'
import { newId } from '../../src/ids.ts'
import { onEachDatabase } from '../support/databases.ts'

async function bossOn({ driver }: Database): Promise<PgBoss> {
  const boss = await openBoss(driver, { schedule: false, supervise: false }, () => {})
  onTestFinished(() => boss.stop({ graceful: false }))
  return boss
}

async function jobsOn(database: Database): Promise<Jobs> {
  const jobs = createJobs(await bossOn(database))
  await jobs.start()
  return jobs
}

const runIds = (jobs: readonly { readonly runId: string }[]) => jobs.map(({ runId }) => runId)

onEachDatabase((_name, open) => {
  describe('a job', () => {
    test('that is sent in a transaction exists once that is committed', async () => {
      const { db, ...database } = await open()
      const jobs = await jobsOn({ db, ...database })
      const runId = newId()
      await transaction(db, (tx) => jobs.send(tx, runId))
      expect(runIds(await jobs.fetch(10))).toEqual([runId])
    })

    test('that is sent in a transaction is gone with it', async () => {
      const { db, ...database } = await open()
      const jobs = await jobsOn({ db, ...database })
      const failing = transaction(db, async (tx) => {
        await jobs.send(tx, newId())
        throw new Error('the caller fails')
      })
      await expect(failing).rejects.toThrow('the caller fails')
      expect(await jobs.fetch(10)).toEqual([])
    })

    test('can be sent while a transaction is open, and neither waits for the other for ever', async () => {
      const { db, ...database } = await open({ deadlineMs: 5_000 })
      const jobs = await jobsOn({ db, ...database })
      const [inside, outside, announced] = [newId(), newId(), newId()]
      let sent: Promise<unknown> = Promise.resolve()
      await transaction(db, async (tx) => {
        sent = Promise.all([jobs.remind(outside, new Date(0)), jobs.announce([announced])])
        await jobs.send(tx, inside)
      })
      await sent
      expect(new Set(runIds(await jobs.fetch(10)))).toEqual(new Set([inside, outside, announced]))
    })

    test('is fetched by one process, and is gone when it is done', async () => {
      const database = await open()
      const [one, other] = [await jobsOn(database), await jobsOn(database)]
      const sent = Array.from({ length: 20 }, newId)
      await one.announce(sent)
      const fetched = await Promise.all([one.fetch(15), other.fetch(15), one.fetch(15)])
      expect(runIds(fetched.flat()).sort()).toEqual([...sent].sort())
      await one.done(fetched.flat())
      const left = await rows(database.db, sql`select id from kern_jobs.job where name = 'look'`)
      expect(left).toEqual([])
    })

    test('for a run that waits for a time is not there before it', async () => {
      const database = await open()
      const jobs = await jobsOn(database)
      const [due, later] = [newId(), newId()]
      await jobs.remind(later, new Date(Date.now() + 3_600_000))
      await jobs.remind(due, new Date(Date.now() - 1_000))
      expect(await jobs.fetch(10)).toMatchObject([{ runId: due, timed: true }])
    })

    test('of a process that died is given to another one', async () => {
      const database = await open()
      const boss = await bossOn(database)
      const jobs = createJobs(boss)
      await jobs.start()
      const runId = newId()
      await jobs.announce([runId])
      expect(runIds(await jobs.fetch(1))).toEqual([runId])
      expect(await jobs.fetch(1)).toEqual([])
      // The process says nothing more, and its time is over.
      await database.db.execute(sql`update kern_jobs.job set started_on = started_on - interval '1 hour'`)
      await boss.supervise()
      await expect.poll(() => jobs.fetch(1).then(runIds), { timeout: 10_000 }).toEqual([runId])
    })
  })
})
