import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import type { LanguageModel } from 'ai'
import { onTestFinished } from 'vitest'
import type { Gate } from './kerns.ts'

/** The key that every request carries. No error may ever show it. */
export const API_KEY = 'sk-test-0123456789abcdef'

/** The part of a request that tests look at. */
export interface ModelRequest {
  readonly messages: readonly { readonly role: string; readonly content: unknown }[]
  readonly response_format?: { readonly type: string; readonly json_schema?: { readonly schema: unknown } }
  readonly tools?: readonly unknown[]
  readonly temperature?: number
}

/** One request to the server and the connection that it came on. */
export interface Exchange {
  readonly request: ModelRequest
  readonly headers: IncomingMessage['headers']
  readonly response: ServerResponse
  /** Resolves when the connection is gone, with whether the answer was complete by then. */
  readonly over: Promise<{ readonly complete: boolean }>
}

/** Answers one request. */
export type Answer = (exchange: Exchange) => Promise<void> | void

export interface ModelServer {
  /** The requests so far, in order. */
  readonly exchanges: readonly Exchange[]
  /** What the paths of its API begin with. */
  readonly url: string
  readonly model: Exclude<LanguageModel, string>
}

/**
 * A server on loopback that speaks the chat protocol of OpenAI, and the model that it serves. The answers are given in
 * order, one a request. Closed at the end of the test.
 */
export async function startModelServer(...answers: readonly Answer[]): Promise<ModelServer> {
  const exchanges: Exchange[] = []
  const handle = async (req: IncomingMessage, response: ServerResponse): Promise<void> => {
    const over = once(response, 'close').then(() => ({ complete: response.writableFinished }))
    // What the client sends is not checked: a test that reads something else from it fails.
    const request = (await json(req)) as ModelRequest
    const exchange = { request, headers: req.headers, response, over }
    const answer = answers[exchanges.push(exchange) - 1] ?? refuses(404, 'no answer is left')
    await answer(exchange)
  }
  const server = createServer((req, res) => {
    handle(req, res).catch((error: unknown) => res.destroy(error instanceof Error ? error : undefined))
  })
  const port = await listen(server)
  onTestFinished(() => close(server))
  return { exchanges, url: urlOn(port), model: modelOn(port) }
}

/** A model on a port where nothing listens any more. */
export async function modelOfNobody(): Promise<ModelServer['model']> {
  const server = createServer()
  const port = await listen(server)
  await close(server)
  return modelOn(port)
}

const urlOn = (port: number) => `http://127.0.0.1:${port}/v1`

function modelOn(port: number): ModelServer['model'] {
  const provider = createOpenAICompatible({
    name: 'loopback',
    baseURL: urlOn(port),
    apiKey: API_KEY,
    includeUsage: true,
    supportsStructuredOutputs: true,
  })
  return provider('small')
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}

function send({ response }: Exchange, data: object): void {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(`data: ${JSON.stringify(data)}\n\n`)
}

function sendDelta(exchange: Exchange, delta: object, finish: string | null = null): void {
  send(exchange, { id: 'x', created: 0, model: 'small', choices: [{ index: 0, delta, finish_reason: finish }] })
}

function end(exchange: Exchange, reason: string, usage: readonly [number, number] | null = [10, 5]): void {
  sendDelta(exchange, {}, reason)
  if (usage) {
    const [input, output] = usage
    const counts = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
    send(exchange, { id: 'x', created: 0, model: 'small', choices: [], usage: counts })
  }
  exchange.response.end('data: [DONE]\n\n')
}

export interface SaysOptions {
  /** @default 'stop' */
  readonly finish?: string
  /** Tokens in and out; null to tell none. @default [10, 5] */
  readonly usage?: readonly [number, number] | null
}

/** A stream of these pieces of text. */
export function says(pieces: readonly string[], { finish = 'stop', usage }: SaysOptions = {}): Answer {
  return (exchange) => {
    for (const content of pieces) sendDelta(exchange, { content })
    end(exchange, finish, usage)
  }
}

/** The same, and where a gate stands between the pieces it waits there. */
export function saysThrough(...parts: readonly (string | Gate)[]): Answer {
  return async (exchange) => {
    for (const part of parts) {
      if (typeof part === 'string') sendDelta(exchange, { content: part })
      else await part.pass()
    }
    end(exchange, 'stop')
  }
}

/** Asks for one execution of a tool. */
export function asksFor(tool: string, input: object, usage: readonly [number, number] = [10, 5]): Answer {
  return (exchange) => {
    const call = { name: tool, arguments: JSON.stringify(input) }
    sendDelta(exchange, { tool_calls: [{ index: 0, id: `call-${tool}`, type: 'function', function: call }] })
    end(exchange, 'tool_calls', usage)
  }
}

/** An error in place of an answer. */
export function refuses(status: number, message: string): Answer {
  return ({ response }) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { message, type: 'error', code: null, param: null } }))
  }
}

/** Says something, and then that it failed. */
export function saysError(pieces: readonly string[], message: string): Answer {
  return (exchange) => {
    for (const content of pieces) sendDelta(exchange, { content })
    send(exchange, { error: { message, type: 'server_error' } })
    exchange.response.end('data: [DONE]\n\n')
  }
}

/** Says something and ends, without a word about why. */
export function saysNoEnd(...pieces: readonly string[]): Answer {
  return (exchange) => {
    for (const content of pieces) sendDelta(exchange, { content })
    exchange.response.end('data: [DONE]\n\n')
  }
}

/** Says something that is no JSON. */
export function saysNonsense(): Answer {
  return ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.end('data: <html>\n\ndata: [DONE]\n\n')
  }
}

/** Says something, and once the gate is open the connection breaks. */
export function breaksOff(gate: Gate, ...pieces: readonly string[]): Answer {
  return async (exchange) => {
    for (const content of pieces) sendDelta(exchange, { content })
    await gate.pass()
    exchange.response.destroy()
  }
}
