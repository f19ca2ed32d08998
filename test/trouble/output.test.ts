import { expect, test } from 'vitest'
import { createProject, startServer } from '../support/process.ts'
import { data } from '../support/server.ts'

/** A step that writes more than a pipe holds, by itself and through the log. */
const WORKFLOWS = `
  export const flow = new Workflow({
    name: 'Talkative',
    steps: [step({ name: 'talk', run: async ({ log }) => {
      for (let line = 0; line < 400; line++) {
        console.log('x'.repeat(1000))
        Promise.reject(new Error('nobody handles this, so that it is logged'))
      }
      return 'done'
    } })],
  })
`

const RUN = `mutation { runWorkflow(input: { workflowId: "talkative", waitMs: 20000 }) {
  ... on RunPayload { run { status } } ... on Error { code message }
} }`

interface Answer {
  readonly runWorkflow: { readonly run: { readonly status: string } }
}

test.each([
  ['is gone', 'destroy'],
  ['does not read any more', 'pause'],
] as const)('the service goes on where the reader of its output %s', async (_title, fate) => {
  await using project = await createProject(WORKFLOWS)
  await using server = startServer(project.path, 'pglite:data')
  const url = await server.url
  const { stdout } = server.child
  if (fate === 'pause') stdout?.removeAllListeners('data').pause()
  else stdout?.destroy()
  for (let round = 0; round < 2; round++) {
    const { runWorkflow } = await data<Answer>({ url }, RUN)
    expect(runWorkflow.run.status).toBe('COMPLETED')
  }
  expect(server.child.exitCode).toBeNull()
})
