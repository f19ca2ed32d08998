import { Mastra } from '@mastra/core'
import { createStep, createWorkflow } from '@mastra/core/workflows'
import { PostgresStore } from '@mastra/pg'
import { z } from 'zod'
import own from './package.json' with { type: 'json' }

const version = own.dependencies['@mastra/core']

/** Mastra: a workflow of its default engine with storage in Postgres. Its defaults, apart from the size of its pool. */
export async function create({ url, steps, result, connections }) {
  const storage = new PostgresStore({ id: 'bench', connectionString: url, max: connections })
  const shape = z.object({ text: z.string() })
  const all = Array.from({ length: steps }, (_, index) =>
    createStep({
      id: `step-${index + 1}`,
      inputSchema: index === 0 ? z.object({}) : shape,
      outputSchema: shape,
      execute: async () => result,
    }),
  )
  const chain = all.reduce(
    (flow, step) => flow.then(step),
    createWorkflow({ id: 'bench', inputSchema: z.object({}), outputSchema: shape }),
  )
  const mastra = new Mastra({ workflows: { bench: chain.commit() }, storage, logger: false })
  await storage.init()
  const workflow = mastra.getWorkflow('bench')
  return {
    title: `Mastra ${version}`,
    run: async () => {
      const run = await workflow.createRun()
      const ended = await run.start({ inputData: {} })
      if (ended.status !== 'success') throw new Error(`a run of Mastra ended as ${ended.status}`)
    },
    [Symbol.asyncDispose]: () => storage.close(),
  }
}
