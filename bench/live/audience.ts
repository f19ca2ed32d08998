import { type Child, startChild } from '../process.ts'
import { share } from '../statistics.ts'
import type { ClientsOrder, CloseCodes, Connected, Transport } from './children/clients.ts'
import type { Deliveries, Published } from './ticks.ts'

/** Subscribers in processes of their own. */
export interface Audience extends AsyncDisposable {
  /**
   * Connects, and resolves when each subscription has got so many events that are no ticks.
   *
   * @throws Error with what the first one that fails was told
   */
  connect(options: ConnectOptions): Promise<void>
  /** The same, but tells how far it got. */
  tryToConnect(options: ConnectOptions): Promise<Connected>
  pause(connections: number): Promise<void>
  /** Lets those read again that were paused, and tells how they are closed. */
  resume(): Promise<CloseCodes>
  /** What came since the last question, once each connection has got so many ticks or nothing comes any more. */
  collect(each: number): Promise<readonly Deliveries[]>
  /** A tick as it came. */
  sample(): Promise<string>
  /** Cuts all connections. */
  leave(): Promise<void>
}

export interface ConnectOptions {
  readonly url: string
  readonly transport: Transport
  /** For each connection the runs that it subscribes to. */
  readonly runIds: readonly (readonly string[])[]
  /** @default 3: a run was queued and has started, and so has its step */
  readonly greetings?: number
}

const PATIENCE_MS = 5_000
const CONNECTED_AT_ONCE = 500

export async function startAudience(processes = 1): Promise<Audience> {
  const children: Child<null, ClientsOrder, unknown>[] = []
  const dispose = async () => {
    await Promise.all(children.map((child) => child[Symbol.asyncDispose]()))
  }
  try {
    for (let i = 0; i < processes; i += 1) children.push(await startChild('live/children/clients.ts', []))
  } catch (error) {
    await dispose()
    throw error
  }
  // `as`: each order has answers of one type, see `ClientsOrder`.
  const askAll = <Answer>(orderOf: (index: number) => ClientsOrder): Promise<readonly Answer[]> =>
    Promise.all(children.map((child, index) => child.ask(orderOf(index)) as Promise<Answer>))
  /** A part of them, so that no process has to be waited for too long. */
  async function connectSome({ url, transport, runIds, greetings = 3 }: ConnectOptions): Promise<Connected> {
    const all = await askAll<Connected>((index) => ({
      type: 'connect',
      url,
      transport,
      greetings,
      from: `127.0.0.${index + 1}`,
      runIds: runIds.filter((_, connection) => connection % processes === index),
    }))
    return {
      subscriptions: all.reduce((sum, { subscriptions }) => sum + subscriptions, 0),
      failure: all.find(({ failure }) => failure !== null)?.failure ?? null,
    }
  }
  async function tryToConnect({ runIds, ...options }: ConnectOptions): Promise<Connected> {
    let connected: Connected = { subscriptions: 0, failure: null }
    for (let first = 0; first < runIds.length && connected.failure === null; first += CONNECTED_AT_ONCE) {
      connected = await connectSome({ ...options, runIds: runIds.slice(first, first + CONNECTED_AT_ONCE) })
    }
    return connected
  }
  return {
    tryToConnect,
    async connect(options) {
      const { subscriptions, failure } = await tryToConnect(options)
      if (failure !== null) throw new Error(`${subscriptions} subscriptions were made, then one failed: ${failure}`)
    },
    async pause(connections) {
      await askAll((index) => ({ type: 'pause', connections: index === 0 ? connections : 0 }))
    },
    async resume() {
      const [codes = new Map<number | null, number>()] = await askAll<CloseCodes>(() => ({ type: 'resume' }))
      return codes
    },
    collect: (each) => askAll(() => ({ type: 'collect', each, patienceMs: PATIENCE_MS })),
    async sample() {
      const [text = ''] = await askAll<string>(() => ({ type: 'sample' }))
      return text
    },
    async leave() {
      await askAll(() => ({ type: 'leave' }))
    },
    [Symbol.asyncDispose]: dispose,
  }
}

/** From the publication of a tick to a client, over all ticks and clients. */
export interface Latency {
  readonly deliveries: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
  /** How many subscribers got fewer ticks than they should. */
  readonly short: number
  /** How many deliveries came again, or after later ones. */
  readonly repeated: number
}

export function latencyOf({ first, at }: Published, delivered: readonly Deliveries[]): Latency {
  const times: number[] = []
  for (const { ticks, at: came } of delivered) {
    for (const [index, tick] of ticks.entries()) {
      const published = at[tick - first]
      if (published !== undefined) times.push((came[index] ?? Number.NaN) - published)
    }
  }
  times.sort((a, b) => a - b)
  return {
    deliveries: times.length,
    p50Ms: share(times, 0.5),
    p99Ms: share(times, 0.99),
    longestMs: times.at(-1) ?? Number.NaN,
    short: delivered.reduce((sum, { short }) => sum + short, 0),
    repeated: delivered.reduce((sum, { repeated }) => sum + repeated, 0),
  }
}

/** A list of so many, each made from its index. */
export function many<Item>(count: number, item: (index: number) => Item): readonly Item[] {
  return Array.from({ length: count }, (_, index) => item(index))
}
