import { createServer as createHttpServer } from 'node:http'
import type { Log } from '../log.ts'
import { listen, urlOf } from './address.ts'
import { createHostCheck } from './host.ts'
import { createHealthHandler } from './http.ts'
import { answers, type Server, type ServerOptions } from './server.ts'

export interface HealthServerDeps {
  /** Whether the process can do its work. */
  readonly health: () => Promise<boolean>
  readonly log: Log
  readonly options: Required<Pick<ServerOptions, 'host' | 'port'>>
}

/** Serves the health of a process that only executes runs. */
export function createHealthServer({ health, log, options }: HealthServerDeps): Server {
  const stopping = new AbortController()
  const checkHost = createHostCheck(options.host)
  const handle = createHealthHandler({ checkHost, healthy: () => answers(health), log, stopping: stopping.signal })
  const server = createHttpServer({ headersTimeout: 10_000, requestTimeout: 30_000 }, (req, res) => {
    void handle(req, res)
  })
  let closing: Promise<void> | undefined
  const stop = async (): Promise<void> => {
    stopping.abort()
    if (!server.listening) return
    const ended = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeAllConnections()
    await ended
  }
  const close = (): Promise<void> => {
    closing ??= stop()
    return closing
  }
  return {
    get url() {
      return urlOf(server, options)
    },
    listen: () => listen(server, options),
    close,
    [Symbol.asyncDispose]: close,
  }
}
