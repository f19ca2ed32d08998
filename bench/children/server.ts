import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSchema as createYogaSchema, createYoga } from 'graphql-yoga'
import { createSchema } from '../../schema/index.ts'
import { postgres } from '../../src/config.ts'
import { createKern } from '../../src/index.ts'
import { createLog } from '../../src/log.ts'
import { createServer } from '../../src/server/server.ts'
import { RESULT } from '../contender.ts'
import { benchWorkflow } from '../kern.ts'
import { answerParent } from '../process.ts'

/** A process with a GraphQL server: `kern` on a database, or `yoga`, whose mutation does nothing. */

/** Answers what Kern answers, without doing anything. */
const NOTHING = `
  scalar JSON
  input RunWorkflowInput { workflowId: String! input: JSON waitMs: Int }
  type Run { runId: String! status: String! output: JSON }
  type RunPayload { run: Run! }
  type Query { nothing: String }
  type Mutation { runWorkflow(input: RunWorkflowInput!): RunPayload! }`

interface Listening extends AsyncDisposable {
  readonly url: string
}

async function serveKern(place: string): Promise<Listening> {
  const kern = await createKern({ db: postgres(place), workflows: [benchWorkflow()] })
  const { commands, workflows, streams } = kern
  const parts = { commands, workflows, streams, readerFor: kern.readerFor.bind(kern), health: kern.health.bind(kern) }
  const server = createServer({
    parts,
    schema: createSchema(),
    log: createLog({ level: 'warn' }),
    options: { port: 0 },
  })
  await server.listen()
  return {
    url: `${server.url}/graphql`,
    async [Symbol.asyncDispose]() {
      await server.close()
      await kern.close()
    },
  }
}

async function serveNothing(): Promise<Listening> {
  const run = { runId: '019aac00-0000-7000-8000-000000000000', status: 'COMPLETED', output: RESULT }
  const resolvers = { Mutation: { runWorkflow: () => ({ run }) } }
  const yoga = createYoga({
    schema: createYogaSchema({ typeDefs: NOTHING, resolvers }),
    graphiql: false,
    logging: false,
  })
  // Yoga answers into the response itself, and says so only by a promise that nobody needs.
  const server = createHttpServer((req, res) => void yoga(req, res))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // `as`: it listens on a port, not on a pipe.
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/graphql`,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
    },
  }
}

const [kind, place = ''] = process.argv.slice(2)
await using server = kind === 'kern' ? await serveKern(place) : await serveNothing()
/** Answers with the processor time that it has used so far, in milliseconds. */
await answerParent(server.url, async () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
})
