import type { IncomingMessage, ServerResponse } from 'node:http'
import { GraphQLError } from 'graphql'
import type { ExecutionResult, GraphQLSchema } from 'graphql'
import { createYoga } from 'graphql-yoga'
import type { CORSOptions, GraphQLParams, Plugin, YogaServerInstance } from 'graphql-yoga'
import type { KernContext } from '../../schema/context.ts'
import { shown } from '../errors.ts'
import type { Log } from '../log.ts'
import { useDepthLimit } from './depth.ts'
import type { Asked } from './fanout/render.ts'
import type { Subscription } from './fanout/subscription.ts'
import type { Mask, Operation } from './mask.ts'
import type { Refusal } from './refusal.ts'

/** The path of GraphQL: of queries, of subscriptions over both transports, and of GraphiQL. */
export const GRAPHQL_PATH = '/graphql'

/** What Yoga is given with each HTTP request. */
export interface HttpExchange {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Opened for a request that subscribes. */
  readonly stream: OpenedStream
}

/** What became of a request that subscribes: a subscription, or a refusal for which there is no result of GraphQL. */
export interface OpenedStream {
  subscription: Subscription | null
  refusal: Refusal | null
}

export type GraphQLHandler = YogaServerInstance<HttpExchange, KernContext>

export interface GraphQLParts {
  readonly schema: GraphQLSchema
  readonly createContext: () => KernContext
  readonly mask: Mask
  readonly log: Log
  /** Opens a subscription whose events go to the answer; or returns why not. */
  readonly subscribe: (asked: Asked, res: ServerResponse) => Promise<Subscription | Refusal | readonly GraphQLError[]>
  /** Other origins whose pages may call. */
  readonly allowedOrigins: readonly string[]
  /** The largest body of a request, in bytes. */
  readonly maxRequestBytes: number
}

/** GraphQL over HTTP, and what parses, validates and executes for WebSockets. */
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
    cors: corsFor(allowedOrigins),
    maxRequestBodySize: parts.maxRequestBytes,
    logging: { debug: logged, info: logged, warn: logged, error: logged },
    // Yoga's own masking sees neither requests that it cannot read nor the name of the operation: the plugin does.
    maskedErrors: false,
    plugins: [useMask(parts.mask), useDepthLimit(), useStreams(parts.subscribe)],
  })
}

/**
 * One origin at most is named in an answer: that of the request, if it is allowed. Of a list Yoga would name `null` to all
 * others, which is the origin of any page in a sandbox.
 */
function corsFor(allowed: readonly string[]): false | ((request: Request) => CORSOptions) {
  if (allowed.length === 0) return false
  return (request) => {
    const origin = request.headers.get('origin')
    return origin !== null && allowed.includes(origin) ? { origin: [origin], methods: ['GET', 'POST'] } : false
  }
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
    onResultProcess({ request, result, setResult }) {
      const masked = (one: ExecutionResult): ExecutionResult => mask.result(one, operations.get(request))
      if (!(Symbol.asyncIterator in result)) setResult(Array.isArray(result) ? result.map(masked) : masked(result))
    },
  }
}

/**
 * Leaves subscriptions to who has opened them: Yoga only finds out whether the client takes a stream of events, and says so
 * by the type of a response without a body.
 */
function useStreams(subscribe: GraphQLParts['subscribe']): Plugin<object, HttpExchange> {
  return {
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn(async ({ contextValue, ...args }) => {
        // Yoga adds its own to what it is given with the request.
        const { res, stream, params } = contextValue as HttpExchange & { readonly params: GraphQLParams }
        const opened = await subscribe({ ...args, query: params.query ?? '' }, res)
        if ('next' in opened) {
          stream.subscription = opened
          return opened
        }
        if (!('status' in opened)) return { errors: opened }
        stream.refusal = opened
        return { errors: [new GraphQLError(opened.message, { extensions: { code: opened.code } })] }
      })
    },
    onResultProcess({ serverContext: { stream }, resultProcessor, setResultProcessor }) {
      if (!stream.subscription || !resultProcessor) return
      setResultProcessor((_result, { Response }) => new Response(null, { headers: STREAM_HEADERS }), EVENT_STREAM)
    },
  }
}

/** The type of an answer that is a stream of server-sent events. */
export const EVENT_STREAM = 'text/event-stream'

const STREAM_HEADERS = {
  'Content-Type': EVENT_STREAM,
  'Cache-Control': 'no-cache',
  // Proxies hold streams back unless they are told not to.
  'X-Accel-Buffering': 'no',
}
