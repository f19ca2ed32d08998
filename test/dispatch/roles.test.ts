import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { DatabaseUrl } from '../../src/config.ts'
import { freshPostgres } from '../support/databases.ts'
import { PATIENCE } from '../support/kerns.ts'
import { createProject, startServer } from '../support/process.ts'
import { all, data, watchSse } from '../support/server.ts'

/** Each step notes in a file which process runs it; `slow` goes on until it is aborted, but not at its second attempt. */
const WORKFLOWS = `
  import { appendFile } from 'node:fs/promises'
  const note = (name: string, runId: string) => appendFile('effects.log', name + ' ' + process.pid + ' ' + runId + '\\n')
  export const quick = new Workflow({
    name: 'Quick',
    steps: [
      step({ name: 'first', run: ({ runId }) => note('first', runId) .then(() => null) }),
      step({ name: 'second', run: ({ runId }) => note('second', runId).then(() => 'done') }),
    ],
  })
  export const slow = new Workflow({
    name: 'Slow',
    steps: [
      step({ name: 'before', run: ({ runId }) => note('before', runId).then(() => 'kept') }),
      step({ name: 'hold', run: async ({ runId, attempt, signal, input }) => {
        await note('hold', runId)
        if (attempt === 1) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        return [input, attempt]
      } }),
    ],
  })
`

const RUN = `mutation ($workflowId: String!) {
  runWorkflow(input: { workflowId: $workflowId }) {
    ... on RunPayload { run { runId status } } ... on Error { code message }
  }
}`
const READ = 'query ($runId: ID!) { run(runId: $runId) { status output steps { path attempt } } }'
const FOLLOW = 'subscription ($runId: ID!) { runEvents(runId: $runId) { type step { path } } }'

const urlOf = (database: DatabaseUrl) => (database.kind === 'postgres' ? database.url : '')

async function startRun(url: string, workflowId: string): Promise<string> {
  const answer = await data<{ runWorkflow: { run: { runId: string } } }>({ url }, RUN, { workflowId })
  return answer.runWorkflow.run.runId
}

async function readRun(url: string, runId: string): Promise<{ readonly status: string; readonly output: unknown }> {
  return (await data<{ run: { status: string; output: unknown } }>({ url }, READ, { runId })).run
}

interface Effect {
  readonly name: string
  readonly pid: number
  readonly runId: string
}

async function effects(folder: string): Promise<Effect[]> {
  const text = await readFile(join(folder, 'effects.log'), 'utf8').catch(() => '')
  return text.split('\n').flatMap((line) => {
    const [name = '', pid, runId = ''] = line.split(' ')
    return name === '' ? [] : [{ name, pid: Number(pid), runId }]
  })
}

describe('processes with roles', () => {
  test('share the work: one accepts and is asked, the other executes', async () => {
    const database = urlOf(await freshPostgres())
    await using folder = await createProject(WORKFLOWS)
    await using api = startServer(folder.path, database, '--role', 'api')
    const url = await api.url
    const waiting = await startRun(url, 'quick')
    const followed = all(
      watchSse<{ runEvents: { type: string } }>({ url }, { query: FOLLOW, variables: { runId: waiting } }),
    )
    await using worker = startServer(folder.path, database, '--role', 'worker')
    const events = (await followed).map((answer) => answer.data?.runEvents.type)
    expect(events).toEqual([
      'RUN_QUEUED',
      'RUN_STARTED',
      'STEP_STARTED',
      'STEP_COMPLETED',
      'STEP_STARTED',
      'STEP_COMPLETED',
      'RUN_COMPLETED',
    ])
    const later = await startRun(url, 'quick')
    await expect.poll(() => readRun(url, later), PATIENCE).toMatchObject({ status: 'COMPLETED', output: 'done' })
    expect(new Set((await effects(folder.path)).map(({ pid }) => pid))).toEqual(new Set([worker.child.pid]))
    // What executes is asked for its health, and for nothing else.
    const base = await worker.url
    expect(await statuses(base, ['/health/live', '/health/ready', '/graphql', '/'])).toEqual([200, 200, 404, 404])
    const roles = [api, worker].map(({ lines }) => lines.find(({ msg }) => msg === 'Kern listens')?.['role'])
    expect(roles).toEqual(['api', 'worker'])
  })

  test('are refused on an embedded database, which one process has for itself', async () => {
    await using folder = await createProject(WORKFLOWS)
    await using api = startServer(folder.path, 'pglite:data', '--role', 'api')
    const { code, err } = await api.ended
    expect(code).not.toBe(0)
    expect(err).toContain('role is "api": allowed is "all" with an embedded database')
  })
})

async function statuses(base: string, paths: readonly string[]): Promise<number[]> {
  return await Promise.all(paths.map(async (path) => (await fetch(new URL(path, base))).status))
}

describe('a process that is told to stop', () => {
  test('hands the runs of its steps that do not end over to another, and ends well', async () => {
    const database = urlOf(await freshPostgres())
    await using folder = await createProject(WORKFLOWS)
    await using stopping = startServer(folder.path, database, '--drain', '300ms')
    const runIds = await Promise.all(Array.from({ length: 5 }, async () => await startRun(await stopping.url, 'slow')))
    const held = async () => (await effects(folder.path)).filter(({ name }) => name === 'hold').length
    await expect.poll(held, PATIENCE).toBe(5)
    await using going = startServer(folder.path, database)
    const url = await going.url
    const [first = ''] = runIds
    const followed = all(
      watchSse<{ runEvents: { type: string } }>({ url }, { query: FOLLOW, variables: { runId: first } }),
    )
    stopping.child.kill('SIGTERM')
    expect(await stopping.ended).toMatchObject({ code: 0, signal: null })
    for (const runId of runIds) {
      const run = () => readRun(url, runId)
      await expect.poll(run, PATIENCE).toMatchObject({ status: 'COMPLETED', output: ['kept', 2] })
    }
    expect((await followed).at(-1)).toMatchObject({ data: { runEvents: { type: 'RUN_COMPLETED' } } })
    const done = await effects(folder.path)
    // What was recorded was not executed again.
    expect(done.filter(({ name }) => name === 'before')).toHaveLength(5)
    expect(done.filter(({ name, pid }) => name === 'hold' && pid === going.child.pid)).toHaveLength(5)
  })

  test('says that it is not ready, and answers until its steps have ended', async () => {
    const database = urlOf(await freshPostgres())
    await using folder = await createProject(WORKFLOWS)
    await using stopping = startServer(folder.path, database, '--drain', '1h')
    const url = await stopping.url
    const runId = await startRun(url, 'slow')
    const held = async () => (await effects(folder.path)).some(({ name }) => name === 'hold')
    await expect.poll(held, PATIENCE).toBe(true)
    expect(await statuses(url, ['/health/ready'])).toEqual([200])
    stopping.child.kill('SIGTERM')
    await expect.poll(() => statuses(url, ['/health/ready', '/health/live']), PATIENCE).toEqual([503, 200])
    expect(await readRun(url, runId)).toMatchObject({ status: 'RUNNING' })
    // What is accepted now waits for another process.
    expect(await readRun(url, await startRun(url, 'quick'))).toMatchObject({ status: 'QUEUED' })
    // At a second signal it ends at once. What comes close after the first one counts as the same.
    const again = setInterval(() => stopping.child.kill('SIGTERM'), 200)
    expect(await stopping.ended).toMatchObject({ code: 143 })
    clearInterval(again)
  })
})
