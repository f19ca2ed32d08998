import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'

const SOURCE = join(import.meta.dirname, '..', '..', 'src')

const WORKFLOW = `
  import { step, Workflow } from '${SOURCE}/index.ts'
  const shout = step({ name: 'shout', run: async ({ input }: { input: unknown }) => String(input).toUpperCase() })
  export const flow = new Workflow({ name: 'Shouter', steps: [shout] })
  // Code of a workflow may keep a process alive, and leave promises behind that nobody handles.
  setInterval(() => {}, 1_000)
  void Promise.reject(new Error('nobody handles this'))
`

interface Started extends AsyncDisposable {
  readonly child: ChildProcess
  /** The lines of its log so far. */
  readonly lines: Record<string, unknown>[]
  readonly url: string
}

/** Starts a server in a process of its own, on a free port, with a database in memory. */
async function start(): Promise<Started> {
  const folder = await mkdtemp(join(tmpdir(), 'kern-start-'))
  await writeFile(join(folder, 'flow.ts'), WORKFLOW)
  const args = [
    join(SOURCE, 'cli', 'main.ts'),
    'start',
    '--port',
    '0',
    '--workflows',
    '.',
    '--database',
    'pglite:memory',
  ]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines: Record<string, unknown>[] = []
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line = JSON.parse(text)
    lines.push(line)
    if (line.msg === 'Kern listens') resolve(line.graphql)
  })
  child.once('exit', (code) => reject(new Error(`ended with ${code} before it listened: ${JSON.stringify(lines)}`)))
  const url = await promise
  const dispose = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
    await rm(folder, { recursive: true })
  }
  return { child, lines, url, [Symbol.asyncDispose]: dispose }
}

test('kern start serves workflows, says so, and ends cleanly on a signal that comes twice at once', async () => {
  await using server = await start()
  expect(server.lines.at(-1)).toMatchObject({
    version: expect.any(String),
    node: process.version,
    workflows: [{ id: 'shouter', name: 'Shouter', steps: 1 }],
    websocket: server.url.replace('http', 'ws'),
  })
  expect(server.lines).toContainEqual(
    expect.objectContaining({ level: 'error', err: expect.objectContaining({ message: 'nobody handles this' }) }),
  )

  const query = `mutation { runWorkflow(input: { workflowId: "shouter", input: "hi", waitMs: 10000 }) {
    ... on RunPayload { run { status output } }
  } }`
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(server.url, { method: 'POST', headers, body: JSON.stringify({ query }) })
  expect(await response.json()).toEqual({ data: { runWorkflow: { run: { status: 'COMPLETED', output: 'HI' } } } })

  const exited = once(server.child, 'exit')
  server.child.kill('SIGTERM')
  server.child.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
  expect(server.lines.at(-1)).toMatchObject({ msg: 'Kern has stopped' })
})
