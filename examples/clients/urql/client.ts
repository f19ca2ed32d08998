import { cacheExchange } from '@urql/exchange-graphcache'

import { Client, fetchExchange, subscriptionExchange } from 'urql'
import { introspection } from '../../../schema/schema.graphql'
import type { Live } from '../shared/live.ts'
import { READ_RUNS, UNDER_WAY, type WatchedRuns, withChange } from './operations.ts'

/**
 * Queries and mutations go over HTTP, subscriptions over a WebSocket. The cache knows entities by their `id`; what has
 * none, or is asked for without it, is kept with what it is a part of.
 *
 * @param url where GraphQL is, such as `http://127.0.0.1:4000/graphql`
 * @param live what subscriptions go over
 */
export function createUrqlClient(url: string, live: Live): Client {
  return new Client({
    url,
    preferGetMethod: false,
    exchanges: [
      cacheExchange({
        schema: introspection,
        keys: { RunChange: () => null, RunEvent: () => null, RunPayload: () => null },
        updates: {
          Subscription: {
            runChanged: (given, _variables, cache) => {
              // Nobody but WATCH_RUNS asks for it.
              const { runChanged } = given as unknown as WatchedRuns
              cache.updateQuery({ query: READ_RUNS, variables: UNDER_WAY }, (read) => withChange(read, runChanged))
            },
          },
        },
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: live.subscribe({ query, variables: { ...variables } }, sink),
          }),
        }),
      }),
    ],
  })
}
