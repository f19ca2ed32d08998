import { type Child, startChild } from '../process.ts'
import type { RivalOrder } from './children/rival.ts'
import type { KernOrder } from './children/server.ts'
import type { TickMessage } from './tickServer.ts'
import type { Burst, Published, ServerOrder, Usage } from './ticks.ts'

/** A server in a process of its own that publishes ticks. */
export interface TickingServer extends AsyncDisposable {
  /** Where its GraphQL is. */
  readonly url: string
  /** What its process uses; `settled` is without garbage. */
  usage(settled?: 'settled'): Promise<Usage>
  /** Resolves when all ticks are published. */
  burst(burst: Burst): Promise<Published>
}

export interface KernServer extends TickingServer {
  /** Starts runs, and gives their ids when all of them wait. */
  start(runs: number, waitingFor: 'burst' | 'person'): Promise<readonly string[]>
  /** Ends the runs that wait for a burst. */
  end(): Promise<void>
}

export interface RivalServer extends TickingServer {
  /** How many subscriptions there were so far. */
  subscribed(): Promise<number>
  /** From now on its ticks are like this one, but for their number. */
  imitate(message: TickMessage): Promise<void>
}

/** @param place the URL of its database */
export async function startKernServer(place: string, role: 'all' | 'api' = 'all'): Promise<KernServer> {
  const child: Child<string, KernOrder, unknown> = await startChild('live/children/server.ts', [place, role])
  return {
    ...ticking(child),
    // `as`, here and below: each order has answers of one type, see its definition.
    start: async (runs, waitingFor) => (await child.ask({ type: 'start', runs, waitingFor })) as readonly string[],
    end: async () => void (await child.ask({ type: 'end' })),
  }
}

export async function startRival(kind: 'raw' | 'recipe'): Promise<RivalServer> {
  const child: Child<string, RivalOrder, unknown> = await startChild('live/children/rival.ts', [kind])
  return {
    ...ticking(child),
    subscribed: async () => (await child.ask({ type: 'subscribed' })) as number,
    imitate: async (message) => void (await child.ask({ type: 'imitate', ...message })),
  }
}

type TickingOrder = ServerOrder

function ticking(child: Child<string, TickingOrder, unknown>): TickingServer {
  return {
    url: child.hello,
    usage: async (settled) => (await child.ask({ type: 'usage', settled: settled === 'settled' })) as Usage,
    burst: async (burst) => (await child.ask({ type: 'burst', ...burst })) as Published,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}
