import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../src/client/index.ts'
import { freshPostgres } from '../support/databases.ts'
import { createProject, type Folder, type KernProcess, startProcess, startServer } from '../support/process.ts'
import { brief, createClient, storedEvents, TRANSPORTS } from './support.ts'

const STEPS = 5

/** Each step goes on when there is a file with its name. */
const WORKFLOWS = `
  import { access } from 'node:fs/promises'
  const exists = (path: string) => access(path).then(() => true, () => false)
  const gate = (name: string) => step({ name, run: async ({ log, emit, setState }) => {
    log('waiting')
    while (!(await exists(name))) await new Promise((resolve) => setTimeout(resolve, 10))
    emit('passed', { name })
    setState({ [name]: true })
    return name
  } })
  const steps = Array.from({ length: ${STEPS} }, (_item, index) => gate('step' + index))
  export const flow = new Workflow({ name: 'Gates', steps })
`

/** A server for callers only, which other processes do not need. */
const serveOn = (folder: Folder, database: string, port: string): KernProcess => {
  const place = ['--port', port, '--workflows', 'flow.ts', '--database', database]
  return startProcess(folder.path, ['start', '--role', 'api', ...place])
}

const WATCHERS = [...TRANSPORTS, ['whatever there is', {}] as const]

describe('a server that is killed and started again', () => {
  test('is not noticed by who follows a run: each event comes once, in order, over every transport', async () => {
    await using folder = await createProject(WORKFLOWS)
    const postgres = await freshPostgres()
    const database = postgres.kind === 'postgres' ? postgres.url : ''
    // The run goes on in a process that nobody asks.
    await using worker = startServer(folder.path, database, '--role', 'worker')
    let server = serveOn(folder, database, '0')
    try {
      const url = await server.url
      await worker.url
      const clients = WATCHERS.map(([, how]) => createClient({ url, ...how }))
      const { runId } = await createClient({ url }).runWorkflow({ workflowId: 'gates' })

      const seen: RunEvent[][] = clients.map(() => [])
      const watches = clients.map(async (client, index) => {
        for await (const event of client.watchRun(runId)) seen[index]?.push(event)
      })
      const startedAll = (name: string): boolean =>
        seen.every((events) => events.some(({ type, step }) => type === 'STEP_STARTED' && step?.path === name))
      for (let index = 0; index < STEPS; index++) {
        const name = `step${index}`
        await expect.poll(() => startedAll(name), { timeout: 60_000 }).toBe(true)
        // By turns: killed before the next event, killed while one comes, told to end, and left alone.
        const passes = writeFile(join(folder.path, name), '')
        if (index % 4 === 0) await passes
        if (index % 4 !== 3) {
          server.child.kill(index % 4 === 2 ? 'SIGTERM' : 'SIGKILL')
          await server.ended
          server = serveOn(folder, database, new URL(url).port)
          await server.url
        }
        await passes
      }
      await Promise.all(watches)

      const stored = await storedEvents(url, runId)
      expect(stored.length).toBeGreaterThan(STEPS * 5)
      for (const events of seen) expect(events.map(brief)).toEqual(stored)
      for (const client of clients) expect(client.retries.length).toBeGreaterThanOrEqual(3)
    } finally {
      await server[Symbol.asyncDispose]()
    }
  }, 240_000)
})
