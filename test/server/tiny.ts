import { Writable } from 'node:stream'
import {
  GraphQLInt,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  type GraphQLFieldConfigMap,
} from 'graphql'
import { createClient as createSseClient } from 'graphql-sse'
import { createClient as createWsClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { ReaderFor } from '../../src/engine/reader.ts'
import { KernError } from '../../src/errors.ts'
import { createLog } from '../../src/log.ts'
import type { ServerParts } from '../../src/server/context.ts'
import { createServer, type Server, type ServerOptions } from '../../src/server/server.ts'

/** A promise with its ends outside. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

export function createGate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

/** What the schema below tells the test, and is told by it. */
export interface Tiny {
  readonly server: Server
  /** The lines of the log so far, parsed. */
  readonly lines: Record<string, unknown>[]
  /** Opens when `Query.slow` is executed; it answers when `letSlowEnd` opens. */
  readonly slowStarted: Gate
  readonly letSlowEnd: Gate
  /** Opens when `Subscription.forever` has been asked for its second event. */
  readonly foreverWaits: Gate
  /** Opens when the source of `Subscription.forever` is released. */
  readonly foreverReleased: Gate
  /** Opens when the source of `Subscription.flood` is released. */
  readonly floodReleased: Gate
  health: () => Promise<boolean>
}

export async function startTiny(options: ServerOptions = {}): Promise<Tiny & AsyncDisposable> {
  const lines: Record<string, unknown>[] = []
  const gates = {
    slowStarted: createGate(),
    letSlowEnd: createGate(),
    foreverWaits: createGate(),
    foreverReleased: createGate(),
    floodReleased: createGate(),
  }
  const state = { health: async () => true }
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  // The tiny schema reads nothing but its own fields.
  const unused = {} as ServerParts['commands'] & ServerParts['streams'] & ReturnType<ReaderFor>
  const parts: ServerParts = {
    commands: unused,
    streams: unused,
    readerFor: () => unused,
    workflows: { list: () => [], get: () => undefined },
    health: () => state.health(),
  }
  const log = createLog({ level: 'info', format: 'json', output })
  const server = createServer({ parts, schema: tinySchema(gates), log, options: { port: 0, ...options } })
  await server.listen()
  return Object.assign(state, gates, { server, lines, [Symbol.asyncDispose]: () => server.close() })
}

type Gates = Pick<Tiny, 'slowStarted' | 'letSlowEnd' | 'foreverWaits' | 'foreverReleased' | 'floodReleased'>

const failing: GraphQLFieldConfigMap<unknown, unknown> = {
  refused: {
    type: GraphQLString,
    resolve: () => {
      throw new KernError('NOT_FOUND', 'there is no such thing')
    },
  },
  broken: {
    type: GraphQLString,
    resolve: () => {
      throw new Error('secret of the resolver')
    },
  },
  text: {
    type: GraphQLString,
    resolve: () => {
      // oxlint-disable-next-line no-throw-literal, only-throw-error -- what a careless library does
      throw 'secret text'
    },
  },
  wrong: { type: GraphQLInt, resolve: () => 'secret value' },
  missing: { type: new GraphQLNonNull(GraphQLString), resolve: () => null },
}

function tinySchema(gates: Gates): GraphQLSchema {
  return new GraphQLSchema({
    query: new GraphQLObjectType({
      name: 'Query',
      fields: {
        hello: { type: GraphQLString, resolve: () => 'world' },
        echo: {
          type: GraphQLInt,
          args: { value: { type: new GraphQLNonNull(GraphQLInt) } },
          resolve: (_root, args: { value: number }) => args.value,
        },
        slow: {
          type: GraphQLString,
          resolve: async () => {
            gates.slowStarted.open()
            await gates.letSlowEnd.opened
            return 'done'
          },
        },
        ...failing,
      },
    }),
    mutation: new GraphQLObjectType({
      name: 'Mutation',
      fields: { touch: { type: GraphQLString, resolve: () => 'touched' } },
    }),
    subscription: new GraphQLObjectType({ name: 'Subscription', fields: subscriptions(gates) }),
  })
}

function subscriptions(gates: Gates): GraphQLFieldConfigMap<unknown, unknown> {
  const event = { type: GraphQLInt, resolve: (value: unknown) => value }
  return {
    count: {
      ...event,
      subscribe: () =>
        (async function* () {
          yield* [1, 2, 3]
        })(),
    },
    refusedSource: {
      ...event,
      subscribe: () => {
        throw new KernError('CURSOR_INVALID', 'after is wrong')
      },
    },
    brokenSource: {
      ...event,
      subscribe: () => {
        throw new Error('secret of the source')
      },
    },
    breaking: {
      ...event,
      subscribe: () =>
        (async function* () {
          yield 1
          throw new Error('secret of the stream')
        })(),
    },
    refusing: {
      ...event,
      subscribe: () =>
        (async function* () {
          yield 1
          throw new KernError('UNAVAILABLE', 'the database did not answer')
        })(),
    },
    brokenEvent: {
      type: GraphQLInt,
      resolve: () => {
        throw new Error('secret of the event')
      },
      subscribe: () =>
        (async function* () {
          yield 1
        })(),
    },
    forever: { ...event, subscribe: () => forever(gates) },
    flood: { ...event, type: GraphQLString, subscribe: () => flood(gates) },
  }
}

/** One event, and then none until it is released: as a stream of events that never come. */
function forever({ foreverWaits, foreverReleased }: Gates): AsyncIterableIterator<number> {
  let sent = false
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: async () => {
      if (!sent) {
        sent = true
        return { done: false, value: 1 }
      }
      foreverWaits.open()
      await foreverReleased.opened
      return { done: true, value: undefined }
    },
    return: async () => {
      foreverReleased.open()
      return { done: true, value: undefined }
    },
  }
}

/** Events of 1 KB without end, as fast as they are taken. */
function flood({ floodReleased }: Gates): AsyncIterableIterator<string> {
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: async () => ({ done: false, value: 'x'.repeat(1_000) }),
    return: async () => {
      floodReleased.open()
      return { done: true, value: undefined }
    },
  }
}

/* ------------------------------------------------------------------ clients */

export interface Asked {
  readonly query: string
  readonly variables?: Record<string, unknown>
  readonly operationName?: string
}

/** What a client got: one answer, or each event of a stream. */
export interface Answer {
  readonly data?: unknown
  readonly errors?: readonly { message: string; path?: readonly unknown[]; extensions?: Record<string, unknown> }[]
}

/** A way to ask the server; resolves with everything that it answered. */
export type Transport = (server: Server, asked: Asked) => Promise<Answer[]>

export const overHttp: Transport = async (server, asked) => {
  const response = await post(server, asked)
  return [(await response.json()) as Answer] // what the server answers is what the tests look at
}

export function post(server: Server, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

export const overSse: Transport = async (server, asked) => {
  const client = createSseClient({ url: `${server.url}/graphql`, retryAttempts: 0 })
  const answers: Answer[] = []
  for await (const answer of client.iterate(asked)) answers.push(answer as Answer) // as above
  client.dispose()
  return answers
}

export const overWebSocket: Transport = async (server, asked) => {
  const client = createWsClient({ url: socketUrl(server), webSocketImpl: WebSocket, retryAttempts: 0 })
  const answers: Answer[] = []
  try {
    for await (const answer of client.iterate(asked)) answers.push(answer as Answer) // as above
  } catch (errors) {
    // The protocol has a message of its own for operations that never began: a list of errors, which the client throws.
    if (!Array.isArray(errors)) throw errors
    answers.push({ errors })
  }
  await client.dispose()
  return answers
}

export function socketUrl(server: Server): string {
  return `${server.url.replace('http', 'ws')}/graphql`
}
