import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that publishes ticks and has no runs. */
export interface TickServer extends AsyncDisposable {
  readonly url: string
  /** How many subscriptions there were so far. */
  subscribed(): number
  /** Sends a tick to all. */
  publish(tick: TickMessage): void
}

/** A tick as Kern sends it. */
export interface TickMessage {
  /** The text of the message, or of the server-sent event. */
  readonly message: string
  /** The JSON text of the result in it. */
  readonly result: string
}

/** @returns where its GraphQL is */
export async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // `as`: it listens on a port, not on a pipe.
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}/graphql`
}
