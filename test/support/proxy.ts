import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'

/** A relay in front of a server, with faults. */
export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** How many connections were made to it so far. */
  readonly accepted: number
  /** How many are open. */
  readonly open: number
  /** From now on nothing passes, on old connections and on new ones, and nobody is told. */
  blackhole(): void
  /** From now on new connections pass; those from before stay as they are. */
  restore(): void
  /** Ends all connections. */
  reset(): void
  /** From now on every connection is closed as soon as it is made, as a relay does whose server is gone; false ends it. */
  refuse(on: boolean): void
  /** From now on everything takes so long in each direction. */
  delay(ms: number): void
  /** From now on no more bytes pass in a second, in each direction and on each connection. */
  limit(bytesPerSecond: number): void
  /**
   * The next message to the server with this text in it is delivered; its answer is lost, and the connection with it.
   *
   * @returns when that has happened
   */
  loseAnswerTo(text: string): Promise<void>
  /**
   * The so many-th piece that is sent to the server from now on does not arrive, and all connections end.
   *
   * @param met called when that happens
   */
  cutAt(pieces: number, met?: () => void): void
}

interface Loss {
  readonly text: string
  readonly happened: PromiseWithResolvers<void>
}

interface Faults {
  dark: boolean
  refusing: boolean
  delayMs: number
  bytesPerSecond: number
  losses: Loss[]
  /** How many pieces still pass to the server. */
  passing: number
  cut: () => void
}

/** Starts a relay on a free port of 127.0.0.1. */
export async function startProxy(target: { readonly host: string; readonly port: number }): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const faults: Faults = {
    dark: false,
    refusing: false,
    delayMs: 0,
    bytesPerSecond: Infinity,
    losses: [],
    passing: Infinity,
    cut: () => {},
  }
  let accepted = 0
  const server = createServer((client) => {
    accepted++
    sockets.add(client)
    client.on('error', () => {})
    client.on('close', () => sockets.delete(client))
    if (faults.refusing) return void client.destroy()
    if (!faults.dark) relay(client, connect({ ...target, noDelay: true }))
  })
  const relay = (client: Socket, upstream: Socket): void => {
    sockets.add(upstream)
    upstream.on('error', () => {})
    client.setNoDelay(true)
    let lost: Loss | undefined
    pass(client, upstream, faults, (chunk) => {
      if (--faults.passing < 0) {
        faults.passing = Infinity
        faults.cut()
        return false
      }
      lost ??= faults.losses.find(({ text }) => chunk.includes(text))
      faults.losses = faults.losses.filter((loss) => loss !== lost)
      return true
    })
    pass(upstream, client, faults, () => {
      if (!lost) return true
      // The answer has come, so what it answers is done.
      client.destroy()
      upstream.destroy()
      lost.happened.resolve()
      return false
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => {
      sockets.delete(upstream)
      client.destroy()
    })
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    get accepted() {
      return accepted
    },
    get open() {
      return Math.ceil(sockets.size / 2)
    },
    blackhole: () => {
      faults.dark = true
      for (const socket of sockets) socket.pause()
    },
    restore: () => {
      faults.dark = false
    },
    reset: () => {
      for (const socket of sockets) socket.destroy()
    },
    refuse: (on) => {
      faults.refusing = on
    },
    delay: (ms) => {
      faults.delayMs = ms
    },
    limit: (bytesPerSecond) => {
      faults.bytesPerSecond = bytesPerSecond
    },
    loseAnswerTo: (text) => {
      const happened = Promise.withResolvers<void>()
      faults.losses.push({ text, happened })
      return happened.promise
    },
    cutAt: (pieces, met) => {
      faults.passing = pieces - 1
      faults.cut = () => {
        met?.()
        for (const socket of sockets) socket.destroy()
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Hands on what comes, in order, as late and as slowly as the faults want it. */
function pass(from: Socket, to: Socket, faults: Faults, see: (chunk: Buffer) => boolean): void {
  const waiting: Buffer[] = []
  let freeAt = 0
  // Timers of different lengths may end in another order than they should.
  const next = (): void => {
    const chunk = waiting.shift()
    if (chunk && !to.destroyed) to.write(chunk)
  }
  from.on('data', (chunk: Buffer) => {
    if (!see(chunk)) return
    const now = performance.now()
    freeAt = Math.max(now, freeAt) + (chunk.length / faults.bytesPerSecond) * 1_000
    const wait = freeAt + faults.delayMs - now
    waiting.push(chunk)
    if (wait < 1 && waiting.length === 1) next()
    else setTimeout(next, wait)
  })
}
