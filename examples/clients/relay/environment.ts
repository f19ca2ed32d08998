import {
  Environment,
  type GraphQLResponse,
  Network,
  Observable,
  RecordSource,
  type RequestParameters,
  Store,
  type Variables,
} from 'relay-runtime'
import type { Live } from '../shared/live.ts'

/**
 * Queries and mutations go over HTTP, subscriptions over a WebSocket. Relay asks every entity for its `id` by itself.
 *
 * @param url where GraphQL is, such as `http://127.0.0.1:4000/graphql`
 * @param live what subscriptions go over
 */
export function createEnvironment(url: string, live: Live): Environment {
  const ask = async ({ text }: RequestParameters, variables: Variables): Promise<GraphQLResponse> => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query: text, variables }),
    })
    return await response.json()
  }
  const watch = ({ text }: RequestParameters, variables: Variables): Observable<GraphQLResponse> =>
    Observable.create((sink) =>
      live.subscribe(
        { query: text ?? '', variables },
        {
          // What GraphQL answers is what Relay is made for. Its type is narrower than the specification.
          next: (result) => sink.next(result as GraphQLResponse),
          error: (error) => sink.error(error instanceof Error ? error : new Error(String(error))),
          complete: () => sink.complete(),
        },
      ),
    )
  return new Environment({ network: Network.create(ask, watch), store: new Store(new RecordSource()) })
}
