import { sql } from 'drizzle-orm'
import type { Clock } from '../clock.ts'
import { arrayText } from '../db/array.ts'
import { type Db, type Listen, rows } from '../db/client.ts'
import { deadline } from '../db/deadline.ts'
import type { Hint, Hints } from '../engine/hints.ts'
import type { Log } from '../log.ts'
import { decodeHints, isFrom } from './hintCode.ts'
import { keepListening } from './listening.ts'
import { createOutbox } from './outbox.ts'

/** On which processes tell each other. One database has one. */
export const CHANNEL = 'kern_hints'

/**
 * The shortest time between two sendings, in milliseconds. Transactions that notify commit one after another in the
 * whole server, so they are few, and none of them is one that a run waits for.
 */
const GAP_MS = 50
/** How long closing waits for what is still to be sent, in milliseconds. */
const CLOSE_MS = 1_000

/** Carries hints by NOTIFY and LISTEN. */
export interface Carrier extends Hints {
  /** Begins to listen: tells `missed` as soon as it does, and whenever it does again after its connection was lost. */
  start(): void
  /** Sends what is still to be sent, and ends the connection that listens. */
  close(): Promise<void>
}

export interface CarrierDeps {
  /** On which hints are sent. */
  readonly db: Db
  readonly listen: Listen
  /** By which this process knows its own hints. */
  readonly id: string
  readonly clock: Clock
  readonly log: Log
  /** From 0 to below 1. */
  readonly random: () => number
}

export function createCarrier({ db, listen, id, clock, log, random }: CarrierDeps): Carrier {
  const outbox = createOutbox(id)
  const takers = new Set<(hint: Hint) => void>()
  const closing = new AbortController()
  let sending: Promise<void> | null = null
  let listening: Promise<void> = Promise.resolve()

  const hand = (hint: Hint) => {
    for (const take of takers) take(hint)
  }

  /** The first hint goes out at once; what comes within the gap after it goes out together. */
  async function send(): Promise<void> {
    while (!outbox.isEmpty()) {
      await notify(outbox.take()).catch((error: unknown) =>
        // Nothing is lost by it: the others look once a second.
        log.debug({ err: error }, 'hints for other processes could not be sent'),
      )
      await clock.idle(GAP_MS, closing.signal).catch(() => undefined)
    }
    sending = null
  }

  async function notify(messages: readonly string[]): Promise<void> {
    const all = arrayText(messages)
    await rows(db, sql`select pg_notify(${CHANNEL}, message) from unnest(${all}::text::text[]) message`)
  }

  function take(message: string): void {
    if (closing.signal.aborted || isFrom(id, message)) return
    for (const hint of decodeHints(message)?.hints ?? []) hand(hint)
  }

  return {
    tell(hint) {
      if (closing.signal.aborted) return
      outbox.add(hint)
      // A moment later, so that what is told together goes out together.
      sending ??= Promise.resolve().then(send)
    },
    listen(taker) {
      // A wrapper, so that the same function can listen twice.
      const listener = (hint: Hint) => taker(hint)
      takers.add(listener)
      return () => takers.delete(listener)
    },
    start() {
      listening = keepListening({
        open: () => listen({ channel: CHANNEL, take, closing: closing.signal }),
        ready: () => hand({ type: 'missed' }),
        closing: closing.signal,
        clock,
        log,
        random,
      })
    },
    async close() {
      closing.abort()
      const ended = Promise.all([sending, listening])
      await deadline(CLOSE_MS, ended, 'telling other processes').catch(() => undefined)
    },
  }
}
