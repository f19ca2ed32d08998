import type { Server as HttpServer } from 'node:http'
import { KernError } from '../errors.ts'
import { hostOf } from './host.ts'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** Where a server is, with the port that it got. */
export function urlOf(server: HttpServer, { host, port }: Address): string {
  const address = server.address()
  const actual = typeof address === 'object' && address ? address.port : port
  const everywhere = host === '0.0.0.0' || host === '::'
  const name = everywhere ? 'localhost' : hostOf(host)
  return `http://${name}:${actual}`
}

/** Resolves once connections are accepted. @throws KernError CONFIG_INVALID if the port or the host cannot be had */
export function listen(server: HttpServer, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => reject(listenError(cause, { host, port }))
    server.once('error', failed)
    server.listen({ port, host }, () => {
      server.off('error', failed)
      resolve()
    })
  })
}

function listenError(cause: NodeJS.ErrnoException, { host, port }: Address): KernError {
  const message =
    cause.code === 'EADDRINUSE'
      ? `port ${port} on ${host} is in use by another process: end that one, or choose another port with --port or PORT`
      : cause.code === 'EACCES'
        ? `port ${port} on ${host} may not be used by this user: choose one above 1023 with --port or PORT`
        : `cannot listen on port ${port} of host ${host} (${cause.code ?? cause.message}): allowed is an address of this machine`
  return new KernError('CONFIG_INVALID', message, { cause })
}
