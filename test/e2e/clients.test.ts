import { Client, type CombinedError, fetchExchange, gql } from '@urql/core'
import { createClient } from 'graphql-ws'
import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { onEachServer } from '../support/server.ts'
import { createFlows } from './flows.ts'

const options = { workflows: createFlows().workflows }

const RUN = gql`
  mutation Run($input: RunWorkflowInput!) {
    runWorkflow(input: $input) {
      __typename
      ... on RunPayload {
        run {
          runId
          status
          output
          session {
            sessionId
          }
        }
      }
      ... on Error {
        code
        message
      }
    }
  }
`

onEachServer(
  () => options,
  (served) => {
    describe('urql', () => {
      const client = () =>
        new Client({
          url: served().url,
          exchanges: [fetchExchange],
          preferGetMethod: false,
          requestPolicy: 'network-only',
          fetchSubscriptions: true,
        })

      test('runs a workflow, reads its session, and watches its events', async () => {
        const input = { workflowId: 'pipeline', input: { topic: 'tea' }, waitMs: 10_000 }
        const { data } = await client().mutation(RUN, { input }).toPromise()
        expect(data.runWorkflow).toMatchObject({ run: { status: 'COMPLETED', output: 'Read about tea' } })
        const { runId, session } = data.runWorkflow.run
        const read = await client()
          .query('query ($id: String!) { session(sessionId: $id) { state runs { nodes { runId } } } }', {
            id: session.sessionId,
          })
          .toPromise()
        expect(read.data).toMatchObject({ session: { state: { seen: 1 }, runs: { nodes: [{ runId }] } } })

        const types: string[] = []
        await new Promise<void>((resolve, reject) => {
          client()
            .subscription(gql('subscription ($runId: ID!) { runEvents(runId: $runId) { type } }'), { runId })
            .subscribe(({ data: event, error, hasNext }) => {
              if (error) reject(error)
              else if (event) types.push(event.runEvents.type)
              if (!hasNext) resolve()
            })
        })
        expect(types.at(-1)).toBe('RUN_COMPLETED')
      })

      test('tells a refusal by its type, and an error by its code', async () => {
        const { data, error } = await client()
          .mutation(RUN, { input: { workflowId: 'nothing' } })
          .toPromise()
        expect(error).toBeUndefined()
        expect(data.runWorkflow).toMatchObject({ __typename: 'NotFoundError', code: 'NOT_FOUND' })
        const refused: CombinedError | undefined = (
          await client().query('{ sessions(first: 0) { nodes { id } } }', {}).toPromise()
        ).error
        expect(refused?.graphQLErrors.map(({ extensions }) => extensions['code'])).toEqual(['INPUT_INVALID'])
      })
    })

    test('queries and mutations go over a WebSocket as well, many at once on one', async () => {
      const client = createClient({
        url: served().url.replace('http', 'ws'),
        webSocketImpl: WebSocket,
        retryAttempts: 0,
      })
      const once = async (query: string) => {
        for await (const { data, errors } of client.iterate({ query })) return { data, errors }
        return null
      }
      const run = (topic: string) => `mutation {
        runWorkflow(input: { workflowId: "pipeline", input: { topic: "${topic}" }, waitMs: 10000 }) {
          ... on RunPayload { run { output } }
        }
      }`
      const topics = ['a', 'b', 'c', 'd', 'e']
      const answers = await Promise.all([
        once('{ workflows { workflowId } }'),
        ...topics.map((topic) => once(run(topic))),
      ])
      expect(answers[0]?.data).toEqual({
        workflows: ['echo', 'failing', 'held', 'pipeline', 'stages'].map((workflowId) => ({ workflowId })),
      })
      expect(answers.slice(1).map((answer) => answer?.data)).toEqual(
        topics.map((topic) => ({ runWorkflow: { run: { output: `Read about ${topic}` } } })),
      )
      await client.dispose()
    })
  },
)
