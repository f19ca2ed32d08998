import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { shown } from '../errors.ts'
import type { Log } from '../log.ts'
import type { GraphiQLPage } from './graphiql.ts'
import { EVENT_STREAM, GRAPHQL_PATH } from './graphql.ts'
import type { GraphQLHandler, OpenedStream } from './graphql.ts'
import type { HostCheck } from './host.ts'
import { type Refusal, refusalBody } from './refusal.ts'
import type { Sse } from './sse.ts'

export interface HttpParts {
  readonly graphql: GraphQLHandler
  readonly sse: Sse
  readonly graphiql: GraphiQLPage
  readonly checkHost: HostCheck
  /** Whether the database answers, and soon. */
  readonly healthy: () => Promise<boolean>
  readonly log: Log
  /** Aborts when the server begins to stop: streams end then, other requests go on. */
  readonly stopping: AbortSignal
}

/** Answers one HTTP request. Resolves when the answer is sent; never rejects. */
export type HttpHandler = (req: IncomingMessage, res: ServerResponse) => Promise<void>

export function createHttpHandler(parts: HttpParts): HttpHandler {
  return answering(parts, (req, res) => route(parts, req, res))
}

/** What a process answers that executes runs and serves nothing else. */
export type HealthParts = Omit<HttpParts, 'graphql' | 'graphiql' | 'sse'>

export function createHealthHandler(parts: HealthParts): HttpHandler {
  return answering(parts, async (req, res) => {
    const refusal = parts.checkHost(req)
    if (refusal) return refuse(res, refusal)
    if (await sentHealth(parts, req, res)) return
    const message = `There is nothing at ${shown(pathOf(req))}: this process executes runs, and serves /health/live and /health/ready only`
    sendJson(res, 404, { code: 'NOT_FOUND', message })
  })
}

function answering(parts: HealthParts, answer: HttpHandler): HttpHandler {
  return async (req, res) => {
    // Without a listener, a client that resets its connection would end the process.
    res.on('error', (err) => parts.log.debug({ err }, 'A client went away'))
    res.setHeader('X-Content-Type-Options', 'nosniff')
    res.setHeader('Referrer-Policy', 'no-referrer')
    if (parts.stopping.aborted) res.setHeader('Connection', 'close')
    try {
      await answer(req, res)
    } catch (err) {
      parts.log.error({ err, method: req.method, path: pathOf(req) }, 'A request could not be answered')
      if (res.headersSent) res.destroy()
      else sendJson(res, 500, { code: 'INTERNAL', message: 'Unexpected error' })
    }
  }
}

async function route(parts: HttpParts, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const refusal = parts.checkHost(req)
  if (refusal) return refuse(res, refusal)
  const reading = req.method === 'GET' || req.method === 'HEAD'
  switch (pathOf(req)) {
    case GRAPHQL_PATH:
      if (reading && wants(req, 'text/html')) return parts.graphiql.send(req, res)
      return answerGraphQL(parts, req, res)
    case '/':
      return reading ? redirect(res) : refuseMethod(res)
    default: {
      if (await sentHealth(parts, req, res)) return
      const message = `There is nothing at ${shown(pathOf(req))}: GraphQL is at ${GRAPHQL_PATH}`
      return sendJson(res, 404, { code: 'NOT_FOUND', message })
    }
  }
}

/** @returns false if something else was asked for */
async function sentHealth(parts: HealthParts, req: IncomingMessage, res: ServerResponse): Promise<boolean> {
  const path = pathOf(req)
  if (path !== '/health/live' && path !== '/health/ready') return false
  if (req.method !== 'GET' && req.method !== 'HEAD') refuseMethod(res)
  else if (path === '/health/live') sendJson(res, 200, { status: 'ok' })
  else await sendReadiness(parts, res)
  return true
}

function pathOf(req: IncomingMessage): string {
  return (req.url ?? '/').split('?', 1)[0] ?? '/'
}

function wants(req: IncomingMessage, mediaType: string): boolean {
  return String(req.headers.accept ?? '')
    .toLowerCase()
    .includes(mediaType)
}

async function sendReadiness({ healthy, stopping }: HealthParts, res: ServerResponse): Promise<void> {
  if (stopping.aborted) return sendJson(res, 503, { status: 'stopping' })
  const ready = await healthy()
  sendJson(res, ready ? 200 : 503, {
    status: ready ? 'ok' : 'the database does not answer, or this process is stopping',
  })
}

function redirect(res: ServerResponse): void {
  res.writeHead(302, { Location: GRAPHQL_PATH, 'Content-Length': 0 }).end()
}

function refuseMethod(res: ServerResponse): void {
  res.setHeader('Allow', 'GET, HEAD')
  sendJson(res, 405, { code: 'BAD_REQUEST', message: 'Only GET and HEAD are allowed here' })
}

function refuse(res: ServerResponse, refusal: Refusal): void {
  sendJson(res, refusal.status, refusalBody(refusal))
}

function sendJson(res: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  const headers = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': Buffer.byteLength(text) }
  res.writeHead(status, { ...headers, 'Cache-Control': 'no-store' }).end(text)
}

const JSON_TYPES = new Set(['application/json', 'application/graphql+json'])

async function answerGraphQL(parts: HttpParts, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const mediaType = req.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  // Forms and plain text can be sent by any page of any origin without asking this server first.
  if (req.method === 'POST' && !JSON_TYPES.has(mediaType)) {
    const message = `The content type is ${shown(mediaType)}: allowed is application/json`
    return refuse(res, { status: 415, code: 'BAD_REQUEST', message })
  }
  if (!withoutMultipart(req)) {
    const message = 'Answers are application/graphql-response+json, application/json, or text/event-stream'
    return refuse(res, { status: 406, code: 'BAD_REQUEST', message })
  }
  const over = new AbortController()
  const end = (): void => over.abort()
  res.once('close', end)
  parts.stopping.addEventListener('abort', end, { once: true })
  if (parts.stopping.aborted || res.destroyed) end()
  const stream: OpenedStream = { subscription: null, refusal: null }
  try {
    const response = await parts.graphql.handleNodeRequestAndResponse(req, res, { req, res, stream })
    await sendResponse(response, res, { stream, sse: parts.sse, over: over.signal })
  } finally {
    res.off('close', end)
    parts.stopping.removeEventListener('abort', end)
    // Whatever became of the request.
    await stream.subscription?.return()
  }
}

/** Takes multipart answers out of what the client accepts. False if it accepts nothing else. */
function withoutMultipart(req: IncomingMessage): boolean {
  const accept = req.headers.accept
  if (accept === undefined || !accept.toLowerCase().includes('multipart/')) return true
  const others = accept.split(',').filter((type) => !type.trim().toLowerCase().startsWith('multipart/'))
  req.headers.accept = others.join(',')
  return others.length > 0
}

interface Sending {
  readonly stream: OpenedStream
  readonly sse: Sse
  readonly over: AbortSignal
}

async function sendResponse(
  response: Response,
  res: ServerResponse,
  { stream: { subscription, refusal }, sse, over }: Sending,
): Promise<void> {
  if (res.destroyed) return
  res.statusCode = response.status
  response.headers.forEach((value, name) => res.setHeader(name, value))
  if (refusal) return refuse(res, refusal)
  // The rest of a body that was too large is not worth reading.
  if (response.status === 413) res.setHeader('Connection', 'close')
  const isStream = response.headers.get('content-type')?.startsWith(EVENT_STREAM) === true
  if (isStream && subscription) {
    res.flushHeaders()
    return await sse.serve(subscription, res, over)
  }
  if (isStream && response.body) return await sendParts(response.body, res, over)
  const text = await response.text()
  res.setHeader('Content-Length', Buffer.byteLength(text))
  res.end(text)
}

/** Sends one result as a stream of events, as who asked for it takes nothing else. */
async function sendParts(body: ReadableStream<Uint8Array>, res: ServerResponse, over: AbortSignal): Promise<void> {
  res.setHeader('X-Accel-Buffering', 'no')
  res.flushHeaders()
  const reader = body.getReader()
  try {
    while (!over.aborted) {
      const part = await reader.read()
      if (part.done) break
      // It rejects when the stream is over, and if the client went away.
      if (!res.write(part.value)) await once(res, 'drain', { signal: over }).catch(() => {})
    }
  } finally {
    res.end()
    await reader.cancel()
  }
}
