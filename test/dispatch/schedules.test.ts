import { sql } from 'drizzle-orm'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { type Database, rows } from '../../src/db/client.ts'
import { step, Workflow } from '../../src/index.ts'
import { onEachDatabase } from '../support/databases.ts'
import { allRuns, PATIENCE, recorded, startKern } from '../support/kerns.ts'
import { data, serve } from '../support/server.ts'

/** Each minute: the tick of the present one is due as soon as a process begins. */
const EACH_MINUTE = '* * * * *'
/** In a month that is not now, so that nothing comes of it while a test runs. */
const farOff = () => `0 0 1 ${((new Date().getUTCMonth() + 6) % 12) + 1} *`

const Topic = z.object({ topic: z.string() })

const reporting = (cron: string) =>
  new Workflow({
    name: 'Report',
    input: Topic,
    steps: [step({ name: 'write', input: Topic, run: ({ input }) => `on ${input.topic}` })],
    schedule: { cron, input: { topic: 'today' }, sessionId: 'reports' },
  })

const unscheduled = new Workflow({
  name: 'Report',
  input: Topic,
  steps: [step({ name: 'write', input: Topic, run: ({ input }) => `on ${input.topic}` })],
})

/** As if one more process had found that a time has come. */
const FIRING = sql`insert into kern_jobs.job (name, data) values ('schedule/report', null)`

/** What is fired and not started yet. */
const firings = ({ db }: Database) => rows(db, sql`select id from kern_jobs.job where name = 'schedule/report'`)

onEachDatabase((name, open) => {
  describe('a schedule', () => {
    test('starts one run a tick, with its input and in its session, however many processes there are', async () => {
      const database = await open()
      const report = reporting(EACH_MINUTE)
      const count = name === 'Postgres' ? 3 : 1
      const kerns = await Promise.all(Array.from({ length: count }, () => startKern(database, [report])))
      const [kern] = kerns
      if (!kern) throw new Error('a Kern was started')
      await expect
        .poll(() => allRuns(kern, { sessionId: 'reports', statuses: ['COMPLETED'] }), PATIENCE)
        .not.toEqual([])
      // Everything that the ticks so far have put into the queue is done.
      await expect.poll(() => firings(database), PATIENCE).toEqual([])
      const runs = await allRuns(kern, { sessionId: 'reports' })
      const ticks = new Set(runs.map(({ idempotencyKey }) => idempotencyKey))
      expect(ticks.size).toBe(runs.length)
      expect([...ticks][0]).toMatch(/^schedule\/report\/\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z$/)
      // A minute may have begun meanwhile.
      expect(runs.length).toBeLessThanOrEqual(2)
      expect(await recorded(kern, runs[0]?.runId ?? '')).toMatchObject({ steps: [{ output: 'on today' }] })
    })

    test('that is fired several times for one tick starts one run', async () => {
      const database = await open()
      const kern = await startKern(database, [reporting(EACH_MINUTE)])
      const before = new Date()
      for (let times = 0; times < 3; times++) await database.db.execute(FIRING)
      await expect.poll(() => firings(database), PATIENCE).toEqual([])
      const minutes = 1 + Math.floor(Date.now() / 60_000) - Math.floor(before.getTime() / 60_000)
      const runs = await allRuns(kern, { workflowId: 'report' })
      expect(runs.length).toBeGreaterThanOrEqual(1)
      expect(runs.length).toBeLessThanOrEqual(minutes)
    })

    test('does not make up for a time at which nobody could start its run', async () => {
      const database = await open()
      const kern = await startKern(database, [reporting(farOff())])
      // Its last time was months ago.
      await database.db.execute(FIRING)
      await expect.poll(() => firings(database), PATIENCE).toEqual([])
      expect(await allRuns(kern, { workflowId: 'report' })).toEqual([])
    })

    test('is removed when a process starts whose workflow has none', async () => {
      const database = await open()
      const entered = () => rows<{ cron: string }>(database.db, sql`select cron from kern_jobs.schedule`)
      const before = await startKern(database, [reporting(farOff())])
      expect(await entered()).toEqual([{ cron: farOff() }])
      await before.close()
      const other = new Workflow({
        name: 'Other',
        steps: [step({ name: 'x', run: () => 1 })],
        schedule: { cron: '@yearly' },
      })
      await startKern(database, [unscheduled, other])
      expect(await entered()).toEqual([{ cron: '@yearly' }])
    })

    test('is changed by the process that started last', async () => {
      const database = await open()
      const before = await startKern(database, [reporting(farOff())])
      await before.close()
      await startKern(database, [reporting('@yearly')])
      expect(await rows(database.db, sql`select cron from kern_jobs.schedule`)).toEqual([{ cron: '@yearly' }])
    })

    test('whose input does not fit the workflow keeps a Kern from starting', async () => {
      const database = await open()
      const report = new Workflow({
        name: 'Report',
        input: Topic,
        steps: [step({ name: 'write', input: Topic, run: () => 1 })],
        schedule: { cron: '@daily', input: { topic: 7 as unknown as string } }, // as an author without types may write
      })
      await expect(startKern(database, [report])).rejects.toMatchObject({
        code: 'DEFINITION_INVALID',
        message: expect.stringContaining('schedule of workflow "Report": the input does not fit'),
      })
    })

    test('is listed over GraphQL, with its next time', async () => {
      const report = new Workflow({
        name: 'Report',
        steps: [step({ name: 'write', run: () => 1 })],
        schedule: { cron: farOff(), timeZone: 'Europe/Berlin' },
      })
      const served = await serve(await open(), { workflows: [report, new Workflow({ ...plain })] })
      onTestFinished(() => served.close())
      const query = '{ workflows { workflowId schedule { cron timeZone input sessionId nextRunAt } } }'
      const { workflows } = await data<{ workflows: { schedule: { nextRunAt: string } | null }[] }>(served, query)
      expect(workflows).toMatchObject([
        { workflowId: 'plain', schedule: null },
        { workflowId: 'report', schedule: { cron: farOff(), timeZone: 'Europe/Berlin', input: null, sessionId: null } },
      ])
      const next = new Date(workflows[1]?.schedule?.nextRunAt ?? '')
      const local = new Intl.DateTimeFormat('en', { timeZone: 'Europe/Berlin', timeStyle: 'short', hour12: false })
      expect(local.format(next)).toMatch(/^(00|24):00$/)
      expect(next.getTime()).toBeGreaterThan(Date.now())
    })
  })
})

const plain = { name: 'Plain', steps: [step({ name: 'only', run: () => 1 })] } as const
