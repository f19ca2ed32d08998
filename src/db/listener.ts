import postgres from 'postgres'
import { limited } from './deadline.ts'
import { createSockets } from './socket.ts'

/** A connection that is told of what is notified on a channel. Once it is lost it stays so. */
export interface Listener {
  /** Aborts when the connection is lost, or closed. */
  readonly lost: AbortSignal
  /** Asks the server for an answer: a connection whose other end is gone may never tell. Whoever gets none closes it. */
  probe(): Promise<void>
  /** Ends the connection. May be called twice. */
  close(): Promise<void>
}

/** Where and what to listen to. */
export interface ListenOptions {
  /** `postgres://user:password@host:port/database?option=value` */
  readonly url: string
  /** A plain name. */
  readonly channel: string
  /** Called with each payload, those that this process itself has sent included. */
  readonly take: (payload: string) => void
  /** Ends all waits for the server: it may not answer any more. */
  readonly closing: AbortSignal
}

/** How long to wait for the server, in milliseconds: until it is connected, and for an answer. */
const DEADLINE_MS = 5_000
/** How long to wait for the end of the connection, in milliseconds. */
const CLOSE_MS = 1_000

/**
 * Opens a connection of its own, and resolves when it listens. The driver's own `listen` is not used: it connects again
 * by itself, and gives up in silence where that fails.
 *
 * @throws what the driver throws, or KernError UNAVAILABLE if the server does not answer in time
 */
export async function openListener({ url, channel, take, closing }: ListenOptions): Promise<Listener> {
  const lost = new AbortController()
  const sockets = createSockets()
  // The driver takes `socket` and `onnotify`, which its types leave out: so this is not a literal in the call.
  const settings = {
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    connect_timeout: DEADLINE_MS / 1_000,
    keep_alive: 30,
    fetch_types: false,
    socket: sockets.open,
    onnotice: () => {},
    onnotify: (_channel: string, payload: string) => take(payload),
    onclose: () => lost.abort(),
    connection: { application_name: 'kern hints' },
  }
  const client = postgres(url, settings)
  const ask = async (text: string) => {
    const cut = Promise.withResolvers<never>()
    const stop = () => cut.reject(closing.reason)
    closing.addEventListener('abort', stop)
    try {
      closing.throwIfAborted()
      // The driver would connect again for it, and listen to nothing.
      if (lost.signal.aborted) throw new Error('the connection that listens was lost')
      await limited(Promise.race([client.unsafe(text), cut.promise]), limit)
    } finally {
      closing.removeEventListener('abort', stop)
    }
  }
  const close = async () => {
    lost.abort()
    // The driver may wait for ever for a connection that is gone.
    await limited(client.end({ timeout: 0 }), { ms: CLOSE_MS, what: 'the end' }).catch(() => undefined)
    sockets.destroy()
  }
  try {
    await ask(`listen ${channel}`)
  } catch (error) {
    await close()
    throw error
  }
  return {
    lost: lost.signal,
    probe: () => ask('select 1'),
    close,
  }
}

const limit = { ms: DEADLINE_MS, what: 'asking on the connection that listens' }
