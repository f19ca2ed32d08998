import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { decodeGlobalId } from '../../schema/globalId.ts'
import type { Chance } from '../faults/seed.ts'
import { type Subscription, type Transport, TRANSPORTS } from './lines.ts'

/** An event as a client was given it. */
export interface Seen {
  /** `<runId>:<seq>` */
  readonly key: string
  readonly cursor: string
  readonly type: string
  readonly name: string | null
  readonly at: string
  readonly data: unknown
  /** Whatever else was asked for. */
  readonly rest: Record<string, unknown>
}

/** When a connection is cut: once it is there, once the server was told what is asked for, after so many events, or after a time. */
export type Fate =
  | { readonly at: 'open' | 'asked' }
  | { readonly at: 'event'; readonly count: number }
  | { readonly at: 'moment'; readonly ms: number }

/** What a client follows. */
export interface Followed {
  /** The rest of a run's or a session's events after a cursor; null for all. Its field is named `event`. */
  subscription(after: string | null): Subscription
  /** Whether the subscription ends by itself; else the client leaves by `leaveAfter`. */
  readonly ends: boolean
  /** How many events there are at least while connections are cut. */
  readonly events: number
}

export interface FollowOptions {
  readonly transport: Transport
  readonly followed: Followed
  /** When each of its connections is cut, but for the last one. */
  readonly fates: readonly Fate[]
  /** Where to connect next: any server that is there now. */
  readonly where: () => string
  /** Resolves when one more client may connect; what it gives is called when it has. */
  readonly gate: () => Promise<() => void>
  /** Called after each of its own cuts. */
  readonly onCut?: () => void
  /** Called with each event. */
  readonly onEvent?: (event: Seen) => void
}

/** A client that loses its connection and goes on after the last event that it saw. */
export interface Follower {
  readonly transcript: readonly Seen[]
  /** Resolves when only its last connection is left. */
  readonly settled: Promise<void>
  /** Resolves at the end of what it follows; rejects if it is told of an error. */
  readonly done: Promise<void>
  /** How often it cut its connection, and how often somebody else did. */
  readonly cuts: number
  readonly losses: number
  /** When it cut its connections. */
  readonly cutAt: readonly number[]
  /** Whether it is on its last connection, or past it. */
  readonly phase: 'cut' | 'last' | 'over'
  /** What it is doing, for people. */
  describe(): string
  /** Leaves what does not end by itself once it has seen this event. */
  leaveAfter(key: string): void
}

type End = 'over' | 'cut' | 'lost'

/** Follows until the end, at the longest until that of the test. */
export function follow(options: FollowOptions): Follower {
  const { transport, followed, fates, where, gate } = options
  const transcript: Seen[] = []
  const settled = Promise.withResolvers<void>()
  const cutAt: number[] = []
  const state = { losses: 0, doing: 'waits to begin', last: '', stopped: false, over: false }
  let hangUp: (() => void) | null = null

  async function run(): Promise<void> {
    for (;;) {
      if (cutAt.length === fates.length) settled.resolve()
      state.doing = 'waits to connect'
      const connected = await gate()
      const end = isOver() ? 'over' : await connect(feasible(fates[cutAt.length]), connected).finally(connected)
      connected()
      if (end === 'over') break
      if (end === 'cut') {
        cutAt.push(Date.now())
        options.onCut?.()
      } else {
        state.losses += 1
        // A server that was killed is away for a moment.
        await delay(20)
      }
    }
    state.over = true
    settled.resolve()
  }

  function isOver(): boolean {
    return state.stopped || transcript.some(({ key }) => key === state.last)
  }

  /** Nobody knows of more events than these; a cut that waits for others would never come. */
  function feasible(fate: Fate | undefined): Fate | undefined {
    if (fate?.at !== 'event' || transcript.length + fate.count <= followed.events) return fate
    return { at: 'moment', ms: 10 * fate.count }
  }

  function connect(fate: Fate | undefined, connected: () => void): Promise<End> {
    const ended = Promise.withResolvers<End>()
    const url = where()
    const after = transcript.at(-1)?.cursor ?? null
    let left = fate?.at === 'event' ? fate.count : Number.POSITIVE_INFINITY
    const finish = (how: End) => {
      line.cut()
      clearTimeout(timer)
      ended.resolve(how)
    }
    const fail = (what: string) => {
      ended.reject(new Error(`after ${transcript.at(-1)?.key ?? 'nothing'} a client ${what}`))
      finish('over')
    }
    const timer = fate?.at === 'moment' ? setTimeout(() => finish('cut'), fate.ms) : undefined
    hangUp = () => finish('over')
    state.doing = `connects to ${url} after ${after}`
    const line = TRANSPORTS[transport](url, followed.subscription(after), {
      opened: () => fate?.at === 'open' && finish('cut'),
      asked() {
        connected()
        state.doing = `listens at ${url} after ${after}`
        if (fate?.at === 'asked') finish('cut')
      },
      next(payload) {
        const event = eventIn(payload)
        // The server has too much to do, or its database is away: the client comes back, as after a loss.
        if (!event && isUnavailable(payload)) return finish('lost')
        if (!event) return fail(`was told ${JSON.stringify(payload)}`)
        transcript.push(event)
        options.onEvent?.(event)
        left -= 1
        if (left === 0) finish('cut')
        else if (event.key === state.last) finish('over')
      },
      complete: () => (followed.ends ? finish('over') : fail('was told of an end')),
      gone: () => finish('lost'),
    })
    return ended.promise
  }

  onTestFinished(() => {
    state.stopped = true
    hangUp?.()
  })
  const done = run()
  // Whoever looks at it late is told as well.
  done.catch(() => settled.resolve())
  return {
    transcript,
    settled: settled.promise,
    done,
    cutAt,
    get cuts() {
      return cutAt.length
    },
    get phase() {
      if (state.over) return 'over'
      return cutAt.length < fates.length ? 'cut' : 'last'
    },
    get losses() {
      return state.losses
    },
    describe: () =>
      `${transport} ${state.doing}; saw ${transcript.length}, last ${transcript.at(-1)?.key} ${transcript.at(-1)?.type}; ` +
      `${cutAt.length} cuts, ${state.losses} losses`,
    leaveAfter(key) {
      state.last = key
      if (isOver()) hangUp?.()
    },
  }
}

function isUnavailable(payload: unknown): boolean {
  const { errors } = payload as { errors?: readonly { readonly extensions?: { readonly code?: unknown } }[] } // of GraphQL
  return errors?.every(({ extensions }) => extensions?.code === 'UNAVAILABLE') ?? false
}

/** Null for anything but an event without errors. */
function eventIn(payload: unknown): Seen | null {
  // An answer of GraphQL to a subscription whose field is named `event`.
  const { data, errors } = payload as { data?: { event: Record<string, unknown> } | null; errors?: unknown }
  if (errors || !data) return null
  const { id, cursor, type, name = null, at, data: own, ...rest } = data.event
  const key = decodeGlobalId(String(id)).id
  return {
    key,
    cursor: String(cursor),
    type: String(type),
    name: name as string | null,
    at: String(at),
    data: own,
    rest,
  } // a String of the schema
}

/** Cuts at random: so many, with at most `events` events in all before the last of them. */
export function randomFates(chance: Chance, count: number, events: number): Fate[] {
  const most = Math.floor(events / count)
  return Array.from({ length: count }, (): Fate => {
    const kind = chance.whole(1, 10)
    if (kind === 1) return { at: 'open' }
    if (kind === 2) return { at: 'asked' }
    if (kind === 3) return { at: 'moment', ms: chance.whole(0, 60) }
    return { at: 'event', count: chance.whole(1, most) }
  })
}

/** Lets so many clients connect at the same time, in the order in which they ask. */
export function createGate(places: number): () => Promise<() => void> {
  const queue: (() => void)[] = []
  let free = places
  return async () => {
    if (free > 0) free -= 1
    else await new Promise<void>((resolve) => queue.push(resolve))
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = queue.shift()
      if (next) next()
      else free += 1
    }
  }
}
