import { connect, type Socket } from 'node:net'

/** Where a driver wants to connect to, as it read its URL: hosts with a port each, or a socket of Unix. */
export interface Target {
  readonly host: readonly string[]
  readonly port: readonly number[]
  readonly path?: string | false
}

/** The sockets of one connection to a server. */
export interface Sockets {
  /**
   * A connected socket. The driver asks again where a host turned out not to be the one that it looks for: each host is
   * tried once. A driver of its own accord would try a server that closes new connections again without end or pause.
   */
  open(target: Target): Promise<Socket>
  /** Closes what is open, at once: a socket whose other end is gone would else last for many minutes. */
  destroy(): void
}

export function createSockets(): Sockets {
  let current: Socket | null = null
  let tried = 0
  let over = false
  return {
    async open({ host, port, path }) {
      const places = path
        ? [{ path }]
        : host.map((name, index) => ({ host: name, port: port[index] ?? port[0] ?? 5432 }))
      let failure: unknown = connectionClosed()
      while (!over && tried < places.length) {
        const place = places[tried++]
        if (!place) break
        const socket = connect({ ...place, noDelay: true })
        current = socket
        try {
          await connected(socket)
          // By this name TLS asks for the certificate.
          return Object.assign(socket, 'host' in place ? { host: place.host } : {})
        } catch (error) {
          failure = error
        }
      }
      throw failure
    },
    destroy() {
      over = true
      current?.destroy()
    },
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve)
    // It stays: between here and the driver's own listener an error would end the process.
    socket.on('error', reject)
    socket.once('close', () => reject(connectionClosed()))
  })
}

function connectionClosed(): Error {
  return Object.assign(new Error('the connection was closed before it was ready'), { code: 'CONNECTION_CLOSED' })
}
