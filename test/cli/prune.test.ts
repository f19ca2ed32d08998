import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { pglite } from '../../src/config.ts'
import { openDatabase } from '../../src/db/client.ts'
import { createKern, step, Workflow } from '../../src/index.ts'
import { countOldRuns } from '../../src/store/prune.ts'
import { freshPostgres } from '../support/databases.ts'
import { createProject, type Ended, startProcess } from '../support/process.ts'

const one = new Workflow({ name: 'one', steps: [step('a', () => 1)] })
const two = new Workflow({ name: 'two', steps: [step('a', () => 1)] })

/** The same, as files export them. */
const FLOWS = `
export const one = new Workflow({ name: 'one', retention: '20d', steps: [step('a', () => 1)] })
export const two = new Workflow({ name: 'two', steps: [step('a', () => 1)] })
`

/** A time in what was printed. */
const TIME = /\d{4}-\d\d-\d\dT[\d:.]+Z/g

async function prune(folder: string, ...args: readonly string[]): Promise<Ended> {
  await using kern = startProcess(folder, ['prune', ...args])
  const ended = await kern.ended
  return { ...ended, out: ended.out.replaceAll(TIME, 'T') }
}

test('prints what it would delete, and deletes it, of each workflow or of one', async () => {
  const url = await freshPostgres()
  if (url.kind !== 'postgres') throw new Error('it is a server')
  await using database = await openDatabase(url)
  const kern = await createKern({ db: url, workflows: [one, two] })
  for (const workflow of [one, one, two]) await kern.run(workflow, {})
  await kern.run(two, { sessionId: 'kept', sessionName: 'Kept' })
  await kern.close()
  await database.db.execute(sql`update kern.runs set completed_at = now() - interval '31 days'`)
  await using project = await createProject(FLOWS)
  const left = async () => {
    const before = new Date()
    const [ones, twos] = await Promise.all(
      ['one', 'two'].map((workflowId) => countOldRuns(database.db, { workflowId, before })),
    )
    return { ones, twos }
  }

  const nothing = await prune(project.path, '-d', url.url)
  expect(nothing).toMatchObject({ code: 1, out: '' })
  expect(nothing.err).toMatch(/^kern: nothing says how old the runs must be: give --older-than, or /)
  expect(await prune(project.path, '-d', url.url, '--older-than', 'a year')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^kern: --older-than is "a year": allowed are milliseconds/),
  })
  expect(await prune(project.path, '-d', url.url, '--older-than', '30d', '--workflow', 'three')).toMatchObject({
    code: 1,
    err: 'kern: no workflow "three" was ever served from this database: there are ["one","two"]\n',
  })
  expect(await prune(project.path, '-d', url.url, '--older-than', '30d', '--dry-run')).toMatchObject({
    code: 0,
    out: 'one: would delete 2 runs that ended before T\ntwo: would delete 2 runs that ended before T\n',
  })
  // By what the workflows say: `two` says nothing.
  expect(await prune(project.path, '-d', url.url, '-w', 'flow.ts', '--dry-run')).toMatchObject({
    code: 0,
    out: 'one: would delete 2 runs that ended before T\n',
  })
  expect(await left()).toEqual({ ones: 2, twos: 2 })
  expect(await prune(project.path, '-d', url.url, '-w', 'flow.ts')).toMatchObject({
    code: 0,
    out: 'one: deleted 2 runs that ended before T, and 2 sessions\n',
  })
  expect(await left()).toEqual({ ones: 0, twos: 2 })
  expect(await prune(project.path, '-d', url.url, '--older-than', '32d', '--workflow', 'two')).toMatchObject({
    out: 'two: deleted 0 runs that ended before T\n',
  })
  expect(await prune(project.path, '-d', url.url, '--older-than', '30d', '--workflow', 'two')).toMatchObject({
    out: 'two: deleted 2 runs that ended before T, and 1 session\n',
  })
  expect(await left()).toEqual({ ones: 0, twos: 0 })
})

test('works on an embedded database that nobody has open', async () => {
  await using project = await createProject(FLOWS)
  const folder = join(project.path, 'data')
  const kern = await createKern({ db: pglite(folder), workflows: [one] })
  const { runId } = await kern.run(one, {})
  await kern.transaction((tx) =>
    tx.query("update kern.runs set completed_at = now() - interval '31 days' where run_id = $1", [runId]),
  )
  const args = ['-d', 'pglite:data', '--older-than', '30d']
  expect(await prune(project.path, ...args)).toMatchObject({
    code: 1,
    err: expect.stringContaining('is open in process'),
  })
  await kern.close()
  expect(await prune(project.path, ...args)).toMatchObject({
    code: 0,
    out: 'one: deleted 1 run that ended before T, and 1 session\n',
  })
})
