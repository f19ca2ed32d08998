import { Writable } from 'node:stream'
import {
  GraphQLInt,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  type GraphQLFieldConfig,
} from 'graphql'
import type { ReaderFor } from '../../../src/engine/reader.ts'
import { KernError } from '../../../src/errors.ts'
import { createLog } from '../../../src/log.ts'
import type { ServerParts } from '../../../src/server/context.ts'
import { createServer, type GraphQLServer, type ServerOptions } from '../../../src/server/server.ts'
import { createFeed, type Feed, type FeedEvent, type Row } from './feed.ts'

/** A server of feeds. */
export interface FeedServer extends AsyncDisposable {
  readonly server: GraphQLServer
  /** How often an event was executed. */
  readonly executed: { count: number }
  readonly lines: Record<string, unknown>[]
  /** The feed of the name, which is there when somebody asks for it. */
  feed(name?: string): Feed
}

export async function serveFeeds(options: ServerOptions = {}, random?: () => number): Promise<FeedServer> {
  const lines: Record<string, unknown>[] = []
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  // The schema reads nothing but feeds.
  const unused = {} as ServerParts['commands'] & ServerParts['streams'] & ReturnType<ReaderFor>
  const parts: ServerParts = {
    commands: unused,
    streams: unused,
    readerFor: () => unused,
    workflows: { list: () => [], get: () => undefined },
    health: async () => true,
  }
  const feeds = new Map<string, Feed>()
  const feed = (name = 'main'): Feed => {
    const found = feeds.get(name) ?? createFeed(random)
    feeds.set(name, found)
    return found
  }
  const executed = { count: 0 }
  const log = createLog({ level: 'info', format: 'json', output })
  const server = createServer({ parts, schema: feedSchema(feed, executed), log, options: { port: 0, ...options } })
  await server.listen()
  return { server, executed, lines, feed, [Symbol.asyncDispose]: () => server.close() }
}

function feedSchema(feed: (name: string) => Feed, executed: { count: number }): GraphQLSchema {
  const event = new GraphQLObjectType<FeedEvent>({
    name: 'FeedEvent',
    fields: {
      number: { type: new GraphQLNonNull(GraphQLInt) },
      seq: {
        type: new GraphQLNonNull(GraphQLInt),
        resolve: ({ seq }) => {
          executed.count += 1
          return seq
        },
      },
      text: { type: GraphQLString, resolve: ({ text }) => text },
      cursor: { type: new GraphQLNonNull(GraphQLString) },
      same: { type: GraphQLString, args: { text: { type: GraphQLString } }, resolve: (_event, { text }) => text },
      fault: {
        type: GraphQLString,
        resolve: () => {
          throw new Error('secret of the event')
        },
      },
    },
  })
  const args = {
    name: { type: GraphQLString, defaultValue: 'main' },
    after: { type: GraphQLString },
    even: { type: GraphQLString },
  }
  const feedField: GraphQLFieldConfig<FeedEvent, unknown> = {
    type: new GraphQLNonNull(event),
    args,
    subscribe: (_root, { name, after, even }) => {
      if (after === 'wrong') throw new KernError('CURSOR_INVALID', 'after is wrong')
      return feed(name).open({ after, isWanted: (row: Row) => !even || row.seq % 2 === 0 })
    },
    resolve: (given) => given,
  }
  const liveField = {
    ...feedField,
    subscribe: (_root: unknown, { name }: { name: string }) => feed(name).open({ isOrdered: false }),
  }
  const hello = { hello: { type: GraphQLString, resolve: () => 'world' } }
  return new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: hello }),
    // What the schema gives to resolvers, they know.
    subscription: new GraphQLObjectType({
      name: 'Subscription',
      fields: { feed: feedField, live: liveField } as never,
    }),
  })
}
