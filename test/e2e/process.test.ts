import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { describe, expect, inject, test } from 'vitest'
import { freshPostgres } from '../support/databases.ts'
import { createProject, type Folder, startProcess, startServer } from '../support/process.ts'
import { all, data, watchSse } from '../support/server.ts'

const EMBEDDED = 'pglite:data'

/** Each step notes in a file that it runs; the second one goes on when there is a file called `go`. */
const WORKFLOWS = `
  import { appendFile, access } from 'node:fs/promises'
  const exists = (path: string) => access(path).then(() => true, () => false)
  const note = async (name: string, runId: string) => appendFile('effects.log', name + ' ' + runId + '\\n')
  export const flow = new Workflow({
    name: 'Careful',
    steps: [
      step({ name: 'first', run: async ({ runId, setState }) => {
        await note('first', runId)
        setState({ begun: true })
        return 'kept'
      } }),
      step({ name: 'second', run: async ({ input, runId, attempt }) => {
        await note('second', runId)
        while (!(await exists('go'))) await new Promise((resolve) => setTimeout(resolve, 20))
        return [input, attempt]
      } }),
      step({ name: 'third', run: async ({ input, runId }) => {
        await note('third', runId)
        return { input }
      } }),
    ],
  })
`

const RUN = `mutation ($sessionId: String, $waitMs: Int) {
  runWorkflow(input: { workflowId: "careful", sessionId: $sessionId, waitMs: $waitMs }) {
    ... on RunPayload { run { runId status } } ... on Error { code message }
  }
}`

async function startRun(url: string, waitMs = 0): Promise<string> {
  const variables = { sessionId: 'mine', waitMs }
  const answer = await data<{ runWorkflow: { run: { runId: string } } }>({ url }, RUN, variables)
  return answer.runWorkflow.run.runId
}

async function effects(folder: Folder, runId: string): Promise<string[]> {
  const text = await readFile(join(folder.path, 'effects.log'), 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => (line.endsWith(` ${runId}`) ? (line.split(' ', 1)[0] ?? '') : []))
}

interface Read {
  readonly session: { readonly name: string; readonly runCount: number; readonly state: unknown }
  readonly run: {
    readonly status: string
    readonly output: unknown
    readonly lastCursor: string
    readonly steps: unknown
  }
}

function read(url: string, runId: string): Promise<Read> {
  const query = `query ($runId: ID!) {
    session(sessionId: "mine") { name runCount state runs { nodes { runId } } }
    run(runId: $runId) { status output lastCursor steps { path status attempt output } }
  }`
  return data<Read>({ url }, query, { runId })
}

/** Kills a server while a run is under way, and expects that the next one goes on with it. */
async function surviveKill(folder: Folder, database: string): Promise<void> {
  let runId = ''
  let cursor = ''
  {
    await using server = startServer(folder.path, database)
    const url = await server.url
    await data(
      { url },
      'mutation { createSession(input: { workflowId: "careful", sessionId: "mine", sessionName: "Kept" }) { __typename } }',
    )
    runId = await startRun(url)
    await expect.poll(() => effects(folder, runId), { timeout: 20_000 }).toEqual(['first', 'second'])
    const before = await read(url, runId)
    cursor = before.run.lastCursor
    expect(before.run.status).toBe('RUNNING')
    server.child.kill('SIGKILL')
    expect(await server.ended).toMatchObject({ signal: 'SIGKILL' })
  }
  await writeFile(join(folder.path, 'go'), '')

  await using server = startServer(folder.path, database)
  const url = await server.url
  const query =
    'subscription ($runId: ID!, $after: String) { runEvents(runId: $runId, after: $after) { type step { path } } }'
  const events = await all(watchSse<{ runEvents: object }>({ url }, { query, variables: { runId, after: cursor } }))
  const seen = events.map(({ data: event }) => event?.runEvents)
  expect(seen).toContainEqual({ type: 'STEP_COMPLETED', step: { path: 'third' } })
  expect(seen.at(-1)).toEqual({ type: 'RUN_COMPLETED', step: null })
  expect(seen).not.toContainEqual({ type: 'STEP_COMPLETED', step: { path: 'first' } })

  // What was recorded did not run again; what was under way did, as its second attempt.
  expect(await effects(folder, runId)).toEqual(['first', 'second', 'second', 'third'])
  expect(await read(url, runId)).toMatchObject({
    session: { name: 'Kept', runCount: 1, state: { begun: true } },
    run: {
      status: 'COMPLETED',
      output: { input: ['kept', 2] },
      steps: [
        { path: 'first', status: 'COMPLETED', attempt: 1, output: 'kept' },
        { path: 'second', status: 'COMPLETED', attempt: 2 },
        { path: 'third', status: 'COMPLETED', attempt: 1 },
      ],
    },
  })
  server.child.kill('SIGTERM')
  expect(await server.ended).toMatchObject({ code: 0 })
}

// They wait for processes more than they work: most of them can go on at the same time.
describe.concurrent('kern start', { timeout: 90_000 }, () => {
  test('says what it opened, is healthy, ends on SIGINT, and finds everything again', async () => {
    await using folder = await createProject(WORKFLOWS)
    await writeFile(join(folder.path, 'go'), '')
    let runId = ''
    let before: Read
    {
      await using server = startServer(folder.path, EMBEDDED)
      const url = await server.url
      expect(server.lines.at(-1)).toMatchObject({
        database: 'embedded database in data',
        workflows: [{ id: 'careful', name: 'Careful', steps: 3 }],
      })
      for (const path of ['live', 'ready']) {
        const response = await fetch(new URL(`/health/${path}`, url))
        expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
      }
      runId = await startRun(url, 20_000)
      await data(
        { url },
        'mutation { setSessionName(input: { sessionId: "mine", sessionName: "Named" }) { __typename } }',
      )
      before = await read(url, runId)
      expect(before).toMatchObject({ session: { name: 'Named' }, run: { status: 'COMPLETED' } })
      server.child.kill('SIGINT')
      expect(await server.ended).toMatchObject({ code: 0, err: '' })
    }
    await using server = startServer(folder.path, EMBEDDED)
    const url = await server.url
    expect(await read(url, runId)).toEqual(before)
    const { lastCursor } = before.run
    const query = 'subscription ($runId: ID!, $after: String) { runEvents(runId: $runId, after: $after) { type } }'
    expect(await all(watchSse({ url }, { query, variables: { runId, after: lastCursor } }))).toEqual([])
    const replayed = await all(watchSse({ url }, { query, variables: { runId } }))
    expect(replayed.at(-1)).toEqual({ data: { runEvents: { type: 'RUN_COMPLETED' } } })
  })

  test('refuses a folder that another server has open, and names its process', async () => {
    await using folder = await createProject(WORKFLOWS)
    await using first = startServer(folder.path, EMBEDDED)
    await first.url
    await using second = startServer(folder.path, EMBEDDED)
    const { code, err } = await second.ended
    expect(code).toBe(1)
    expect(err).toContain(`is open in process ${first.child.pid}`)
    expect(err.split('\n')).toHaveLength(2)
    first.child.kill('SIGTERM')
    expect(await first.ended).toMatchObject({ code: 0 })
  })

  test('goes on with a run after kill -9, in an embedded database', async () => {
    await using folder = await createProject(WORKFLOWS)
    await surviveKill(folder, EMBEDDED)
  })

  test('goes on with a run after kill -9, in Postgres, once the lease of the dead process is over', async () => {
    await using folder = await createProject(WORKFLOWS)
    const database = await freshPostgres()
    await surviveKill(folder, database.kind === 'postgres' ? database.url : '')
  })

  test('needs a migrated Postgres, and says how to get one', async () => {
    await using folder = await createProject(WORKFLOWS)
    const database = await emptyPostgres()
    await using refused = startServer(folder.path, database)
    expect(await refused.ended).toMatchObject({ code: 1, err: expect.stringContaining('Run `kern migrate`') })
    for (const said of ['is migrated', 'has the schema of this version already']) {
      await using migration = startProcess(folder.path, ['migrate', '--database', database])
      expect(await migration.ended).toMatchObject({ code: 0, out: expect.stringContaining(said), err: '' })
    }
    await writeFile(join(folder.path, 'go'), '')
    await using server = startServer(folder.path, database)
    const url = await server.url
    expect(await read(url, await startRun(url, 20_000))).toMatchObject({ run: { status: 'COMPLETED' } })
    expect(server.lines.at(-1)?.['database']).toContain(new URL(database).pathname.slice(1))
    server.child.kill('SIGTERM')
    expect(await server.ended).toMatchObject({ code: 0, err: '' })
  })

  test('names a file of workflows that cannot be loaded', async () => {
    await using folder = await createProject(WORKFLOWS)
    await appendFile(join(folder.path, 'flow.ts'), 'throw new Error("the key is missing")')
    await using server = startServer(folder.path, EMBEDDED)
    const { code, err } = await server.ended
    expect(code).toBe(1)
    expect(err).toContain('flow.ts could not be loaded: Error: the key is missing')
  })
})

/** The URL of a database that nobody has migrated. */
async function emptyPostgres(): Promise<string> {
  const { url, prefix } = inject('postgres')
  const name = `${prefix}${process.pid}_empty`
  const admin = postgres(url, { max: 1, onnotice: () => {} })
  await admin.unsafe(`create database ${name}`)
  await admin.end({ timeout: 5 })
  const own = new URL(url)
  own.pathname = `/${name}`
  return own.href
}
