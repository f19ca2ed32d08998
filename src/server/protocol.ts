import { getOperationAST, GraphQLError, OperationTypeNode } from 'graphql'
import type { ExecutionArgs } from 'graphql'
import { makeServer } from 'graphql-ws'
import type { Server as ProtocolServer, SubscribePayload } from 'graphql-ws'
import { KernError } from '../errors.ts'
import type { FanOut } from './fanout/fanOut.ts'
import { onWire } from './fanout/render.ts'
import type { Subscription } from './fanout/subscription.ts'
import type { GraphQLHandler } from './graphql.ts'
import type { Mask } from './mask.ts'
import type { Line } from './socketLine.ts'

export interface ProtocolParts {
  readonly graphql: GraphQLHandler
  readonly fanOut: FanOut
  readonly mask: Mask
  readonly limits: ProtocolLimits
}

export interface ProtocolLimits {
  /** How long a client may take to say hello, in milliseconds; then its socket is closed with 4408. */
  readonly initTimeoutMs: number
  /** How many subscriptions a socket may have. */
  readonly maxSubscriptionsPerSocket: number
}

/** What the protocol core hands on with everything that it asks about a socket. */
export interface SocketExtra {
  readonly line: Line
}

/** What an operation is executed by; the protocol core hands it back with the arguments. */
interface BoundArgs extends ExecutionArgs {
  readonly bound: { execute(args: ExecutionArgs): unknown } | { readonly subscription: Subscription }
}

type Result = ReturnType<NonNullable<Parameters<typeof makeServer>[0]['execute']>>

/** The protocol graphql-transport-ws, without any sockets. */
export function createProtocol(parts: ProtocolParts): ProtocolServer<SocketExtra> {
  const { mask, limits } = parts
  return makeServer<Record<string, unknown>, SocketExtra>({
    connectionInitWaitTimeout: limits.initTimeoutMs,
    // The arguments are those that `prepare` made, and Yoga's function resolves to a result of GraphQL.
    execute: (args) => executeBound(args as BoundArgs) as Result,
    // A subscription yields nothing itself: its frames go to the socket, past the protocol core.
    subscribe: (args) => executeBound(args as BoundArgs) as Result,
    onSubscribe: async ({ extra }, id, payload) => {
      try {
        return await prepare(parts, payload, { line: extra.line, id })
      } catch (error) {
        // Thrown from here it would close the socket, with its message as the reason.
        return [mask.error(error, payload)]
      }
    },
    onError: (_socket, _id, payload, errors) => errors.map((error) => onWire(mask.error(error, payload))),
    onNext: (_socket, _id, payload, _args, { errors, data, extensions }) =>
      errors && {
        errors: errors.map((error) => onWire(mask.error(error, payload))),
        ...(data === undefined ? {} : { data }),
        ...(extensions === undefined ? {} : { extensions }),
      },
  })
}

function executeBound({ bound, ...args }: BoundArgs): unknown {
  return 'subscription' in bound ? bound.subscription : bound.execute(args)
}

interface Place {
  readonly line: Line
  /** The id of the operation. */
  readonly id: string
}

async function prepare(
  { graphql, fanOut, limits }: ProtocolParts,
  payload: SubscribePayload,
  { line, id }: Place,
): Promise<BoundArgs | readonly GraphQLError[]> {
  const { schema, parse, validate, contextFactory, execute } = graphql.getEnveloped({ params: payload })
  const { query, operationName, variables: variableValues } = payload
  const document = parse(query)
  const errors = validate(schema, document)
  if (errors.length > 0) return errors
  const operation = getOperationAST(document, operationName)
  if (!operation) {
    const message = 'Could not determine what operation to execute.'
    return [new GraphQLError(message, { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } })]
  }
  const args = { schema, document, operationName, variableValues }
  if (operation.operation !== OperationTypeNode.SUBSCRIPTION) {
    return { ...args, contextValue: await contextFactory(), bound: { execute } }
  }
  const max = limits.maxSubscriptionsPerSocket
  if (!line.reserve(max)) {
    throw new KernError('LIMIT_EXCEEDED', `The socket has ${max} subscriptions: allowed are ${max}`, { limit: max })
  }
  let subscription: Subscription | null = null
  try {
    const opened = await fanOut.open({ document, query, operationName, variableValues }, line.outlet(id))
    if (!('next' in opened)) return opened
    subscription = opened
    return { ...args, bound: { subscription } }
  } finally {
    line.take(subscription)
  }
}
