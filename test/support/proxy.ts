import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'

/** A relay in front of a server. */
export interface Proxy extends AsyncDisposable {
  readonly port: number
  /** From now on nothing passes, on old connections and on new ones, and nobody is told. */
  blackhole(): void
  /** From now on new connections pass; those from before stay as they are. */
  restore(): void
}

/** Starts a relay on a free port of 127.0.0.1. */
export async function startProxy(target: { readonly host: string; readonly port: number }): Promise<Proxy> {
  const sockets = new Set<Socket>()
  let dark = false
  const server = createServer((client) => {
    sockets.add(client)
    client.on('error', () => {})
    if (dark) return
    const upstream = connect(target.port, target.host)
    sockets.add(upstream)
    upstream.on('error', () => {})
    client.pipe(upstream)
    upstream.pipe(client)
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    blackhole: () => {
      dark = true
      for (const socket of sockets) {
        socket.unpipe()
        socket.pause()
      }
    },
    restore: () => {
      dark = false
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
