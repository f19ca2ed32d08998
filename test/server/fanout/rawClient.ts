import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { Server } from '../../../src/server/server.ts'
import { socketUrl } from '../tiny.ts'

/** A message of the protocol graphql-transport-ws, as it comes. */
export interface Message {
  readonly id?: string
  readonly type: string
  readonly payload?: unknown
}

export interface Payload {
  readonly query: string
  readonly variables?: Record<string, unknown>
  readonly operationName?: string
}

/** A WebSocket client that keeps all that it is sent, as text and as messages. */
export interface RawClient {
  readonly socket: WebSocket
  readonly messages: Message[]
  readonly texts: string[]
  /** With the code and the reason. */
  readonly closed: Promise<readonly [number, string]>
  subscribe(id: string, payload: Payload): void
  complete(id: string): void
  /** What came for an operation. */
  of(id: string): Message[]
  /** Resolves when what came is as it should be. */
  until(isEnough: (messages: readonly Message[]) => boolean): Promise<void>
}

export async function connect(server: Server): Promise<RawClient> {
  const socket = new WebSocket(socketUrl(server), 'graphql-transport-ws')
  const messages: Message[] = []
  const texts: string[] = []
  const waits = new Set<() => void>()
  const closed = new Promise<readonly [number, string]>((resolve) => {
    socket.once('close', (code, reason) => resolve([code, String(reason)]))
  })
  socket.on('error', () => undefined)
  socket.on('message', (data) => {
    texts.push(String(data))
    messages.push(JSON.parse(String(data)))
    for (const wait of waits) wait()
  })
  const until: RawClient['until'] = (isEnough) =>
    new Promise((resolve) => {
      const wait = () => {
        if (!isEnough(messages)) return
        waits.delete(wait)
        resolve()
      }
      waits.add(wait)
      wait()
    })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  socket.send('{"type":"connection_init"}')
  await until((all) => all.some(({ type }) => type === 'connection_ack'))
  return {
    socket,
    messages,
    texts,
    closed,
    subscribe: (id, payload) => socket.send(JSON.stringify({ id, type: 'subscribe', payload })),
    complete: (id) => socket.send(JSON.stringify({ id, type: 'complete' })),
    of: (id) => messages.filter((message) => message.id === id),
    until,
  }
}

/** A stream of server-sent events. */
export interface RawStream {
  readonly request: ClientRequest
  /** The text so far. */
  text(): string
  pause(): void
  resume(): void
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  /** Resolves when what came is as it should be. */
  until(isEnough: (text: string) => boolean): Promise<void>
  /** Resolves when nothing more comes, with whether it was ended properly. */
  readonly ended: Promise<boolean>
}

export async function openSse(server: Server, payload: Payload, accept = 'text/event-stream'): Promise<RawStream> {
  const sent = request(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
  })
  sent.on('error', () => undefined)
  sent.end(JSON.stringify(payload))
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).once('error', reject)
  })
  let text = ''
  const waits = new Set<() => void>()
  response.on('error', () => undefined)
  response.on('data', (chunk) => {
    text += String(chunk)
    for (const wait of waits) wait()
  })
  return {
    request: sent,
    text: () => text,
    pause: () => response.pause(),
    resume: () => response.resume(),
    status: response.statusCode ?? 0,
    headers: response.headers,
    until: (isEnough) =>
      new Promise((resolve) => {
        const wait = () => {
          if (!isEnough(text)) return
          waits.delete(wait)
          resolve()
        }
        waits.add(wait)
        wait()
      }),
    ended: new Promise((resolve) => {
      response.once('close', () => resolve(response.complete))
    }),
  }
}
