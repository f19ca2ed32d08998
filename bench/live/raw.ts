import { createServer, type ServerResponse } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import { listening, type TickServer } from './tickServer.ts'

/**
 * Sends the same bytes to each connection, and does nothing else: no GraphQL, no database. It speaks as much of the
 * protocols as its clients wait for.
 */
export async function serveRaw(): Promise<TickServer> {
  const sockets = new Set<WebSocket>()
  const streams = new Set<ServerResponse>()
  let subscribed = 0
  const server = createServer((req, res) => {
    req.resume()
    res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    subscribed += 1
    streams.add(res)
    res.once('close', () => streams.delete(res))
  })
  const webSockets = new WebSocketServer({
    server,
    perMessageDeflate: false,
    handleProtocols: () => 'graphql-transport-ws',
  })
  webSockets.on('connection', (socket) => {
    socket.on('message', (data) => {
      if (String(data).includes('"connection_init"')) return socket.send('{"type":"connection_ack"}')
      subscribed += 1
      sockets.add(socket)
    })
    socket.once('close', () => sockets.delete(socket))
  })
  return {
    url: await listening(server),
    subscribed: () => subscribed,
    publish({ message }) {
      const bytes = Buffer.from(message)
      for (const socket of sockets) socket.send(bytes, { binary: false })
      for (const stream of streams) stream.write(bytes)
    },
    [Symbol.asyncDispose]: async () => {
      webSockets.close()
      server.close()
      server.closeAllConnections()
      for (const socket of sockets) socket.terminate()
    },
  }
}
