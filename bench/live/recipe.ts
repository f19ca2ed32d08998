import { setMaxListeners } from 'node:events'
import { createServer } from 'node:http'
import type { ExecutionArgs } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { createPubSub, createSchema, createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'
import { listening, type TickServer } from './tickServer.ts'

/** As much of Kern's schema as the document of the subscribers needs. */
const TYPES = `
  scalar JSON
  type Run { runId: ID! status: String! }
  type RunEvent { cursor: String! seq: Int! type: String! at: String! name: String run: Run! data: JSON }
  type Query { nothing: String }
  type Subscription { runEvents(runId: ID!): RunEvent! }`

/** What Yoga's functions are handed along by: the arguments of an operation go through graphql-ws as they are. */
interface Bound {
  readonly execute: (args: ExecutionArgs) => never
  readonly subscribe: (args: ExecutionArgs) => never
}

/**
 * What the guides of Yoga and graphql-ws come to: both on one server, each subscription executed by itself, events from a
 * publisher in memory. Nothing is stored or read.
 */
export async function serveRecipe(): Promise<TickServer> {
  const eventTarget = new EventTarget()
  setMaxListeners(0, eventTarget)
  const events = createPubSub<{ event: [payload: object] }>({ eventTarget })
  let subscribed = 0
  const subscribe = () => {
    subscribed += 1
    return events.subscribe('event')
  }
  const resolvers = { Subscription: { runEvents: { subscribe, resolve: (event: object) => event } } }
  const yoga = createYoga({ schema: createSchema({ typeDefs: TYPES, resolvers }), graphiql: false, logging: false })
  // Yoga answers into the response itself, and says so only by a promise that nobody needs.
  const server = createServer((req, res) => void yoga(req, res))
  const webSockets = new WebSocketServer({ server, path: yoga.graphqlEndpoint })
  const protocol = useServer(
    {
      // `as`: what `onSubscribe` gives below.
      execute: (args) => (args.rootValue as Bound).execute(args),
      subscribe: (args) => (args.rootValue as Bound).subscribe(args),
      onSubscribe: async ({ extra }, _id, params) => {
        const enveloped = yoga.getEnveloped({ req: extra.request, socket: extra.socket, params })
        const { schema, execute, subscribe, contextFactory, parse, validate } = enveloped
        const document = parse(params.query)
        const errors = validate(schema, document)
        if (errors.length > 0) return errors
        const contextValue = await contextFactory()
        return { schema, document, variableValues: params.variables, contextValue, rootValue: { execute, subscribe } }
      },
    },
    webSockets,
  )
  return {
    url: await listening(server),
    subscribed: () => subscribed,
    publish: ({ result }) => events.publish('event', JSON.parse(result).data.runEvents),
    [Symbol.asyncDispose]: async () => {
      await protocol.dispose()
      server.close()
      server.closeAllConnections()
    },
  }
}
