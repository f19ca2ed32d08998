import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { createKernClient, type KernClient, type KernClientOptions, type Retry } from '../../src/client/index.ts'
import type { RunEvent } from '../../src/client/index.ts'
import { data } from '../support/server.ts'

/** The transports, and what makes a client use each. The last is the WebSocket of a package, as older Nodes need it. */
export const TRANSPORTS = [
  ['WebSocket', { transport: 'ws' }],
  ['SSE', { transport: 'sse' }],
  ['the WebSocket of a package', { transport: 'ws', webSocket: WebSocket }],
] as const satisfies readonly (readonly [string, Partial<KernClientOptions>])[]

/** A client that tries again soon, so that tests need not wait, and what it told about its retries. */
export function createClient(options: KernClientOptions): KernClient & { readonly retries: Retry[] } {
  const retries: Retry[] = []
  const onRetry = (retry: Retry): void => void retries.push(retry)
  return { ...createKernClient({ retryMs: 50, maxRetryMs: 500, onRetry, ...options }), retries }
}

/** All events of a watch that ends. */
export async function all<Event>(watch: AsyncIterable<Event>): Promise<Event[]> {
  const events: Event[] = []
  for await (const event of watch) events.push(event)
  return events
}

/** The first events of a watch, which is left then. */
export async function take<Event>(watch: AsyncIterable<Event>, count: number): Promise<Event[]> {
  const events: Event[] = []
  for await (const event of watch) {
    events.push(event)
    if (events.length >= count) break
  }
  return events
}

/** What an event says that the rows say too. */
export const brief = ({ seq, type, cursor }: Pick<RunEvent, 'seq' | 'type' | 'cursor'>) => ({ seq, type, cursor })

/** All events of a run as they are stored. */
export async function storedEvents(url: string, runId: string): Promise<ReturnType<typeof brief>[]> {
  interface Page {
    readonly nodes: readonly RunEvent[]
    readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string }
  }
  const query = `query ($runId: ID!, $after: String) {
    run(runId: $runId) { events(first: 100, after: $after) { nodes { seq type cursor } pageInfo { hasNextPage endCursor } } }
  }`
  const events: ReturnType<typeof brief>[] = []
  for (let after: string | null = null; ; ) {
    const page: Page = (await data<{ run: { events: Page } }>({ url }, query, { runId, after })).run.events
    events.push(...page.nodes.map(brief))
    if (!page.pageInfo.hasNextPage) return events
    after = page.pageInfo.endCursor
  }
}

/** The same server behind another port. */
export const behind = (url: string, port: number): string => Object.assign(new URL(url), { port: String(port) }).href

/** A proxy that knows no WebSockets. */
export interface PlainProxy extends AsyncDisposable {
  readonly url: string
  /** How many requests to become a WebSocket came so far. */
  readonly upgrades: number
  /** How many other requests came so far. */
  readonly requests: number
  /** How many answers are being sent. */
  readonly open: number
  /** Ends all connections. */
  reset(): void
  /** From now on WebSockets pass too; false ends it for new ones. */
  allow(on: boolean): void
}

/** What a proxy does with a request to become a WebSocket: refuse it, never answer, or close the connection. */
export type Blocking = 'refuse' | 'swallow' | 'cut'

export async function startPlainProxy(target: string, blocking: Blocking): Promise<PlainProxy> {
  const sockets = new Set<Socket>()
  const counts = { upgrades: 0, requests: 0, open: 0 }
  let allowed = false
  const relay = (req: IncomingMessage, res: ServerResponse): void => {
    counts.requests++
    counts.open++
    res.once('close', () => counts.open--)
    const onward = request(new URL(req.url ?? '/', target), { method: req.method, headers: req.headers })
    onward.once('response', (response) => {
      res.writeHead(response.statusCode ?? 502, response.headers)
      res.flushHeaders()
      response.on('error', () => res.destroy()).pipe(res)
    })
    onward.on('error', () => res.destroy())
    res.once('close', () => onward.destroy())
    req.pipe(onward)
  }
  const server = createServer(relay)
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
  })
  server.on('upgrade', (req, socket, head) => {
    counts.upgrades++
    if (allowed) return passUpgrade(target, { req, socket: socket as Socket, head }) // of a server on TCP
    if (blocking === 'refuse') socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    if (blocking === 'cut') socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const reset = (): void => sockets.forEach((socket) => socket.destroy())
  return {
    url: behind(target, typeof address === 'object' && address ? address.port : 0),
    get upgrades() {
      return counts.upgrades
    },
    get requests() {
      return counts.requests
    },
    get open() {
      return counts.open
    },
    reset,
    allow: (on) => {
      allowed = on
    },
    [Symbol.asyncDispose]: async () => {
      reset()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Upgrade {
  readonly req: IncomingMessage
  readonly socket: Socket
  readonly head: Buffer
}

function passUpgrade(target: string, { req, socket, head }: Upgrade): void {
  const onward = request(new URL(req.url ?? '/', target), { headers: req.headers })
  onward.on('error', () => socket.destroy())
  onward.once('upgrade', (response, upstream) => {
    const lines = Object.entries(response.headers).map(([name, value]) => `${name}: ${String(value)}`)
    socket.write(['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n'))
    if (head.length > 0) upstream.write(head)
    upstream.on('error', () => socket.destroy()).on('close', () => socket.destroy())
    socket.on('close', () => upstream.destroy())
    upstream.pipe(socket).pipe(upstream)
  })
  onward.end()
}
