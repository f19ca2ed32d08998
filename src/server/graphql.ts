import type { IncomingMessage, ServerResponse } from 'node:http'
import { GraphQLError } from 'graphql'
import type { ExecutionResult, GraphQLSchema } from 'graphql'
import { createYoga } from 'graphql-yoga'
import type { Plugin, YogaServerInstance } from 'graphql-yoga'
import type { KernContext } from '../../schema/context.ts'
import { shown } from '../errors.ts'
import type { Log } from '../log.ts'
import { useDepthLimit } from './depth.ts'
import type { Mask, Operation } from './mask.ts'

/** The path of GraphQL: of queries, of subscriptions over both transports, and of GraphiQL. */
export const GRAPHQL_PATH = '/graphql'

/** What Yoga is given with each HTTP request. */
export interface HttpExchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Aborts when the client goes away or the server stops: a subscription ends then. */
  readonly over: AbortSignal
}

export type GraphQLHandler = YogaServerInstance<HttpExchange, KernContext>

export interface GraphQLParts {
  readonly schema: GraphQLSchema
  readonly createContext: () => KernContext
  readonly mask: Mask
  readonly log: Log
  /** Other origins whose pages may call. */
  readonly allowedOrigins: readonly string[]
  /** The largest body of a request, in bytes. */
  readonly maxRequestBytes: number
}

/** GraphQL over HTTP and SSE, and what parses, validates and executes for WebSockets. */
export function createGraphQL(parts: GraphQLParts): GraphQLHandler {
  const { log, allowedOrigins } = parts
  const logged = (...args: unknown[]): void => log.debug({ details: args.slice(1) }, String(args[0]))
  return createYoga<HttpExchange, KernContext>({
    schema: parts.schema,
    context: parts.createContext,
    graphqlEndpoint: GRAPHQL_PATH,
    // It answers any URL that ends so; a URL of a request has no fragment.
    healthCheckEndpoint: '#',
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: allowedOrigins.length > 0 ? { origin: [...allowedOrigins], methods: ['GET', 'POST'] } : false,
    maxRequestBodySize: parts.maxRequestBytes,
    logging: { debug: logged, info: logged, warn: logged, error: logged },
    // Yoga's own masking sees neither requests that it cannot read nor the name of the operation: the plugin does.
    maskedErrors: false,
    plugins: [useMask(parts.mask), useDepthLimit()],
  })
}

function useMask(mask: Mask): Plugin<object, HttpExchange> {
  const operations = new WeakMap<Request, Operation>()
  return {
    onParams({ request, params }) {
      operations.set(request, params)
      // Yoga checks the other members of a request.
      const name: unknown = params.operationName ?? undefined
      if (name !== undefined && typeof name !== 'string') {
        const message = `operationName is ${shown(name)}: allowed is text, or nothing`
        throw new GraphQLError(message, { extensions: { code: 'BAD_REQUEST', http: { status: 400 } } })
      }
    },
    // Whatever is answered comes by here, also what failed before it was executed.
    onResultProcess({ request, result, setResult, serverContext: { over } }) {
      const masked = (one: ExecutionResult): ExecutionResult => mask.result(one, operations.get(request))
      if (Symbol.asyncIterator in result) setResult(mapped(result, masked, over))
      else setResult(Array.isArray(result) ? result.map(masked) : masked(result))
    },
  }
}

/**
 * Not a generator: `return` of a generator waits for its pending `next`, which may be waiting for an event. Yoga's stream
 * waits so too, until its next ping: the source is therefore released as soon as the stream is over.
 */
function mapped<Item>(
  source: AsyncIterable<Item>,
  map: (item: Item) => Item,
  over: AbortSignal,
): AsyncIterableIterator<Item> {
  const iterator = source[Symbol.asyncIterator]()
  let released: Promise<unknown> | undefined
  const release = async (): Promise<void> => {
    released ??= Promise.resolve(iterator.return?.())
    await released
  }
  // If it fails, Yoga is told, which releases it too.
  const end = (): void => void release().catch(() => {})
  if (over.aborted) end()
  else over.addEventListener('abort', end, { once: true })
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const step = await iterator.next()
      return step.done ? step : { done: false, value: map(step.value) }
    },
    async return() {
      await release()
      return { done: true, value: undefined }
    },
  }
}
