import { Writable } from 'node:stream'
import { createClient as createSseClient } from 'graphql-sse'
import { createClient as createWsClient } from 'graphql-ws'
import { afterAll, beforeAll, describe } from 'vitest'
import { WebSocket } from 'ws'
import { createSchema } from '../../schema/index.ts'
import type { Database } from '../../src/db/client.ts'
import { createKernOn, type Kern, type KernOptions } from '../../src/kern.ts'
import type { Pace } from '../../src/wiring/pace.ts'
import { createLog } from '../../src/log.ts'
import { createServer } from '../../src/server/server.ts'
import { onEachDatabase } from './databases.ts'

/** A Kern with its server in this process, as `kern start` makes them. */
export interface Served extends AsyncDisposable {
  readonly kern: Kern
  readonly database: Database
  /** Where GraphQL is, such as `http://127.0.0.1:40000/graphql`. */
  readonly url: string
  /** What the server logged so far, parsed. */
  readonly lines: Record<string, unknown>[]
  close(): Promise<void>
}

export type ServedOptions = Omit<KernOptions, 'db' | 'log'> & { readonly pace?: Pace | undefined }

/** Serves workflows from an open database, which stays open. */
export async function serve(database: Database, { pace, ...options }: ServedOptions): Promise<Served> {
  const lines: Record<string, unknown>[] = []
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const log = createLog({ level: 'info', format: 'json', output })
  const kern = await createKernOn(database, { graceMs: 1_000, drainMs: 100, ...options, log }, pace)
  const { commands, workflows, streams, readerFor, health } = kern
  const parts = { commands, workflows, streams, readerFor, health }
  const server = createServer({ parts, schema: createSchema(), log, options: { port: 0 } })
  await server.listen()
  const close = async (): Promise<void> => {
    await server.close()
    await kern.close()
  }
  return { kern, database, url: `${server.url}/graphql`, lines, close, [Symbol.asyncDispose]: close }
}

/** Runs one suite against a server on the embedded database, and against one on Postgres. */
export function onEachServer(
  optionsFor: () => ServedOptions,
  suite: (served: () => Served, name: 'PGlite' | 'Postgres') => void,
): void {
  onEachDatabase((name, open) => {
    // A suite of its own, so that the server is closed before the database is.
    describe('a server', () => {
      let served: Served | undefined
      beforeAll(async () => {
        served = await serve(await open(), optionsFor())
      })
      afterAll(() => served?.close())
      suite(() => {
        if (!served) throw new Error('the server is started before the first test, and not before')
        return served
      }, name)
    })
  })
}

/* ------------------------------------------------------------------ clients */

export interface Asked {
  readonly query: string
  readonly variables?: Record<string, unknown>
}

export interface AnswerError {
  readonly message: string
  readonly path?: readonly (string | number)[]
  readonly extensions?: Record<string, unknown>
}

/** What a server answers. What `data` holds, the test knows that asked. */
export interface Answer<Data = Record<string, unknown>> {
  readonly data?: Data | null
  readonly errors?: readonly AnswerError[]
}

/** Asks over HTTP. */
export async function ask<Data = Record<string, unknown>>(
  { url }: { readonly url: string },
  query: string,
  variables: Record<string, unknown> = {},
): Promise<Answer<Data>> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
  })
  return (await response.json()) as Answer<Data> // as whoever asks says
}

/** Asks over HTTP what must be answered without errors. */
export async function data<Data = Record<string, unknown>>(
  target: { readonly url: string },
  query: string,
  variables: Record<string, unknown> = {},
): Promise<Data> {
  const answer = await ask<Data>(target, query, variables)
  if (answer.errors || !answer.data) throw new Error(JSON.stringify(answer.errors))
  return answer.data
}

/** Every answer to an operation, as it comes; `return` ends a subscription. */
export type Watch = <Data = Record<string, unknown>>(
  target: { readonly url: string },
  asked: Asked,
) => AsyncIterableIterator<Answer<Data>>

/** By the client of graphql-ws. An error that keeps the operation from starting is an answer like others. */
export const watchWebSocket: Watch = async function* (target, asked) {
  const url = target.url.replace(/^http/, 'ws')
  const client = createWsClient({ url, webSocketImpl: WebSocket, retryAttempts: 0 })
  try {
    for await (const answer of client.iterate(asked)) yield answer as never // as whoever asks says
  } catch (errors) {
    if (!Array.isArray(errors)) throw errors
    yield { errors }
  } finally {
    await client.dispose()
  }
}

/** By the client of graphql-sse. */
export const watchSse: Watch = async function* (target, asked) {
  const client = createSseClient({ url: target.url, retryAttempts: 0 })
  try {
    for await (const answer of client.iterate(asked)) yield answer as never // as whoever asks says
  } finally {
    client.dispose()
  }
}

/** By nothing but `fetch`, as a page or a script might. */
export const watchFetch: Watch = async function* (target, asked) {
  const response = await fetch(target.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify(asked),
  })
  if (!response.body) throw new Error(`no stream: ${response.status}`)
  let text = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split('\n\n')
    text = events.pop() ?? ''
    for (const event of events) {
      const fields = Object.fromEntries(event.split('\n').map((line) => line.split(/: ?(.*)/s, 2)))
      if (fields['event'] === 'complete') return
      if (fields['event'] === 'next') yield JSON.parse(String(fields['data']))
    }
  }
  throw new Error('the stream was cut off')
}

/** Every way to watch, by name. */
export const WATCHES = [
  ['WebSocket', watchWebSocket],
  ['SSE', watchSse],
  ['fetch', watchFetch],
] as const satisfies readonly (readonly [string, Watch])[]

/** All answers of an operation that ends. */
export async function all<Data>(answers: AsyncIterable<Answer<Data>>): Promise<Answer<Data>[]> {
  const list: Answer<Data>[] = []
  for await (const answer of answers) list.push(answer)
  return list
}
