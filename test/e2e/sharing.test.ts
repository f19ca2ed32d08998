import { expect, test } from 'vitest'
import { createServer } from '../../src/server/server.ts'
import { createSchema } from '../../schema/index.ts'
import { createLog } from '../../src/log.ts'
import { connect, openSse, type Message } from '../server/fanout/rawClient.ts'
import { data, onEachServer, type Served } from '../support/server.ts'
import { watchStatements } from '../support/statements.ts'
import { createFlows } from './flows.ts'

const flows = createFlows()
const PATIENCE = { timeout: 30_000 }

/** A second server of the same Kern, of which it is known what is open. */
async function countingServer({ kern }: Served) {
  const { commands, workflows, streams, readerFor, health } = kern
  const parts = { commands, workflows, streams, readerFor, health }
  const log = createLog({ level: 'silent' })
  const server = createServer({ parts, schema: createSchema(), log, options: { port: 0 } })
  await server.listen()
  return server
}

async function start(served: Served, door: string): Promise<string> {
  const { runWorkflow } = await data<{ runWorkflow: { run: { runId: string } } }>(
    served,
    `mutation ($input: RunWorkflowInput!) { runWorkflow(input: $input) { ... on RunPayload { run { runId } } } }`,
    { input: { workflowId: 'held', input: { door } } },
  )
  return runWorkflow.run.runId
}

const EVENTS = `subscription ($runId: ID!, $after: String) {
  event: runEvents(runId: $runId, after: $after) { seq cursor type run { status } step { path status } } }`

interface EventData {
  readonly data: { readonly event: { readonly seq: number; readonly cursor: string } }
}

// What the subscription above gives.
const eventsOf = (messages: readonly Message[]) =>
  messages.filter(({ type }) => type === 'next').map(({ payload }) => (payload as EventData).data.event)

let doors = 0

onEachServer(
  () => flows,
  (served) => {
    test('forty subscribers of one run cost the database what one of them does, and get the same', async () => {
      await using server = await countingServer(served())
      /** Statements from the moment on that so many are live, until the run is over for all of them. */
      const cost = async (count: number) => {
        const name = `sharing ${++doors}`
        const door = flows.door(name)
        const runId = await start(served(), name)
        await door.reached
        const clients = await Promise.all(Array.from({ length: count }, () => connect(server)))
        const stream = await openSse(server, { query: EVENTS, variables: { runId } })
        for (const client of clients) client.subscribe('a', { query: EVENTS, variables: { runId } })
        await expect
          .poll(() => server.counts(), PATIENCE)
          .toMatchObject({ subscriptions: count + 1, groups: 1, sources: 1 })
        let statements = 0
        const end = watchStatements(served().database, ({ text }) => {
          if (/^\s*select/i.test(text)) statements += 1
        })
        door.open()
        const isOver = (messages: readonly Message[]) => messages.some(({ type }) => type === 'complete')
        await Promise.all(clients.map((client) => client.until(isOver)))
        end()
        await stream.ended
        const [first, ...others] = clients.map(({ messages }) => eventsOf(messages))
        const seqs = first?.map(({ seq }) => seq)
        expect(seqs).toEqual(seqs?.map((_, index) => index + 1))
        for (const other of others) expect(other).toEqual(first)
        const overSse = stream
          .text()
          .match(/^data: .+$/gm)
          ?.map((line) => (JSON.parse(line.slice(6)) as EventData).data.event)
        expect(overSse).toEqual(first)
        await expect.poll(() => server.counts(), PATIENCE).toMatchObject({ subscriptions: 0, groups: 0, sources: 0 })
        for (const { socket } of clients) socket.terminate()
        return statements
      }
      const [one, many] = [await cost(1), await cost(40)]
      // Polls of other parts come in between.
      expect(many).toBeLessThan(one + 15)
    })

    test('who resumes from the cursor of a shared event gets exactly the rest', async () => {
      await using server = await countingServer(served())
      const name = `sharing ${++doors}`
      const door = flows.door(name)
      const runId = await start(served(), name)
      await door.reached
      const clients = await Promise.all(Array.from({ length: 5 }, () => connect(server)))
      for (const client of clients) client.subscribe('a', { query: EVENTS, variables: { runId } })
      await expect.poll(() => server.counts(), PATIENCE).toMatchObject({ subscriptions: 5, groups: 1 })
      const [kept, ...dropped] = clients
      for (const { socket } of dropped) socket.terminate()
      const again = await Promise.all(
        dropped.map(async ({ messages }) => {
          const before = eventsOf(messages)
          const client = await connect(server)
          client.subscribe('b', { query: EVENTS, variables: { runId, after: before.at(-1)?.cursor } })
          return { before, client }
        }),
      )
      door.open()
      const isOver = (messages: readonly Message[]) => messages.some(({ type }) => type === 'complete')
      await Promise.all([kept, ...again.map(({ client }) => client)].map(async (client) => await client?.until(isOver)))
      const seqs = eventsOf(kept?.messages ?? []).map(({ seq }) => seq)
      for (const { before, client } of again) {
        expect([...before, ...eventsOf(client.messages)].map(({ seq }) => seq)).toEqual(seqs)
      }
    })

    test('the changes of a set of runs go to all who watch it', async () => {
      await using server = await countingServer(served())
      const query = 'subscription { runChanged(filter: { workflowId: "held" }) { kind runId run { status } } }'
      const clients = await Promise.all([connect(server), connect(server), connect(server)])
      for (const client of clients) client.subscribe('a', { query })
      await expect.poll(() => server.counts(), PATIENCE).toMatchObject({ subscriptions: 3, groups: 1, sources: 1 })
      const name = `sharing ${++doors}`
      const door = flows.door(name)
      const runId = await start(served(), name)
      const [entered, ended] = [`"kind":"ENTERED","runId":"${runId}"`, '"status":"COMPLETED"']
      await Promise.all(clients.map((client) => client.until(() => client.texts.join().includes(entered))))
      door.open()
      await Promise.all(clients.map((client) => client.until(() => client.texts.join().includes(ended))))
      const [first, ...others] = clients.map(({ messages }) => messages.map(({ payload }) => payload))
      for (const other of others) expect(other).toEqual(first)
    })
  },
)
