import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, Observable } from '@apollo/client'
import { OperationTypeNode, print } from 'graphql'
import { introspection } from '../../../schema/schema.graphql'
import type { Live } from '../shared/live.ts'

/** Which types an interface or union stands for: without it the cache cannot tell what fits `... on Error`. */
const possibleTypes = Object.fromEntries(
  introspection.__schema.types.flatMap((type) =>
    type.kind === 'INTERFACE' || type.kind === 'UNION' ? [[type.name, type.possibleTypes.map(({ name }) => name)]] : [],
  ),
)

/**
 * Queries and mutations go over HTTP, subscriptions over a WebSocket. Every entity has an `id` that no entity of
 * another type has, so the cache needs no settings to know which is which.
 *
 * @param url where GraphQL is, such as `http://127.0.0.1:4000/graphql`
 * @param live what subscriptions go over
 */
export function createApolloClient(url: string, live: Live): ApolloClient {
  const subscriptions = new ApolloLink(
    ({ query, variables }) =>
      new Observable((observer) => live.subscribe({ query: print(query), variables }, observer)),
  )
  return new ApolloClient({
    cache: new InMemoryCache({ possibleTypes }),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      subscriptions,
      new HttpLink({ uri: url }),
    ),
  })
}
