import { sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { Workflow } from '../../src/author.ts'
import type { Database } from '../../src/db/client.ts'
import { createOwnership } from '../../src/dispatch/ownership.ts'
import { newId } from '../../src/ids.ts'
import type { Kern } from '../../src/kern.ts'
import { SYSTEM_VIEWER } from '../../src/viewer.ts'
import { approval } from '../../src/workflow/approval.ts'
import type { VersionPolicy } from '../../src/workflow/definition.ts'
import { step } from '../../src/workflow/step.ts'
import { onEachDatabase } from '../support/databases.ts'
import { PATIENCE, startKern } from '../support/kerns.ts'
import { createParts, newRun } from '../support/parts.ts'

const SOON = { pollMs: 20 }

/** Names of the steps of one build, in their order; `ask` waits for a person. */
type Build = readonly string[]

onEachDatabase((name, open) => {
  let database: Database
  beforeAll(async () => {
    database = await open()
  })

  /** Builds of one workflow, whose bodies write down which build they are of. */
  function builds(title: string, onVersionChange?: VersionPolicy) {
    const bodies: string[] = []
    const build = (label: string, steps: Build) =>
      new Workflow({
        name: title,
        ...(onVersionChange ? { onVersionChange } : {}),
        steps: steps.map((one) =>
          one === 'ask'
            ? approval('ask', { prompt: 'Go on?' })
            : step(one, () => {
                bodies.push(`${one} by ${label}`)
                return `${one} by ${label}`
              }),
        ),
      })
    return { build, bodies }
  }

  /** Starts a run that waits for a person. */
  async function asking(kern: Kern, workflowId: string): Promise<string> {
    const { runId } = await kern.commands.runWorkflow(SYSTEM_VIEWER, { workflowId, waitMs: 20_000 })
    expect(await kern.getRun(runId)).toMatchObject({ status: 'PAUSED' })
    return runId
  }

  const answered = (kern: Kern, runId: string) => kern.resumeRun({ runId, data: { approved: true } })

  describe.runIf(name === 'Postgres')('of two builds side by side', () => {
    test('each goes on with the runs that it began, wherever they are answered', async () => {
      const { build, bodies } = builds('Both')
      const [old, young] = [build('old', ['first', 'ask', 'last']), build('new', ['first', 'ask', 'more', 'last'])]
      const [a, b] = [await startKern(database, [old], SOON), await startKern(database, [young], SOON)]
      const [ofOld, ofNew] = [await asking(a, 'both'), await asking(b, 'both')]
      const first = ['first by old', 'first by new']
      expect([...bodies].sort()).toEqual([...first].sort())
      const [one, two] = [await answered(b, ofOld), await answered(a, ofNew)]
      expect(one).toMatchObject({ status: 'COMPLETED', output: 'last by old', workflowVersion: old.definition.version })
      expect(two).toMatchObject({
        status: 'COMPLETED',
        output: 'last by new',
        workflowVersion: young.definition.version,
      })
      expect(Object.keys(one.steps)).not.toContain('more')
    })

    test('one that has ended without a word is waited for until its heartbeat is over, and not longer', async () => {
      const { build } = builds('Expiring')
      const [old, young] = [build('old', ['first', 'ask', 'last']), build('new', ['first', 'ask', 'more', 'last'])]
      const a = await startKern(database, [old], SOON)
      const runId = await asking(a, 'expiring')
      await a.close()
      const silent = createOwnership({
        db: database.db,
        workerId: newId(),
        host: 'test',
        pid: 1,
        exclusive: false,
        definitions: [old.definition],
      })
      await silent.register()
      const { reader } = createParts(database)
      const b = await startKern(database, [young], SOON)
      await b.commands.resumeRun(SYSTEM_VIEWER, { runId, data: { approved: true } })
      const looker = createOwnership({
        db: database.db,
        workerId: newId(),
        host: 'test',
        pid: 1,
        exclusive: false,
        definitions: [young.definition],
      })
      expect(await looker.waiting(['expiring'], 10)).toEqual([])
      expect(await looker.claim(runId, ['expiring'], new Date())).toBe(false)
      expect(await reader.runs([runId])).toMatchObject([{ status: 'RUNNING' }])
      await database.db.execute(
        sql`update kern.workers set heartbeat_at = now() - interval '1 hour' where worker_id = ${silent.workerId}::uuid`,
      )
      await expect.poll(async () => (await b.getRun(runId))?.status, PATIENCE).toBe('COMPLETED')
    })
  })

  describe('a run whose build is gone', () => {
    test('goes on with another: results are found by path, not by place, and what was recorded is not executed again', async () => {
      const { build, bodies } = builds('Reordered')
      const a = await startKern(database, [build('old', ['one', 'two', 'ask', 'last'])], SOON)
      const runId = await asking(a, 'reordered')
      await a.close()
      const young = build('new', ['two', 'one', 'ask', 'more', 'last', 'end'])
      const b = await startKern(database, [young], SOON)
      const run = await answered(b, runId)
      expect(run).toMatchObject({
        status: 'COMPLETED',
        output: 'end by new',
        workflowVersion: young.definition.version,
      })
      expect(run.steps).toMatchObject({
        end: { output: 'end by new' },
        one: { output: 'one by old' },
        two: { output: 'two by old' },
        more: { output: 'more by new' },
        last: { output: 'last by new' },
      })
      expect(bodies).toEqual(['one by old', 'two by old', 'more by new', 'last by new', 'end by new'])
    })

    test.each([
      ['renamed', ['uno', 'ask', 'last']],
      ['removed', ['ask', 'last']],
    ])('fails where a step that was recorded was %s, and says which', async (title, steps) => {
      const { build, bodies } = builds(`Was ${title}`)
      const old = build('old', ['one', 'ask', 'last'])
      const a = await startKern(database, [old], SOON)
      const runId = await asking(a, old.id)
      await a.close()
      const b = await startKern(database, [build('new', steps)], SOON)
      const run = await answered(b, runId)
      expect(run).toMatchObject({ status: 'FAILED', error: { code: 'DEFINITION_CHANGED' } })
      expect(run.workflowVersion).toBe(old.definition.version)
      expect(run.error?.message).toContain('"one"')
      expect(run.steps['one']).toMatchObject({ status: 'COMPLETED', output: 'one by old' })
      expect(bodies).toEqual(['one by old'])
    })

    test('fails at once where its workflow wants that, also with a build that has all its steps', async () => {
      const { build, bodies } = builds('Strict', 'fail')
      const old = build('old', ['one', 'ask', 'last'])
      const a = await startKern(database, [old], SOON)
      const runId = await asking(a, 'strict')
      await a.close()
      const b = await startKern(database, [build('new', ['one', 'ask', 'last', 'more'])], SOON)
      const run = await answered(b, runId)
      expect(run).toMatchObject({ status: 'FAILED', error: { code: 'DEFINITION_CHANGED' } })
      expect(run.workflowVersion).toBe(old.definition.version)
      expect(bodies).toEqual(['one by old'])
      const next = await b.run('strict', { sessionId: run.sessionId }).catch((error: unknown) => error)
      expect(next).toMatchObject({ number: 2, status: 'PAUSED' })
    })
  })

  test('a run that has not started is executed by any build, and has the version of the one that started it', async () => {
    const { build } = builds('Waiting', 'fail')
    const [old, young] = [build('old', ['one']), build('new', ['one', 'two'])]
    const { store } = createParts(database)
    const accepted = newRun(old.definition)
    await store.accept(accepted)
    const kern = await startKern(database, [young], SOON)
    await expect.poll(async () => (await kern.getRun(accepted.runId))?.status, PATIENCE).toBe('COMPLETED')
    expect(await kern.getRun(accepted.runId)).toMatchObject({
      workflowVersion: young.definition.version,
      output: 'two by new',
    })
  })

  test('what only says how runs are taken makes no new version', () => {
    const plain = new Workflow({ name: 'Same', steps: [step('one', () => 1)] })
    const settings = { priority: 5, concurrency: 3, onVersionChange: 'fail' } as const
    const other = new Workflow({ name: 'Same', steps: [step('one', () => 1)], ...settings })
    expect(other.definition).toMatchObject({ ...settings, version: plain.definition.version })
    expect(plain.definition).toMatchObject({ priority: 0, concurrency: null, onVersionChange: 'finish' })
  })
})
