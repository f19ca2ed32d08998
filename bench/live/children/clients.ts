import { answerParent } from '../../process.ts'
import { now } from '../../statistics.ts'
import { type Connection, openEventStream, openWebSocket } from '../subscriber.ts'
import type { Deliveries } from '../ticks.ts'

/** A process with subscribers of one server. */

export type ClientsOrder =
  /**
   * Connects, and answers with what came of it when each subscription has got so many events that are no ticks. Ends
   * early where one fails.
   */
  | {
      readonly type: 'connect'
      readonly url: string
      readonly transport: Transport
      readonly from: string
      /** For each connection the runs that it subscribes to. */
      readonly runIds: readonly (readonly string[])[]
      readonly greetings: number
    }
  /** The last connections stop reading, so many of them. */
  | { readonly type: 'pause'; readonly connections: number }
  /** They read again; answers with how they are closed, once they are or nothing more comes. */
  | { readonly type: 'resume' }
  /**
   * Answers with what came since the last question, once each connection that reads has got so many ticks, or when so long
   * nothing has come.
   */
  | { readonly type: 'collect'; readonly each: number; readonly patienceMs: number }
  /** Answers with a tick as it came. */
  | { readonly type: 'sample' }
  /** Cuts all connections. */
  | { readonly type: 'leave' }

export type Transport = 'WebSocket' | 'SSE'

export interface Connected {
  /** How many subscriptions there are. */
  readonly subscriptions: number
  /** Why there are not more; null if none has failed. */
  readonly failure: string | null
}

/** How many connections were closed with which code; `null` of those without one. */
export type CloseCodes = ReadonlyMap<number | null, number>

interface Client {
  readonly connection: Connection
  readonly subscriptions: number
  /** What came since the last question. */
  ticks: number
  /** The newest tick. Those of one run have ascending numbers, and who is asked about ticks has one subscription. */
  newest: number
  others: number
  paused: boolean
  closed: number | null | undefined
}

/** How many subscriptions are made at once. */
const CONNECTING_AT_ONCE = 100
const CONNECT_PATIENCE_MS = 30_000
const LOOK_MS = 5

const clients: Client[] = []
const deliveries: { readonly ticks: number[]; readonly at: number[] } = { ticks: [], at: [] }
let sample = ''
let failure: string | null = null
let newest = 0
let repeated = 0

type ConnectOrder = Extract<ClientsOrder, { readonly type: 'connect' }>

function open({ url, transport, from }: ConnectOrder, runIds: readonly string[]): Client {
  const connect = transport === 'WebSocket' ? openWebSocket : openEventStream
  const connection = connect({
    url: new URL(url),
    from,
    runIds,
    onTick(tick, text) {
      newest = now()
      if (tick <= client.newest) {
        repeated += 1
        return
      }
      client.newest = tick
      client.ticks += 1
      if (client.paused) return
      sample ||= text()
      deliveries.ticks.push(tick)
      deliveries.at.push(newest)
    },
    onOther: () => {
      client.others += 1
    },
    onClose: (code) => {
      client.closed = code
    },
    onError: (message) => {
      failure ??= message
    },
  })
  const client: Client = {
    connection,
    subscriptions: runIds.length,
    ticks: 0,
    newest: -1,
    others: 0,
    paused: false,
    closed: undefined,
  }
  clients.push(client)
  return client
}

async function connectAll(order: ConnectOrder): Promise<Connected> {
  const isGreeted = ({ others, subscriptions, closed }: Client) =>
    closed === undefined && others >= order.greetings * subscriptions
  const atOnce = Math.ceil(CONNECTING_AT_ONCE / (order.runIds[0]?.length ?? 1))
  for (let first = 0; first < order.runIds.length && failure === null; first += atOnce) {
    const some = order.runIds.slice(first, first + atOnce).map((runIds) => open(order, runIds))
    const end = performance.now() + CONNECT_PATIENCE_MS
    while (failure === null && !some.every(isGreeted)) {
      const closed = some.find((client) => client.closed !== undefined)?.closed
      if (closed !== undefined) failure = `a connection was closed with ${closed ?? 'no code'}`
      else if (performance.now() > end) failure = `no events came for ${CONNECT_PATIENCE_MS / 1_000} s`
      else await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }
  sample = ''
  const greeted = clients.filter(isGreeted)
  return { subscriptions: greeted.reduce((sum, { subscriptions }) => sum + subscriptions, 0), failure }
}

async function collect(each: number, patienceMs: number): Promise<Deliveries> {
  const lacks = ({ ticks, paused }: Client) => !paused && ticks < each
  newest = now()
  while (clients.some(lacks) && now() - newest < patienceMs) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  const short = clients.filter(lacks).length
  const result = { ticks: Uint32Array.from(deliveries.ticks), at: Float64Array.from(deliveries.at), short, repeated }
  deliveries.ticks.length = 0
  deliveries.at.length = 0
  repeated = 0
  for (const client of clients) client.ticks = 0
  return result
}

const QUIET_MS = 3_000

async function resume(): Promise<CloseCodes> {
  const paused = clients.filter((client) => client.paused)
  for (const { connection } of paused) connection.resume()
  newest = now()
  while (paused.some(({ closed }) => closed === undefined) && now() - newest < QUIET_MS) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
  const codes = new Map<number | null, number>()
  for (const { closed } of paused) if (closed !== undefined) codes.set(closed, (codes.get(closed) ?? 0) + 1)
  return codes
}

async function answer(order: ClientsOrder): Promise<Connected | Deliveries | CloseCodes | string | null> {
  switch (order.type) {
    case 'connect':
      return await connectAll(order)
    case 'pause':
      for (const client of clients.slice(clients.length - order.connections)) {
        client.paused = true
        client.connection.pause()
      }
      return null
    case 'resume':
      return await resume()
    case 'collect':
      return await collect(order.each, order.patienceMs)
    case 'sample':
      return sample
    case 'leave':
      for (const { connection } of clients) connection.cut()
      clients.length = 0
      return null
  }
}

await answerParent(null, answer)
for (const { connection } of clients) connection.cut()
